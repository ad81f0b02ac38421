// Extended attributes of the files of a shared folder: those of users (xattr(7)), but not those by which Anillo keeps the guest's owners. Others are the host's own business.

import { fstatSync } from 'node:fs';
import { ERRNO, FileTreeError, type ErrnoName, type TreePath } from '@anillo/devices/virtio/9p/file-tree';
import { type ConfinedFolder, descriptorPath, hostName } from './confined-folder.ts';
import { hostLibc, type Libc } from './libc.ts';

const MOST_BYTES = 64 * 1024;
const OWN = 'user.anillo.';
const ERANGE = -ERRNO.ERANGE;

function check(result: number): number {
  if (result >= 0) return result;
  const name = Object.entries(ERRNO).find(([, number]) => number === -result)?.[0] as ErrnoName | undefined;
  throw new FileTreeError(name ?? 'EIO');
}

const isGuests = (name: string): boolean => name.startsWith('user.') && !name.startsWith(OWN);

export class HostAttributes {
  readonly #place: ConfinedFolder;

  constructor(place: ConfinedFolder) {
    this.#place = place;
  }

  #with<T>(path: TreePath, work: (libc: Libc, place: Buffer) => T): T {
    const libc = hostLibc();
    if (libc === undefined) throw new FileTreeError('EOPNOTSUPP');
    return this.#place.with(path, (fd) => {
      const stat = fstatSync(fd);
      if (!stat.isFile() && !stat.isDirectory()) throw new FileTreeError('EOPNOTSUPP');
      return work(libc, Buffer.concat([descriptorPath(fd), Buffer.of(0)]));
    });
  }

  get(path: TreePath, name: string): Uint8Array {
    if (!isGuests(name)) throw new FileTreeError('EOPNOTSUPP');
    return this.#with(path, (libc, place) => {
      const value = new Uint8Array(MOST_BYTES);
      return value.slice(0, check(libc.getxattr(place, hostName(`${name}\0`), value)));
    });
  }

  list(path: TreePath): readonly string[] {
    return this.#with(path, (libc, place) => {
      const list = Buffer.alloc(MOST_BYTES);
      const count = libc.listxattr(place, list);
      if (count === ERANGE) throw new FileTreeError('ERANGE');
      return list.toString('latin1', 0, check(count)).split('\0').filter(isGuests);
    });
  }

  set(path: TreePath, name: string, value: Uint8Array | undefined, flags: number): void {
    if (!isGuests(name)) throw new FileTreeError('EOPNOTSUPP');
    this.#with(path, (libc, place) => {
      const named = hostName(`${name}\0`);
      check(value === undefined ? libc.removexattr(place, named) : libc.setxattr(place, named, value, flags & 3));
    });
  }
}
