// Calls of the C library that node:fs lacks, through node:ffi; absent where that is, and on other systems than Linux.

import type * as Ffi from 'node:ffi';

export interface Libc {
  /** The offset, or the negative errno. */
  lseek(fd: number, offset: number, whence: number): number;
  /** 0, or the negative errno. */
  fallocate(fd: number, mode: number, offset: number, byteCount: number): number;
  /** `lock` is a `struct flock`. 0, or the negative errno. */
  fcntl(fd: number, command: number, lock: Uint8Array): number;
  /** Of whole pages. 0, or the negative errno. */
  madvise(pages: Uint8Array, advice: number): number;
  /** Linux 5.6. `how`: a `struct open_how`. A descriptor, or the negative errno. */
  openat2(folder: number, path: Uint8Array, how: BigUint64Array): number;
  /** Bytes of the value, or the negative errno. Paths and names end in NUL. */
  getxattr(path: Uint8Array, name: Uint8Array, value: Uint8Array): number;
  /** 0, or the negative errno. */
  setxattr(path: Uint8Array, name: Uint8Array, value: Uint8Array, flags: number): number;
  /** Bytes of the list, or the negative errno. */
  listxattr(path: Uint8Array, list: Uint8Array): number;
  /** 0, or the negative errno. */
  removexattr(path: Uint8Array, name: Uint8Array): number;
  /** `times`: two of `struct timespec`. 0, or the negative errno. */
  utimensat(path: Uint8Array, times: BigInt64Array, flags: number): number;
}

export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
export const FALLOC_KEEP_SIZE = 1;
export const FALLOC_PUNCH_HOLE = 2;
export const FALLOC_ZERO_RANGE = 16;
export const MADV_DONTNEED = 4;
export const ENXIO = 6;
/** The same on all of Linux's architectures. */
const SYS_OPENAT2 = 437n;
const AT_FDCWD = -100;

/** Node tells of every experimental module on the terminal, once; nobody who runs a machine can do anything about it. */
function quietly<T>(work: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return work();
  } finally {
    process.emitWarning = emitWarning;
  }
}

function load(): Libc | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const ffi = quietly(() => process.getBuiltinModule('node:ffi')) as typeof Ffi | undefined;
    if (ffi === undefined) return undefined;
    const { functions } = ffi.dlopen(null, {
      lseek: { return: 'i64', arguments: ['i32', 'i64', 'i32'] },
      fallocate: { return: 'i32', arguments: ['i32', 'i32', 'i64', 'i64'] },
      fcntl: { return: 'i32', arguments: ['i32', 'i32', 'pointer'] },
      madvise: { return: 'i32', arguments: ['pointer', 'u64', 'i32'] },
      syscall: { return: 'i64', arguments: ['i64', 'i64', 'pointer', 'pointer', 'i64'] },
      getxattr: { return: 'i64', arguments: ['pointer', 'pointer', 'pointer', 'i64'] },
      setxattr: { return: 'i32', arguments: ['pointer', 'pointer', 'pointer', 'i64', 'i32'] },
      listxattr: { return: 'i64', arguments: ['pointer', 'pointer', 'i64'] },
      removexattr: { return: 'i32', arguments: ['pointer', 'pointer'] },
      utimensat: { return: 'i32', arguments: ['i32', 'pointer', 'pointer', 'i32'] },
      __errno_location: { return: 'pointer', arguments: [] },
    });
    const result = (value: number): number => (value < 0 ? -ffi.getInt32(functions.__errno_location() as bigint, 0) : value);
    return {
      lseek: (fd, offset, whence) => result(Number(functions.lseek(fd, BigInt(offset), whence))),
      fallocate: (fd, mode, offset, byteCount) => result(functions.fallocate(fd, mode, BigInt(offset), BigInt(byteCount))),
      madvise: (pages, advice) => result(functions.madvise(pages, BigInt(pages.length), advice)),
      fcntl: (fd, command, lock) => result(functions.fcntl(fd, command, lock)),
      openat2: (folder, path, how) => result(Number(functions.syscall(SYS_OPENAT2, BigInt(folder), path, how, BigInt(how.byteLength)))),
      getxattr: (path, name, value) => result(Number(functions.getxattr(path, name, value, BigInt(value.length)))),
      setxattr: (path, name, value, flags) => result(functions.setxattr(path, name, value, BigInt(value.length), flags)),
      listxattr: (path, list) => result(Number(functions.listxattr(path, list, BigInt(list.length)))),
      removexattr: (path, name) => result(functions.removexattr(path, name)),
      utimensat: (path, times, flags) => result(functions.utimensat(AT_FDCWD, path, times, flags)),
    };
  } catch {
    return undefined;
  }
}

let known: { readonly libc: Libc | undefined } | undefined;

/** Undefined where the host has it not. */
export function hostLibc(): Libc | undefined {
  known ??= { libc: load() };
  return known.libc;
}
