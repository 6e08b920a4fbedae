/** The few calls to the C library that lock a worker up, on x86-64 Linux with glibc. Elsewhere there are none. */

import { dlopen, getRawPointer } from 'node:ffi'

const PR_SET_PDEATHSIG = 1
const PR_SET_DUMPABLE = 4
const PR_SET_NO_NEW_PRIVS = 38
const SIGKILL = 9
const SYS_SECCOMP = 317
const SYS_CLOSE_RANGE = 436
const SYS_PRLIMIT = 302
const SECCOMP_SET_MODE_FILTER = 1
const SECCOMP_FILTER_FLAG_TSYNC = 1
const CLOSE_RANGE_CLOEXEC = 4

export type Kernel = {
  /** The raw answer: −1 is a refusal. */
  call(number: number, ...args: (number | bigint | Uint8Array)[]): number
  dieWithParent(): boolean
  /** Nobody else of this user may look into this process. */
  hideMemory(): boolean
  gainNothing(): boolean
  filter(program: Uint8Array): boolean
  /** Open files from `first` on end with the next exec. */
  closeOnExec(first: number): boolean
  limit(resource: keyof typeof resources, most: number): boolean
}

const resources = { file_size: 1, data: 2, core: 4, open_files: 7, message_queues: 12 } as const

export function openKernel(): Kernel | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined
  try {
    return bind()
  } catch {
    return undefined
  }
}

function bind(): Kernel {
  const { functions } = dlopen('libc.so.6', {
    prctl: { arguments: ['i32', 'u64', 'u64', 'u64', 'u64'], return: 'i32' },
    syscall: { arguments: ['i64', 'u64', 'u64', 'u64', 'u64', 'u64', 'u64'], return: 'i64' },
  })
  const asWord = (value: number | bigint | Uint8Array = 0n) =>
    value instanceof Uint8Array ? getRawPointer(value) : BigInt.asUintN(64, BigInt(value))
  const call: Kernel['call'] = (number, ...args) => {
    const [a, b, c, d, e, f] = args
    const words = [asWord(a), asWord(b), asWord(c), asWord(d), asWord(e), asWord(f)] as const
    return Number(functions.syscall(BigInt(number), ...words))
  }
  const control = (option: number, value: number) => functions.prctl(option, BigInt(value), 0n, 0n, 0n) === 0
  return {
    call,
    dieWithParent: () => control(PR_SET_PDEATHSIG, SIGKILL),
    hideMemory: () => control(PR_SET_DUMPABLE, 0),
    gainNothing: () => control(PR_SET_NO_NEW_PRIVS, 1),
    filter(program) {
      const filter = Buffer.alloc(16)
      filter.writeUInt16LE(program.length / 8, 0)
      filter.writeBigUInt64LE(getRawPointer(program), 8)
      return call(SYS_SECCOMP, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, filter) === 0
    },
    closeOnExec: (first) => call(SYS_CLOSE_RANGE, first, 0xffff_ffff, CLOSE_RANGE_CLOEXEC) === 0,
    limit(resource, most) {
      const both = Buffer.alloc(16)
      both.writeBigUInt64LE(BigInt(most), 0)
      both.writeBigUInt64LE(BigInt(most), 8)
      return call(SYS_PRLIMIT, 0, resources[resource], both, 0) === 0
    },
  }
}
