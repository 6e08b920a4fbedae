/** The program of the escape drill: a worker in which the guest has won. It holds what no guest does, a way to make any
 *  system call and all of Node, puts itself under a worker's lock and then tries to get out. It writes what came through
 *  as JSON. Started with `control` as its last word it does not lock itself, and makes only the attempts that harm nobody:
 *  those have to come through, or the drill would prove nothing. */

import { spawnSync } from 'node:child_process'
import { getRawPointer } from 'node:ffi'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { open as openInspector } from 'node:inspector'
import { writeHeapSnapshot } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { openKernel } from '../worker/kernel.ts'
import { lock } from '../worker/lock.ts'

type Attempt = { what: string; isControl: boolean; comesThrough: () => boolean }

const kernel = openKernel()
const call = (number: number, ...args: (number | bigint)[]) => kernel?.call(number, ...args) ?? -1

/** Looked up beforehand: a locked worker is told no addresses. */
const kept: Uint8Array[] = []
function address(bytes: Uint8Array): bigint {
  kept.push(bytes)
  return getRawPointer(bytes)
}
const text = (value: string) => address(Buffer.from(`${value}\0`))
const room = address(Buffer.alloc(4096))
const root = text('/')
const nowhere = text('/flow-drill')
const self = text('/proc/self/exe')
const program = text('/bin/true')
const tmpfs = text('tmpfs')
const name = text('x')
const AT_FDCWD = -100

/** A child that came to be ends at once. */
function forked(number: number, ...args: number[]): number {
  const child = call(number, ...args)
  if (child === 0) call(231, 0)
  return child
}

/** Harmless where they come through. */
const harmless: Record<string, () => number> = {
  open: () => call(2, root, 0),
  openat: () => call(257, AT_FDCWD, root, 0),
  stat: () => call(4, root, room),
  lstat: () => call(6, root, room),
  newfstatat: () => call(262, AT_FDCWD, root, room, 0),
  access: () => call(21, root, 0),
  faccessat: () => call(269, AT_FDCWD, root, 0),
  getcwd: () => call(79, room, 256),
  chdir: () => call(80, root),
  umask: () => call(95, 0o22),
  statfs: () => call(137, root, room),
  'socket of the internet': () => call(41, 2, 1, 0),
  'socket of this machine': () => call(41, 1, 1, 0),
  'socket of the kernel': () => call(41, 16, 3, 0),
  socketpair: () => call(53, 1, 1, 0, room),
  pipe: () => call(22, room),
  dup: () => call(32, 0),
  'fcntl to duplicate': () => call(72, 0, 0, 0),
  memfd_create: () => call(319, name, 0),
  eventfd2: () => call(290, 0, 0),
  timerfd_create: () => call(283, 1, 0),
  inotify_init: () => call(253),
  epoll_create1: () => call(291, 0),
  fork: () => forked(57),
  'clone of a process': () => forked(56, 17),
  'kill of itself with nothing': () => call(62, process.pid, 0),
  'kill of its parent with nothing': () => call(62, process.ppid, 0),
  getppid: () => call(110),
  getpgid: () => call(121, 0),
  prctl: () => call(157, 3, 0, 0, 0, 0),
  getrlimit: () => call(97, 7, room),
  prlimit64: () => call(302, 0, 7, 0, room),
  getpriority: () => call(140, 0, 0),
  personality: () => call(135, 0xffff_ffff),
  alarm: () => call(37, 0),
  getitimer: () => call(36, 0, room),
}

/** Harmful, or not for everybody: nobody tries whether they come through elsewhere. */
const harmful: Record<string, () => number> = {
  creat: () => call(85, nowhere, 0o600),
  'open to write': () => call(2, nowhere, 0o101, 0o600),
  openat2: () => call(437, AT_FDCWD, root, room, 24),
  mkdir: () => call(83, nowhere, 0o700),
  unlink: () => call(87, nowhere),
  rename: () => call(82, nowhere, nowhere),
  link: () => call(86, root, nowhere),
  symlink: () => call(88, root, nowhere),
  readlink: () => call(89, self, room, 256),
  chmod: () => call(90, nowhere, 0o777),
  chown: () => call(92, nowhere, 0, 0),
  truncate: () => call(76, nowhere, 0),
  mknod: () => call(133, nowhere, 0o10600, 0),
  execve: () => call(59, program, 0, 0),
  execveat: () => call(322, AT_FDCWD, program, 0, 0, 0),
  clone3: () => call(435, room, 64),
  ptrace: () => call(101, 16, process.ppid, 0, 0),
  process_vm_readv: () => call(310, process.ppid, room, 1, room, 1, 0),
  process_vm_writev: () => call(311, process.ppid, room, 1, room, 1, 0),
  pidfd_open: () => call(434, process.ppid, 0),
  'tgkill of its parent': () => call(234, process.ppid, process.ppid, 0),
  rt_sigqueueinfo: () => call(129, process.ppid, 10, room),
  setuid: () => call(105, 0),
  setresuid: () => call(117, 0, 0, 0),
  capset: () => call(126, room, room),
  'prctl to be looked into': () => call(157, 4, 1, 0, 0, 0),
  seccomp: () => call(317, 0, 0, 0),
  mount: () => call(165, root, root, tmpfs, 0, 0),
  umount2: () => call(166, nowhere, 0),
  chroot: () => call(161, root),
  pivot_root: () => call(155, root, root),
  unshare: () => call(272, 0x1000_0000),
  setns: () => call(308, 0, 0),
  bpf: () => call(321, 0, room, 64),
  perf_event_open: () => call(298, room, 0, -1, -1, 0),
  userfaultfd: () => call(323, 0),
  io_uring_setup: () => call(425, 1, room),
  io_uring_enter: () => call(426, 3, 1, 0, 0, 0, 0),
  keyctl: () => call(250, 0, -1, 0),
  shmget: () => call(29, 0, 4096, 0o1600),
  semget: () => call(64, 0, 1, 0o1600),
  msgget: () => call(68, 0, 0o1600),
  mq_open: () => call(240, name, 0o102, 0o600, 0),
  connect: () => call(42, 0, room, 16),
  bind: () => call(49, 0, room, 16),
  sendmsg: () => call(46, 0, room, 0),
  recvmsg: () => call(47, 0, room, 0),
  sendfile: () => call(40, 1, 0, 0, 1),
  'ioctl to type into a terminal': () => call(16, 0, 0x5412, room),
  iopl: () => call(172, 3),
  modify_ldt: () => call(154, 0, room, 16),
  kexec_load: () => call(246, 0, 0, 0, 0),
  init_module: () => call(175, room, 0, root),
  open_by_handle_at: () => call(304, AT_FDCWD, room, 0),
  name_to_handle_at: () => call(303, AT_FDCWD, root, room, room, 0),
  fanotify_init: () => call(300, 0, 0),
  sched_setaffinity: () => call(203, process.ppid, 8, room),
  setpriority: () => call(141, 0, process.ppid, 19),
  'setrlimit of open files': () => call(160, 7, room),
}

const throughNode: Record<string, () => unknown> = {
  'reads the passwords': () => readFileSync('/etc/passwd'),
  'reads its own program': () => readFileSync(new URL(import.meta.url)),
  'lists the root': () => readdirSync('/'),
  'writes a file': () => writeFileSync('/tmp/flow-drill', 'x'),
  'makes a folder': () => mkdtempSync('/tmp/flow-drill-'),
  'starts a process': () => {
    const { error } = spawnSync(process.execPath, ['--version'])
    if (error) throw error
  },
  'starts a thread': () => new Worker('0', { eval: true }),
  'loads an addon': () => process.dlopen({ exports: {} }, '/lib/x86_64-linux-gnu/libc.so.6'),
  'opens the inspector': () => openInspector(0, '127.0.0.1'),
  'writes a snapshot of its memory': () => writeHeapSnapshot('/tmp/flow-drill.heapsnapshot'),
  'signals its parent': () => process.kill(process.ppid, 0),
  'becomes root': () => process.setuid?.(0),
  'changes its folder': () => process.chdir('/'),
  'becomes another program': () => process.execve?.(process.execPath, [process.execPath, '--version'], {}),
  'compiles text': () => new Function('return 1')(),
  'binds to another library': () => {
    if (!openKernel()) throw new Error('refused')
  },
}

const isThrough = (work: () => unknown) => {
  try {
    work()
    return true
  } catch {
    return false
  }
}

const attempts: Attempt[] = [
  ...Object.entries(harmless).map(([what, work]) => ({ what, isControl: true, comesThrough: () => work() >= 0 })),
  ...Object.entries(harmful).map(([what, work]) => ({ what, isControl: false, comesThrough: () => work() >= 0 })),
  ...Object.entries(throughNode).map(([what, work]) => ({
    what,
    isControl: false,
    comesThrough: () => isThrough(work),
  })),
]

const isControl = process.argv.at(-1) === 'control'
const { layers } = isControl ? { layers: [] } : lock()
const made = attempts.filter((attempt) => !isControl || attempt.isControl)
const through = made.filter(({ comesThrough }) => comesThrough()).map(({ what }) => what)
writeSync(1, `${JSON.stringify({ layers, made: made.map(({ what }) => what), through })}\n`)
process.exit(0)
