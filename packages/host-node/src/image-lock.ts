// Keeps two writers from one image. On Linux by locks on the open file (fcntl(2), "Open file description locks") on the bytes that QEMU uses, so that its programs and
// ours keep out of each other's way: byte 100 + n says "I do n", byte 200 + n "nobody else may do n", each as a shared lock; who wants to do n asks whether somebody
// holds 200 + n. The kernel drops them with the process. Elsewhere a file beside the image names the process that writes.

import { readFileSync, readdirSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { AnilloError } from '@anillo/base/anillo-error';
import { hostLibc, type Libc } from './libc.ts';

const SETLK = 37;
const GETLK = 36;
const READ_LOCK = 0;
const WRITE_LOCK = 1;
const UNLOCKED = 2;

/** QEMU's permissions. */
const CONSISTENT_READ = 0;
const WRITE = 1;
const RESIZE = 3;
const DOES = 100;
const FORBIDS = 200;

function flock(type: number, byte: number): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setInt16(0, type, true);
  view.setBigInt64(8, BigInt(byte), true);
  view.setBigInt64(16, 1n, true);
  return bytes;
}

function isHeldByOther(libc: Libc, fd: number, byte: number): boolean {
  const lock = flock(WRITE_LOCK, byte);
  return libc.fcntl(fd, GETLK, lock) >= 0 && new DataView(lock.buffer).getInt16(0, true) !== UNLOCKED;
}

/** Processes that have the file open, as far as this user may know. */
function holders(path: string): string {
  const found: string[] = [];
  try {
    const real = realpathSync(path);
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const isOpen = readdirSync(`/proc/${pid}/fd`).some((fd) => {
          try {
            return readlinkSync(`/proc/${pid}/fd/${fd}`) === real;
          } catch {
            return false;
          }
        });
        if (isOpen && Number(pid) === process.pid) found.push('this process');
        else if (isOpen) found.push(`${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()}, process ${pid}`);
      } catch {
        // Another user's process, or it has ended.
      }
    }
  } catch {
    // No /proc.
  }
  // This process has it open anyway, if only to be refused.
  const others = found.filter((holder) => holder !== 'this process');
  return others.length > 0 ? others.join('; ') : found.length > 0 ? 'this process' : 'another process';
}

function inUse(path: string, isReadOnly: boolean): AnilloError {
  return new AnilloError(
    'FILE',
    `The image ${path} is ${isReadOnly ? 'being written to' : 'in use'} by ${holders(path)}; end that first${isReadOnly ? '' : ', or open the image read-only'}.`,
  );
}

function lockByFcntl(libc: Libc, fd: number, path: string, isReadOnly: boolean): void {
  const does = isReadOnly ? [CONSISTENT_READ] : [CONSISTENT_READ, WRITE, RESIZE];
  const forbids = [WRITE, RESIZE];
  // A file system without locks has no others that would respect them.
  for (const byte of [...does.map((n) => DOES + n), ...forbids.map((n) => FORBIDS + n)])
    if (libc.fcntl(fd, SETLK, flock(READ_LOCK, byte)) < 0) return;
  const isTaken = does.some((n) => isHeldByOther(libc, fd, FORBIDS + n)) || forbids.some((n) => isHeldByOther(libc, fd, DOES + n));
  if (isTaken) throw inUse(path, isReadOnly);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Only writers: readers leave nothing behind. */
function lockByFile(path: string): () => void {
  const place = `${path}.lock`;
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(place, String(process.pid), { flag: 'wx' });
      return () => rmSync(place, { force: true });
    } catch {
      let pid = 0;
      try {
        pid = Number(readFileSync(place, 'utf8'));
      } catch {
        // The folder cannot be written to, or the other has just gone.
        return () => {};
      }
      if (pid > 0 && isAlive(pid))
        throw new AnilloError('FILE', `The image ${path} is in use by process ${pid}; end that first, or open the image read-only.`);
      rmSync(place, { force: true });
    }
  }
  return () => {};
}

/** For as long as `fd` is open. What it returns takes away what the file system keeps. AnilloError FILE where somebody else is in the way. */
export function lockImage(fd: number, path: string, isReadOnly: boolean): () => void {
  const libc = hostLibc();
  if (libc !== undefined) {
    lockByFcntl(libc, fd, path, isReadOnly);
    return () => {};
  }
  return isReadOnly ? () => {} : lockByFile(path);
}
