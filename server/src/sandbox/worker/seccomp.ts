/** Two filters over system calls, as classic BPF programs for x86-64 Linux. Without privilege, without undoing.
 *
 *  The first is inherited through exec and takes what no worker ever needs: above all `io_uring_setup`, because Node's
 *  event loop would open a ring, and a ring carries out calls that no filter sees. The second is put on from inside,
 *  over all threads, when everything is loaded: only what a computing process needs is left, and nothing that opens,
 *  connects, starts, or reaches another process. */

type Instruction = [code: number, jumpTrue: number, jumpFalse: number, k: number]

const LOAD = 0x20
const JUMP_EQUAL = 0x15
const JUMP_AT_LEAST = 0x35
const JUMP_ANY_BIT = 0x45
const RETURN = 0x06

const allow: Instruction = [RETURN, 0, 0, 0x7fff_0000]
const kill: Instruction = [RETURN, 0, 0, 0x8000_0000]
const refuse = (errno: number): Instruction => [RETURN, 0, 0, 0x0005_0000 | errno]
const EPERM = 1
const ENOSYS = 38

const NUMBER_AT = 0
const ARCHITECTURE_AT = 4
const argumentAt = (index: number) => 16 + index * 8
const X86_64 = 0xc000_003e
const X32_BIT = 0x4000_0000
const CLONE_THREAD = 0x0001_0000

/** Another architecture's numbers, or x32's, would mean other calls. */
const opening: Instruction[] = [
  [LOAD, 0, 0, ARCHITECTURE_AT],
  [JUMP_EQUAL, 1, 0, X86_64],
  kill,
  [LOAD, 0, 0, NUMBER_AT],
  [JUMP_AT_LEAST, 0, 1, X32_BIT],
  kill,
]

const when = (number: number, verdict: Instruction): Instruction[] => [[JUMP_EQUAL, 0, 1, number], verdict]

// biome-ignore format: a table
const refusedBeforeExec = {
  io_uring_setup: 425, io_uring_enter: 426, io_uring_register: 427,
  socket: 41, connect: 42, accept: 43, sendto: 44, sendmsg: 46, sendmmsg: 307, bind: 49,
  listen: 50, socketpair: 53, accept4: 288,
  ptrace: 101, process_vm_readv: 310, process_vm_writev: 311, kcmp: 312, pidfd_open: 434, pidfd_getfd: 438,
  pidfd_send_signal: 424, process_madvise: 440,
  mount: 165, umount2: 166, pivot_root: 155, chroot: 161, open_tree: 428, move_mount: 429, fsopen: 430, fsconfig: 431,
  fsmount: 432, fspick: 433, mount_setattr: 442, swapon: 167, swapoff: 168, quotactl: 179, acct: 163,
  unshare: 272, setns: 308, personality: 135, bpf: 321, userfaultfd: 323, perf_event_open: 298,
  keyctl: 250, add_key: 248, request_key: 249, init_module: 175, finit_module: 313, delete_module: 176,
  kexec_load: 246, kexec_file_load: 320, reboot: 169, iopl: 172, ioperm: 173, settimeofday: 164, clock_settime: 227,
  adjtimex: 159, clock_adjtime: 305, sethostname: 170, setdomainname: 171, syslog: 103,
  name_to_handle_at: 303, open_by_handle_at: 304, fanotify_init: 300, mknod: 133, mknodat: 259, memfd_secret: 447,
  shmget: 29, shmat: 30, shmctl: 31, semget: 64, msgget: 68, mq_open: 240, lookup_dcookie: 212, vmsplice: 278,
} as const

// biome-ignore format: a table
const allowedInside = {
  read: 0, write: 1, readv: 19, writev: 20, pread64: 17, close: 3, fstat: 5, lseek: 8, poll: 7,
  mmap: 9, mprotect: 10, munmap: 11, brk: 12, mremap: 25, madvise: 28, mincore: 27, membarrier: 324,
  pkey_mprotect: 329, pkey_alloc: 330, pkey_free: 331,
  rt_sigaction: 13, rt_sigprocmask: 14, rt_sigreturn: 15, sigaltstack: 131, restart_syscall: 219,
  futex: 202, sched_yield: 24, sched_getaffinity: 204, sched_getparam: 143, sched_getscheduler: 145,
  set_robust_list: 273, rseq: 334, getcpu: 309,
  nanosleep: 35, clock_nanosleep: 230, clock_gettime: 228, clock_getres: 229, gettimeofday: 96, time: 201,
  epoll_wait: 232, epoll_pwait: 281, epoll_ctl: 233,
  getpid: 39, gettid: 186, getrusage: 98, times: 100, sysinfo: 99, uname: 63, getrandom: 318,
  exit: 60, exit_group: 231,
} as const

const FCNTL = 72
const F_DUPFD = 0
const F_SETFL = 4
const CLONE = 56
const CLONE3 = 435
const TGKILL = 234

export function filterBeforeExec(): Uint8Array {
  const refused = Object.values(refusedBeforeExec).flatMap((number) => when(number, refuse(EPERM)))
  return assembled([...opening, ...refused, allow])
}

/** For the process with this id: it may signal itself, which is how it aborts, and start threads. */
export function filterInside(pid: number): Uint8Array {
  const allowed = Object.values(allowedInside).flatMap((number) => when(number, allow))
  return assembled([
    ...opening,
    ...allowed,
    // Flags of its own files, which Node puts right when it exits.
    [JUMP_EQUAL, 0, 5, FCNTL],
    [LOAD, 0, 0, argumentAt(1)],
    [JUMP_EQUAL, 2, 0, F_DUPFD],
    [JUMP_AT_LEAST, 1, 0, F_SETFL + 1],
    allow,
    refuse(EPERM),
    // glibc falls back to clone, whose flags a filter can see.
    ...when(CLONE3, refuse(ENOSYS)),
    [JUMP_EQUAL, 0, 3, CLONE],
    [LOAD, 0, 0, argumentAt(0)],
    [JUMP_ANY_BIT, 0, 3, CLONE_THREAD],
    allow,
    [JUMP_EQUAL, 0, 3, TGKILL],
    [LOAD, 0, 0, argumentAt(0)],
    [JUMP_EQUAL, 0, 1, pid],
    allow,
    refuse(EPERM),
  ])
}

function assembled(program: Instruction[]): Uint8Array {
  const bytes = Buffer.alloc(program.length * 8)
  for (const [index, [code, jumpTrue, jumpFalse, k]] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8)
    bytes.writeUInt8(jumpTrue, index * 8 + 2)
    bytes.writeUInt8(jumpFalse, index * 8 + 3)
    bytes.writeUInt32LE(k >>> 0, index * 8 + 4)
  }
  return bytes
}
