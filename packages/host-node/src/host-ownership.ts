// Who owns the files of a shared folder. On the host everything belongs to the user who runs the machine. `mapped`: what the guest believes of owner, mode and kind is
// kept beside the file in an extended attribute, so a guest's set-user-id programs and devices mean nothing on the host. `none`: the host's owner and mode are shown, a
// change of owner is taken and forgotten, as QEMU's security_model=none does.

import { FILE_KIND, type FileOwner, type FileStat, type StatChange } from '@anillo/devices/virtio/9p/file-tree';
import { hostName } from './confined-folder.ts';
import { hostLibc } from './libc.ts';

export type OwnershipModel = 'mapped' | 'none';

/** Owner, group, mode with its kind, device: four 32-bit numbers, little-endian. */
export const OWNER_ATTRIBUTE = 'user.anillo.owner';
const OWNER_BYTES = 16;
const NAME = hostName(`${OWNER_ATTRIBUTE}\0`);

/** What is left of a mode on the host: no set-user-id, and the user can always read and write. */
export const hostMode = (mode: number, isFolder: boolean): number => (mode & 0o777) | (isFolder ? 0o700 : 0o600);

export interface KeptOwner extends FileOwner {
  readonly mode: number;
  readonly rdev: number;
}

export class HostOwnership {
  readonly #isMapped: boolean;

  constructor(model: OwnershipModel) {
    this.#isMapped = model === 'mapped' && hostLibc() !== undefined;
  }

  /** Of what the path (through /proc/self/fd) stands for; links have no such attributes. */
  read(path: Buffer): KeptOwner | undefined {
    if (!this.#isMapped) return undefined;
    const bytes = Buffer.alloc(OWNER_BYTES);
    if (hostLibc()?.getxattr(Buffer.concat([path, Buffer.of(0)]), NAME, bytes) !== OWNER_BYTES) return undefined;
    const [uid, gid, mode, rdev] = [0, 4, 8, 12].map((at) => bytes.readUInt32LE(at));
    return { uid, gid, mode, rdev };
  }

  /** A file system without such attributes keeps nothing. */
  write(path: Buffer, kept: KeptOwner): void {
    if (!this.#isMapped) return;
    const bytes = Buffer.alloc(OWNER_BYTES);
    [kept.uid, kept.gid, kept.mode, kept.rdev].forEach((value, i) => {
      bytes.writeUInt32LE(value >>> 0, i * 4);
    });
    hostLibc()?.setxattr(Buffer.concat([path, Buffer.of(0)]), NAME, bytes, 0);
  }

  /** What the guest is shown. */
  shown(stat: FileStat, path: Buffer): FileStat {
    const kind = stat.mode & FILE_KIND.mask;
    if (kind !== FILE_KIND.regular && kind !== FILE_KIND.directory) return stat;
    const kept = this.read(path);
    if (kept === undefined) return stat;
    // A folder is a folder; only an ordinary file may stand for something else.
    const keptKind = kept.mode & FILE_KIND.mask;
    const stands = [FILE_KIND.fifo, FILE_KIND.character, FILE_KIND.block, FILE_KIND.socket].some((special) => special === keptKind);
    const shownKind = kind === FILE_KIND.regular && stands ? keptKind : kind;
    return { ...stat, uid: kept.uid, gid: kept.gid, mode: shownKind | (kept.mode & 0o7777), rdev: kept.rdev };
  }

  /** The part of a change that concerns owner and mode. */
  change(shown: FileStat, path: Buffer, { mode, uid, gid }: StatChange): void {
    if (mode === undefined && uid === undefined && gid === undefined) return;
    this.write(path, {
      uid: uid ?? shown.uid,
      gid: gid ?? shown.gid,
      mode: mode === undefined ? shown.mode : (shown.mode & FILE_KIND.mask) | mode,
      rdev: shown.rdev,
    });
  }
}
