// A disk image in a file of the host, or on a block device. Reads and writes go to Node's threads, several at once.

import fs from 'node:fs';
import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore, Stretch } from '@anillo/disk/byte-store';
import { Mutex } from '@anillo/disk/mutex';
import { listByteCount, listSlice, zeroList } from '@anillo/disk/request';
import { fileErrorReason } from './file.ts';
import { cutShort, FileWatch } from './file-watch.ts';
import { lockImage } from './image-lock.ts';
import { ENXIO, FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, hostLibc, type Libc, SEEK_DATA, SEEK_HOLE } from './libc.ts';
import { Promptness } from './promptness.ts';

/** As many buffers as one system call takes. */
const MAX_BUFFERS = 1024;
const ZEROS = 1 << 20;
const MAX_STRETCHES = 8192;
/** Requests of so many bytes may be done at once: more is worth a thread of its own. */
const MAX_PROMPT_BYTES = 1 << 17;
/** File systems (statfs(2)) that wait for other hosts or programs: NFS, CIFS, SMB2, FUSE, 9P, CEPH. */
const REMOTE_FILE_SYSTEMS = new Set([0x6969, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x00c36400]);

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

function isRemote(path: string): boolean {
  try {
    return REMOTE_FILE_SYSTEMS.has(fs.statfsSync(path).type >>> 0);
  } catch {
    return true;
  }
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
  /** Of files; undefined where what others do to it is no concern. */
  readonly #watch: FileWatch | undefined;
  /** Of reads and of writes; undefined where no request is prompt. */
  readonly #prompt: { readonly reads: Promptness; readonly writes: Promptness } | undefined;
  /** What the file has at least: a shorter one has been cut by somebody else. */
  #byteCount: number;
  #hasUnflushed = false;
  /** One at a time: who comes while one is under way must not be told before it has ended. */
  readonly #flushing = new Mutex();
  /** Reads and writes that have not settled: the descriptor stays theirs. */
  #underWay = 0;
  #onIdle: (() => void) | undefined;
  #failure: AnilloError | undefined;
  #isOpen = true;
  #canPunch: boolean;

  constructor(fd: number, path: string, stats: fs.Stats, options: FileStoreOptions, unlock: () => void) {
    const isDevice = !stats.isFile();
    this.#fd = fd;
    this.name = path;
    this.isReadOnly = options.isReadOnly;
    this.#byteCount = isDevice ? deviceByteCount(stats) : options.isNew === true ? 0 : stats.size;
    this.#isDevice = isDevice;
    this.#watch = isDevice || options.isTemporary === true || options.isUnlocked === true ? undefined : new FileWatch(fd, path, stats);
    this.#prompt = isDevice || isRemote(path) ? undefined : { reads: new Promptness(), writes: new Promptness() };
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
    return this.#during((resolve, reject) => this.#read(offset, into, resolve, reject));
  }

  #during(start: (resolve: () => void, reject: (error: unknown) => void) => void): Promise<void> {
    if (!this.#isOpen) return Promise.reject(new AnilloError('STATE', `The image ${this.name} has been closed; open it again.`));
    this.#underWay++;
    return new Promise((resolve, reject) => {
      const settled = (): void => {
        if (--this.#underWay === 0) this.#onIdle?.();
      };
      start(
        () => {
          settled();
          resolve();
        },
        (error) => {
          settled();
          reject(error);
        },
      );
    });
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
    if (left > 0 && count > 0) return this.#read(offset + count, listSlice(into, count, left), resolve, reject);
    const wrong = left > 0 && offset < this.#byteCount ? cutShort(this.name) : this.#change();
    if (wrong !== undefined) return reject(wrong);
    if (left > 0) zeroList(into);
    resolve();
  }

  #change(): AnilloError | undefined {
    return this.isReadOnly ? this.#watch?.change() : undefined;
  }

  readNow(offset: number, into: readonly Uint8Array[]): boolean {
    const byteCount = listByteCount(into);
    if (!this.#isOpen || this.#prompt === undefined || byteCount > MAX_PROMPT_BYTES || into.length > MAX_BUFFERS) return false;
    return this.#prompt.reads.try(() => {
      try {
        const count = into.length === 1 ? fs.readSync(this.#fd, into[0], 0, byteCount, offset) : fs.readvSync(this.#fd, into, offset);
        return count === byteCount && this.#change() === undefined;
      } catch {
        return false; // `read` will say why
      }
    });
  }

  writeNow(offset: number, from: readonly Uint8Array[]): boolean {
    const byteCount = listByteCount(from);
    // What makes the file longer takes room, which takes time.
    if (!this.#isOpen || this.#prompt === undefined || byteCount > MAX_PROMPT_BYTES || from.length > MAX_BUFFERS) return false;
    if (offset + byteCount > this.#byteCount) return false;
    this.#hasUnflushed = true;
    return this.#prompt.writes.try(() => {
      try {
        return (
          byteCount === (from.length === 1 ? fs.writeSync(this.#fd, from[0], 0, byteCount, offset) : fs.writevSync(this.#fd, from, offset))
        );
      } catch {
        return false;
      }
    });
  }

  write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    this.#hasUnflushed = true;
    return this.#during((resolve, reject) => this.#write(offset, from, resolve, reject));
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
    // Never by cutting to that size: somebody else may write behind it at the same time.
    if (byteCount > 0 && !this.#isDevice && end > (await this.size())) await this.write(end - 1, [new Uint8Array(1)]);
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

  flush(): Promise<void> {
    return this.#flushing.run(() => this.#flush());
  }

  async #flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#hasUnflushed || this.#isTemporary || this.isReadOnly) return;
    const loss = this.#watch?.loss(this.#byteCount);
    if (loss !== undefined) throw loss;
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
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
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
    const store = new FileStore(fd, path, stats, options, unlock);
    if (options.isTemporary === true) fs.unlinkSync(path);
    return store;
  } catch (error) {
    fs.closeSync(fd);
    unlock();
    throw storeError(path, error);
  }
}
