// A folder of the host as a guest's shared folder. Everything goes through ConfinedFolder; links are made and read as text and never followed; what is neither a regular
// file nor a folder is never opened.

import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  statfsSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import {
  FILE_KIND,
  type FileOwner,
  type FileStat,
  type FileTree,
  FileTreeError,
  type OpenFile,
  type OpenFlags,
  type StatChange,
  type TreePath,
  type TreeSpace,
} from '@anillo/devices/virtio/9p/file-tree';
import { ConfinedFolder, descriptorPath, hostName, O_PATH, treeError } from './confined-folder.ts';
import { HostAttributes } from './host-attributes.ts';
import { type FileHost, HostFile } from './host-file.ts';
import { HostOwnership, hostMode, type OwnershipModel } from './host-ownership.ts';
import { hostLibc } from './libc.ts';

export interface HostFolderOptions {
  readonly path: string;
  readonly isReadOnly?: boolean;
  /** Default: mapped. */
  readonly ownership?: OwnershipModel;
  /** False: as on a host without openat2. */
  readonly usesOpenat2?: boolean;
}

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_DIRECTORY } = constants;
/** utimensat(2). */
const TIME = { now: (1n << 30n) - 1n, omit: (1n << 30n) - 2n, noFollow: 0x100 } as const;
const NS = 1_000_000_000n;

const isOrdinary = (mode: number): boolean => [FILE_KIND.regular as number, FILE_KIND.directory].includes(mode & FILE_KIND.mask);

function accessFlags({ reads, writes, truncates, appends }: OpenFlags): number {
  const access = writes ? (reads ? O_RDWR : O_WRONLY) : O_RDONLY;
  return access | (truncates ? O_TRUNC : 0) | (appends ? O_APPEND : 0) | O_NONBLOCK | O_NOCTTY;
}

/** One turn of what node:fs does at once, as a promise. */
const turn = async <T>(work: () => T): Promise<T> => {
  try {
    return work();
  } catch (error) {
    throw treeError(error);
  }
};

export class HostFolder implements FileTree, FileHost {
  readonly isReadOnly: boolean;
  readonly #place: ConfinedFolder;
  readonly #ownership: HostOwnership;
  readonly #attributes: HostAttributes;
  readonly #model: OwnershipModel;
  /** File systems below the folder, which number their files each for itself. */
  readonly #devices = new Map<bigint, bigint>();

  /** AnilloError FILE or UNSUPPORTED. */
  constructor({ path, isReadOnly = false, ownership = 'mapped', usesOpenat2 = true }: HostFolderOptions) {
    this.#place = new ConfinedFolder(path, usesOpenat2);
    this.isReadOnly = isReadOnly;
    this.#model = ownership === 'mapped' && hostLibc() !== undefined ? 'mapped' : 'none';
    this.#ownership = new HostOwnership(this.#model);
    this.#attributes = new HostAttributes(this.#place);
  }

  [Symbol.dispose](): void {
    this.#place.close();
  }

  #hostStat(fd: number): FileStat {
    const stat: BigIntStats = fstatSync(fd, { bigint: true });
    let device = this.#devices.get(stat.dev);
    if (device === undefined) {
      device = BigInt(this.#devices.size) & 0xffffn;
      if (this.#devices.size < 0x10000) this.#devices.set(stat.dev, device);
    }
    return {
      id: BigInt.asUintN(64, stat.ino ^ (device << 48n)),
      mode: Number(stat.mode),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      linkCount: Number(stat.nlink),
      rdev: Number(stat.rdev),
      byteCount: Number(stat.size),
      blockBytes: Number(stat.blksize),
      blocks: Number(stat.blocks),
      accessedNs: stat.atimeNs,
      modifiedNs: stat.mtimeNs,
      changedNs: stat.ctimeNs,
    };
  }

  statOf(fd: number): FileStat {
    return this.#ownership.shown(this.#hostStat(fd), descriptorPath(fd));
  }

  statOfName(folder: number, name: string): FileStat | undefined {
    let fd: number;
    try {
      fd = openSync(descriptorPath(folder, name), O_PATH | O_NOFOLLOW);
    } catch {
      return undefined;
    }
    try {
      return this.statOf(fd);
    } finally {
      closeSync(fd);
    }
  }

  stat(path: TreePath): Promise<FileStat> {
    return turn(() => this.#place.with(path, (fd) => this.statOf(fd)));
  }

  change(path: TreePath, change: StatChange): Promise<void> {
    return turn(() => this.#place.with(path, (fd) => this.changeOf(fd, change, path)));
  }

  /** `path`: where it is, for links, of which nothing but the name can be given to the host. */
  changeOf(fd: number, change: StatChange, path?: TreePath): void {
    const stat = this.statOf(fd);
    const host = descriptorPath(fd);
    const kind = this.#hostStat(fd).mode & FILE_KIND.mask;
    if (isOrdinary(kind)) {
      if (change.byteCount !== undefined) this.#truncate(host, stat, change.byteCount);
      if (change.mode !== undefined)
        chmodSync(host, this.#model === 'mapped' ? hostMode(change.mode, kind === FILE_KIND.directory) : change.mode & 0o777);
      this.#ownership.change(stat, host, change);
    } else if (kind !== FILE_KIND.link) throw new FileTreeError('EPERM');
    else if (change.byteCount !== undefined) throw new FileTreeError('EINVAL');
    else if (change.mode !== undefined) throw new FileTreeError('EOPNOTSUPP');
    if (change.accessedNs === undefined && change.modifiedNs === undefined) return;
    if (kind !== FILE_KIND.link) this.#setTimes(host, stat, change, 0);
    else if (path !== undefined) this.#place.withName(path, (name) => this.#setTimes(name, stat, change, TIME.noFollow));
  }

  #truncate(host: Buffer, { mode }: FileStat, byteCount: number): void {
    if ((mode & FILE_KIND.mask) !== FILE_KIND.regular)
      throw new FileTreeError((mode & FILE_KIND.mask) === FILE_KIND.directory ? 'EISDIR' : 'EINVAL');
    const fd = openSync(host, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    try {
      ftruncateSync(fd, byteCount);
    } finally {
      closeSync(fd);
    }
  }

  #setTimes(host: Buffer, stat: FileStat, { accessedNs, modifiedNs }: StatChange, flags: number): void {
    const libc = hostLibc();
    if (libc === undefined) {
      const seconds = (time: bigint | 'now' | undefined, now: bigint): number =>
        time === 'now' ? Date.now() / 1000 : Number(time ?? now) / 1e9;
      lutimesSync(host, seconds(accessedNs, stat.accessedNs), seconds(modifiedNs, stat.modifiedNs));
      return;
    }
    const parts = [accessedNs, modifiedNs].flatMap((time) => {
      if (time === undefined || time === 'now') return [0n, time === 'now' ? TIME.now : TIME.omit];
      const ns = ((time % NS) + NS) % NS;
      return [(time - ns) / NS, ns];
    });
    const result = libc.utimensat(Buffer.concat([host, Buffer.of(0)]), BigInt64Array.from(parts), flags);
    if (result < 0) throw new FileTreeError('EPERM');
  }

  open(path: TreePath, flags: OpenFlags): Promise<OpenFile> {
    return turn(() => this.#place.with(path, (fd) => this.#reopen(fd, flags)));
  }

  /** What it stands for is known before it is opened, so no fifo and no device is. */
  #reopen(fd: number, flags: OpenFlags): OpenFile {
    const { mode } = this.statOf(fd);
    const kind = mode & FILE_KIND.mask;
    if (kind === FILE_KIND.link) throw new FileTreeError('ELOOP');
    if (!isOrdinary(mode)) throw new FileTreeError('EACCES');
    if (kind === FILE_KIND.directory && flags.writes) throw new FileTreeError('EISDIR');
    const access = kind === FILE_KIND.directory ? O_RDONLY | O_DIRECTORY : accessFlags(flags);
    return new HostFile(openSync(descriptorPath(fd), access), this);
  }

  create(path: TreePath, flags: OpenFlags & { readonly isNew: boolean }, mode: number, owner: FileOwner): Promise<OpenFile> {
    return turn(() => {
      try {
        return this.#place.withName(path, (place) => new HostFile(this.#make(place, flags, FILE_KIND.regular | mode, 0, owner), this));
      } catch (error) {
        if (flags.isNew || !(error instanceof FileTreeError) || error.message !== 'EEXIST') throw error;
        return this.#place.with(path, (fd) => this.#reopen(fd, flags));
      }
    });
  }

  /** A new file, and what it is to be. */
  #make(place: Buffer, flags: OpenFlags, mode: number, rdev: number, { uid, gid }: FileOwner): number {
    const fd = openSync(place, accessFlags(flags) | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    fchmodSync(fd, this.#model === 'mapped' ? hostMode(mode, false) : mode & 0o777);
    this.#ownership.write(descriptorPath(fd), { uid, gid, mode, rdev });
    return fd;
  }

  makeFolder(path: TreePath, mode: number, { uid, gid }: FileOwner): Promise<void> {
    return turn(() => {
      this.#place.withName(path, (place) => mkdirSync(place, 0o700));
      const become = (fd: number): void => {
        chmodSync(descriptorPath(fd), this.#model === 'mapped' ? hostMode(mode, true) : mode & 0o777);
        this.#ownership.write(descriptorPath(fd), { uid, gid, mode: FILE_KIND.directory | mode, rdev: 0 });
      };
      this.#place.with(path, become, O_DIRECTORY);
    });
  }

  /** Never a device or a fifo of the host: what stands for one is an empty file. */
  makeNode(path: TreePath, mode: number, rdev: number, owner: FileOwner): Promise<void> {
    return turn(() => {
      const kind = mode & FILE_KIND.mask;
      if (kind === FILE_KIND.directory || kind === FILE_KIND.link) throw new FileTreeError('EINVAL');
      if (kind !== FILE_KIND.regular && kind !== 0 && this.#model !== 'mapped') throw new FileTreeError('EPERM');
      const flags = { reads: false, writes: true, truncates: false, appends: false };
      const whole = (kind === 0 ? FILE_KIND.regular : kind) | (mode & 0o7777);
      this.#place.withName(path, (place) => closeSync(this.#make(place, flags, whole, rdev, owner)));
    });
  }

  makeLink(path: TreePath, target: string): Promise<void> {
    return turn(() => this.#place.withName(path, (place) => symlinkSync(hostName(target), place)));
  }

  readLink(path: TreePath): Promise<string> {
    return turn(() => this.#place.withName(path, (place) => readlinkSync(place, { encoding: 'buffer' }).toString('latin1')));
  }

  link(from: TreePath, to: TreePath): Promise<void> {
    return turn(() => this.#place.withName(from, (old) => this.#place.withName(to, (now) => linkSync(old, now))));
  }

  rename(from: TreePath, to: TreePath): Promise<void> {
    return turn(() => this.#place.withName(from, (old) => this.#place.withName(to, (now) => renameSync(old, now))));
  }

  unlink(path: TreePath): Promise<void> {
    return turn(() => this.#place.withName(path, (place) => unlinkSync(place)));
  }

  removeFolder(path: TreePath): Promise<void> {
    return turn(() => this.#place.withName(path, (place) => rmdirSync(place)));
  }

  space(): Promise<TreeSpace> {
    return turn(() => {
      const space = statfsSync(descriptorPath(this.#place.root), { bigint: true });
      return {
        type: Number(BigInt.asUintN(32, space.type)),
        blockBytes: Number(space.bsize),
        blocks: space.blocks,
        freeBlocks: space.bfree,
        availableBlocks: space.bavail,
        files: space.files,
        freeFiles: space.ffree,
      };
    });
  }

  getAttribute(path: TreePath, name: string): Promise<Uint8Array> {
    return turn(() => this.#attributes.get(path, name));
  }

  listAttributes(path: TreePath): Promise<readonly string[]> {
    return turn(() => this.#attributes.list(path));
  }

  setAttribute(path: TreePath, name: string, value: Uint8Array | undefined, flags: number): Promise<void> {
    return turn(() => this.#attributes.set(path, name, value, flags));
  }
}
