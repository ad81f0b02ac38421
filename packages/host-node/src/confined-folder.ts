// Opens what lies below a folder of the host, and nothing else: no symbolic link is followed anywhere, and no name leads out, whoever moves folders about meanwhile.
// Linux's openat2 with RESOLVE_BENEATH says that in one call; where it is not to be had each folder is opened by its own name in the one before, through
// /proc/self/fd. Never by a whole path of the host's.

import { closeSync, constants, openSync } from 'node:fs';
import { AnilloError } from '@anillo/base/anillo-error';
import { type ErrnoName, ERRNO, FileTreeError, type TreePath } from '@anillo/devices/virtio/9p/file-tree';
import { fileErrorReason } from './file.ts';
import { hostLibc } from './libc.ts';

/** Stands for a file without opening it (open(2)): fifos and devices are not touched. */
export const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const RESOLVE = 0x08n | 0x04n | 0x02n; // BENEATH, NO_SYMLINKS, NO_MAGICLINKS
const MOST_PATH_BYTES = 4000;
const ENOSYS = 38;
const EAGAIN = 11;
const { O_NOFOLLOW, O_DIRECTORY, O_RDONLY } = constants;

const NAMES: ReadonlyMap<number, ErrnoName> = new Map(Object.entries(ERRNO).map(([name, number]) => [number, name as ErrnoName]));

/** What node:fs threw, as an errno for a guest. */
export function treeError(error: unknown): FileTreeError {
  if (error instanceof FileTreeError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const name = Object.hasOwn(ERRNO, code) ? (code as ErrnoName) : code === 'ENOTSUP' ? 'EOPNOTSUPP' : 'EIO';
  return new FileTreeError(name, { cause: error });
}

/** Names are bytes, one character each. */
export const hostName = (text: string): Buffer => Buffer.from(text, 'latin1');

/** The path of what a descriptor stands for, or of a name in the folder that it stands for. */
export const descriptorPath = (fd: number, name?: string): Buffer => hostName(`/proc/self/fd/${fd}${name === undefined ? '' : `/${name}`}`);

export class ConfinedFolder {
  readonly #root: number;
  #usesOpenat2: boolean;

  /** AnilloError FILE if there is no such folder, UNSUPPORTED where this cannot be done. `usesOpenat2` false: as where the host has it not. */
  constructor(path: string, usesOpenat2 = true) {
    if (process.platform !== 'linux') throw new AnilloError('UNSUPPORTED', 'Folders are shared on Linux hosts only; leave the share out.');
    try {
      this.#root = openSync(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } catch (error) {
      throw new AnilloError('FILE', `The shared folder ${path} ${fileErrorReason(error)}.`, { cause: error });
    }
    this.#usesOpenat2 = usesOpenat2 && hostLibc() !== undefined;
    try {
      closeSync(this.#openName(this.#root, '.', O_PATH));
    } catch (error) {
      closeSync(this.#root);
      throw new AnilloError('UNSUPPORTED', 'Folders cannot be shared without /proc; mount it.', { cause: error });
    }
  }

  get root(): number {
    return this.#root;
  }

  close(): void {
    closeSync(this.#root);
  }

  #openName(folder: number, name: string, flags: number): number {
    return openSync(descriptorPath(folder, name), flags | O_NOFOLLOW | O_CLOEXEC);
  }

  /** A descriptor that stands for what is there (O_PATH): a link is itself. The caller closes it. */
  #open(path: TreePath, flags: number): number {
    let folder = this.#root;
    try {
      for (let from = 0; ; ) {
        let to = from;
        for (let byteCount = 0; to < path.length && byteCount + path[to].length < MOST_PATH_BYTES; to++) byteCount += path[to].length + 1;
        const isLast = to === path.length;
        const next = this.#openBelow(folder, path.slice(from, to), isLast ? flags : O_PATH | O_DIRECTORY);
        if (folder !== this.#root) closeSync(folder);
        folder = next;
        if (isLast) return next;
        from = to;
      }
    } catch (error) {
      if (folder !== this.#root) closeSync(folder);
      throw treeError(error);
    }
  }

  #openBelow(start: number, names: TreePath, flags: number): number {
    if (names.length === 0) return this.#openName(start, '.', flags);
    if (this.#usesOpenat2) {
      const opened = this.#openAtOnce(start, names, flags);
      if (opened !== undefined) return opened;
    }
    let folder = start;
    try {
      names.forEach((name, i) => {
        const next = this.#openName(folder, name, i === names.length - 1 ? flags : O_PATH | O_DIRECTORY);
        if (folder !== start) closeSync(folder);
        folder = next;
      });
      return folder;
    } catch (error) {
      if (folder !== start) closeSync(folder);
      throw error;
    }
  }

  #openAtOnce(start: number, names: TreePath, flags: number): number | undefined {
    const how = new BigUint64Array([BigInt(flags | O_NOFOLLOW | O_CLOEXEC), 0n, RESOLVE]);
    const result = hostLibc()?.openat2(start, hostName(`${names.join('/')}\0`), how) ?? -ENOSYS;
    if (result >= 0) return result;
    // EAGAIN: somebody renamed something meanwhile, and the kernel cannot tell; name by name it can.
    if (result === -EAGAIN) return undefined;
    if (result === -ENOSYS || result === -ERRNO.EPERM) {
      this.#usesOpenat2 = false;
      return undefined;
    }
    throw new FileTreeError(NAMES.get(-result) ?? 'EIO');
  }

  /** Calls `work` with a descriptor that stands for what is there. */
  with<T>(path: TreePath, work: (fd: number) => T, flags = 0): T {
    const fd = this.#open(path, O_PATH | flags);
    try {
      return work(fd);
    } catch (error) {
      throw treeError(error);
    } finally {
      closeSync(fd);
    }
  }

  /** Calls `work` with a way to the name itself in its folder, which has been opened: system calls that do not follow a link at the end are confined by it. */
  withName<T>(path: TreePath, work: (place: Buffer, folder: number, name: string) => T): T {
    const name = path.at(-1);
    if (name === undefined) throw new FileTreeError('EBUSY');
    return this.with(path.slice(0, -1), (folder) => work(descriptorPath(folder, name), folder, name), O_DIRECTORY);
  }
}
