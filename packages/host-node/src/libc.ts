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
}

export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
export const FALLOC_KEEP_SIZE = 1;
export const FALLOC_PUNCH_HOLE = 2;
export const FALLOC_ZERO_RANGE = 16;
export const MADV_DONTNEED = 4;
export const ENXIO = 6;

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
      __errno_location: { return: 'pointer', arguments: [] },
    });
    const result = (value: number): number => (value < 0 ? -ffi.getInt32(functions.__errno_location() as bigint, 0) : value);
    return {
      lseek: (fd, offset, whence) => result(Number(functions.lseek(fd, BigInt(offset), whence))),
      fallocate: (fd, mode, offset, byteCount) => result(functions.fallocate(fd, mode, BigInt(offset), BigInt(byteCount))),
      madvise: (pages, advice) => result(functions.madvise(pages, BigInt(pages.length), advice)),
      fcntl: (fd, command, lock) => result(functions.fcntl(fd, command, lock)),
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
