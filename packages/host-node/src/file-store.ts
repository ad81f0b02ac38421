// A disk image in a file of the host, or on a block device. Reads and writes go to Node's threads, several at once.

import fs from 'node:fs';
import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore, Stretch } from '@anillo/disk/byte-store';
import { listByteCount, listSlice, zeroList } from '@anillo/disk/request';
import { fileErrorReason } from './file.ts';
import { lockImage } from './image-lock.ts';
import { ENXIO, FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, hostLibc, type Libc, SEEK_DATA, SEEK_HOLE } from './libc.ts';

/** As many buffers as one system call takes. */
const MAX_BUFFERS = 1024;
const ZEROS = 1 << 20;
const MAX_STRETCHES = 8192;

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "cannot grow: the host's disk is full; make room on it",
  EDQUOT: 'cannot grow: the quota is used up; make room, or raise it',
  EFBIG: 'cannot grow: the file system allows no larger files; put it on another',
  EROFS: 'lies on a read-only file system; open it read-only',
  EACCES: 'cannot be opened by this user; change its permissions',
  EIO: 'cannot be read or written (input/output error); check the disk',
  EEXIST: 'exists already; choose another name',
};

export function storeError(path: string, error: unknown): AnilloError {
  if (error instanceof AnilloError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return new AnilloError('FILE', `The image ${path === '' ? '""' : path} ${REASONS[code] ?? fileErrorReason(error)}.`, { cause: error });
}

/** Of a block device, which has no size as a file. */
function deviceByteCount(stats: fs.Stats): number {
  const [major, minor] = [(stats.rdev >> 8) & 0xfff, (stats.rdev & 0xff) | ((stats.rdev >> 12) & 0xfff00)];
  return Number(fs.readFileSync(`/sys/dev/block/${major}:${minor}/size`, 'utf8')) * 512;
}

export interface FileStoreOptions {
  readonly isReadOnly: boolean;
  /** A new file, or an old one without its content. */
  readonly isNew?: boolean;
  /** Nobody needs what it holds once the process has ended: the file has no name, and flushes are none. */
  readonly isTemporary?: boolean;
  /** Reads what another process may be changing. */
  readonly isUnlocked?: boolean;
}

class FileStore implements ByteStore {
  readonly name: string;
  readonly isReadOnly: boolean;
  readonly #fd: number;
  readonly #libc: Libc | undefined = hostLibc();
  readonly #isDevice: boolean;
  readonly #isTemporary: boolean;
  readonly #unlock: () => void;
  /** What the file has at least: a shorter one has been cut by somebody else. */
  #byteCount: number;
  #hasUnflushed = false;
  #failure: AnilloError | undefined;
  #isOpen = true;
  #canPunch: boolean;

  constructor(fd: number, path: string, byteCount: number, isDevice: boolean, options: FileStoreOptions, unlock: () => void) {
    this.#fd = fd;
    this.name = path;
    this.isReadOnly = options.isReadOnly;
    this.#byteCount = byteCount;
    this.#isDevice = isDevice;
    this.#isTemporary = options.isTemporary === true;
    this.#unlock = unlock;
    this.#canPunch = this.#libc !== undefined;
  }

  async size(): Promise<number> {
    if (this.#isDevice) return this.#byteCount;
    return new Promise((resolve, reject) =>
      fs.fstat(this.#fd, (error, stats) => (error === null ? resolve(stats.size) : reject(storeError(this.name, error)))),
    );
  }

  read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => this.#read(offset, into, resolve, reject));
  }

  #read(offset: number, into: readonly Uint8Array[], resolve: () => void, reject: (error: unknown) => void): void {
    const done = (error: NodeJS.ErrnoException | null, count: number): void => {
      if (error !== null) reject(storeError(this.name, error));
      else this.#afterRead(offset, into, count, resolve, reject);
    };
    try {
      if (into.length === 1) fs.read(this.#fd, into[0], 0, into[0].length, offset, done);
      else if (into.length === 0) resolve();
      else fs.readv(this.#fd, into.length > MAX_BUFFERS ? into.slice(0, MAX_BUFFERS) : into, offset, done);
    } catch (error) {
      reject(storeError(this.name, error));
    }
  }

  #afterRead(offset: number, into: readonly Uint8Array[], count: number, resolve: () => void, reject: (error: unknown) => void): void {
    const left = listByteCount(into) - count;
    if (left === 0) resolve();
    else if (count > 0) this.#read(offset + count, listSlice(into, count, left), resolve, reject);
    else if (offset < this.#byteCount)
      reject(new AnilloError('FILE', `The image ${this.name} has become shorter while it was in use; restore it from a copy.`));
    else {
      zeroList(into);
      resolve();
    }
  }

  write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    this.#hasUnflushed = true;
    return new Promise((resolve, reject) => this.#write(offset, from, resolve, reject));
  }

  #write(offset: number, from: readonly Uint8Array[], resolve: () => void, reject: (error: unknown) => void): void {
    const done = (error: NodeJS.ErrnoException | null, count: number): void => {
      this.#hasUnflushed = true;
      if (error !== null) return reject(storeError(this.name, error));
      this.#byteCount = Math.max(this.#byteCount, offset + count);
      const left = listByteCount(from) - count;
      if (left === 0) resolve();
      else if (count > 0) this.#write(offset + count, listSlice(from, count, left), resolve, reject);
      else reject(new AnilloError('FILE', `The image ${this.name} takes no more bytes; it has reached the end of its device.`));
    };
    try {
      if (from.length === 1) fs.write(this.#fd, from[0], 0, from[0].length, offset, done);
      else if (from.length === 0) resolve();
      else fs.writev(this.#fd, from.length > MAX_BUFFERS ? from.slice(0, MAX_BUFFERS) : from, offset, done);
    } catch (error) {
      reject(storeError(this.name, error));
    }
  }

  async resize(byteCount: number): Promise<void> {
    if (this.#isDevice) {
      if (byteCount <= this.#byteCount) return;
      throw new AnilloError('FILE', `The device ${this.name} has ${this.#byteCount} bytes, and ${byteCount} are needed; use a larger one.`);
    }
    this.#hasUnflushed = true;
    await new Promise<void>((resolve, reject) =>
      fs.ftruncate(this.#fd, byteCount, (error) => (error === null ? resolve() : reject(storeError(this.name, error)))),
    );
    this.#byteCount = byteCount;
  }

  async writeZeroes(offset: number, byteCount: number): Promise<void> {
    this.#hasUnflushed = true;
    const end = offset + byteCount;
    if (!this.#isDevice && end > (await this.size())) await this.resize(end);
    if (byteCount > 0 && this.#canPunch) {
      if (this.#libc!.fallocate(this.#fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, offset, byteCount) === 0) return;
      this.#canPunch = false;
    }
    const zeros = new Uint8Array(Math.min(ZEROS, byteCount));
    for (let at = offset; at < end; at += zeros.length) await this.write(at, [zeros.subarray(0, Math.min(zeros.length, end - at))]);
  }

  async allocate(offset: number, byteCount: number): Promise<void> {
    if (byteCount === 0 || this.#isDevice) return;
    this.#hasUnflushed = true;
    const result = this.#libc?.fallocate(this.#fd, 0, offset, byteCount) ?? 0;
    if (result === -28) throw storeError(this.name, Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }));
    this.#byteCount = await this.size();
  }

  async flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#hasUnflushed || this.#isTemporary || this.isReadOnly) return;
    this.#hasUnflushed = false;
    await new Promise<void>((resolve, reject) => {
      fs.fdatasync(this.#fd, (error) => {
        if (error === null) return resolve();
        // The kernel forgets what it could not write: a later flush would say that all is well.
        this.#failure = storeError(this.name, error);
        reject(this.#failure);
      });
    });
  }

  async stretches(offset: number, byteCount: number): Promise<readonly Stretch[]> {
    const found: Stretch[] = [];
    const end = offset + byteCount;
    const size = Math.min(end, await this.size());
    for (let at = offset; at < size; ) {
      const data = found.length >= MAX_STRETCHES ? at : this.#seek(at, SEEK_DATA, size);
      if (data > at) found.push({ offset: at, byteCount: data - at, isHole: true });
      if (data >= size) break;
      const hole = found.length >= MAX_STRETCHES ? size : this.#seek(data, SEEK_HOLE, size);
      found.push({ offset: data, byteCount: hole - data, isHole: false });
      at = hole;
    }
    if (size < end) {
      const from = Math.max(size, offset);
      found.push({ offset: from, byteCount: end - from, isHole: true });
    }
    return found;
  }

  /** Where the next data or the next hole begins; without the host's help everything is data. */
  #seek(at: number, whence: number, end: number): number {
    const result = this.#libc?.lseek(this.#fd, at, whence) ?? -1;
    if (result >= 0) return Math.min(Math.max(result, at), end);
    return whence === SEEK_HOLE || result === -ENXIO ? end : at;
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await new Promise<void>((resolve) => fs.close(this.#fd, () => resolve()));
    this.#unlock();
  }
}

/** AnilloError FILE. */
export async function openFileStore(path: string, options: FileStoreOptions): Promise<ByteStore> {
  let fd: number;
  try {
    // Never O_TRUNC: the file may be in use.
    const flags = options.isReadOnly ? fs.constants.O_RDONLY : fs.constants.O_RDWR | (options.isNew === true ? fs.constants.O_CREAT : 0);
    fd = fs.openSync(path, flags | (fs.constants.O_NONBLOCK ?? 0), options.isTemporary === true ? 0o600 : 0o666);
  } catch (error) {
    throw storeError(path, error);
  }
  let unlock = (): void => {};
  try {
    const stats = fs.fstatSync(fd);
    if (!stats.isFile() && !stats.isBlockDevice())
      throw new AnilloError(
        'FILE',
        `The image ${path} is ${stats.isDirectory() ? 'a directory' : 'no file'}; give a file or a block device.`,
      );
    if (options.isUnlocked !== true) unlock = lockImage(fd, path, options.isReadOnly);
    if (options.isNew === true && stats.isFile()) fs.ftruncateSync(fd, 0);
    if (options.isTemporary === true) fs.unlinkSync(path);
    const byteCount = stats.isFile() ? (options.isNew === true ? 0 : stats.size) : deviceByteCount(stats);
    return new FileStore(fd, path, byteCount, !stats.isFile(), options, unlock);
  } catch (error) {
    fs.closeSync(fd);
    unlock();
    throw storeError(path, error);
  }
}
