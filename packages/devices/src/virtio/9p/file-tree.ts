// What a 9P server needs of a folder. Paths are lists of names from the folder's root; names are bytes, one character each, and have been checked: not empty, not
// "." or "..", without slash and NUL, at most 255 bytes. A call rejects with a FileTreeError for what Linux would answer with that errno. Buffers are lent until it settles.

/** Linux's errno numbers (asm-generic/errno.h), which 9P2000.L speaks. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  EBADF: 9,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EOPNOTSUPP: 95,
  ESTALE: 116,
  EDQUOT: 122,
} as const;

export type ErrnoName = keyof typeof ERRNO;

export class FileTreeError extends Error {
  readonly errno: number;
  constructor(name: ErrnoName, options?: { cause?: unknown }) {
    super(name, options);
    this.name = 'FileTreeError';
    this.errno = ERRNO[name];
  }
}

/** The kind of a file in its mode (inode(7)). */
export const FILE_KIND = {
  mask: 0o170000,
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  regular: 0o100000,
  link: 0o120000,
  socket: 0o140000,
} as const;

export type TreePath = readonly string[];

export interface FileStat {
  /** The same for all names of one file, another for every other file. */
  readonly id: bigint;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly linkCount: number;
  readonly rdev: number;
  readonly byteCount: number;
  readonly blockBytes: number;
  /** Of 512 bytes. */
  readonly blocks: number;
  readonly accessedNs: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

/** Absent: stays as it is. */
export interface StatChange {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly byteCount?: number;
  readonly accessedNs?: bigint | 'now';
  readonly modifiedNs?: bigint | 'now';
}

export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

export interface OpenFlags {
  readonly reads: boolean;
  readonly writes: boolean;
  readonly truncates: boolean;
  readonly appends: boolean;
}

export interface FolderEntry {
  readonly name: string;
  readonly stat: FileStat;
  /** Where the next entry is. */
  readonly next: number;
}

/** An open file or folder: what it names stays the same whatever becomes of the name. */
export interface OpenFile {
  readonly isFolder: boolean;
  stat(): Promise<FileStat>;
  change(change: StatChange): Promise<void>;
  /** Bytes read; fewer than there is room for only at the end. */
  read(offset: number, into: readonly Uint8Array[]): Promise<number>;
  write(offset: number, from: readonly Uint8Array[]): Promise<number>;
  sync(dataOnly: boolean): Promise<void>;
  /** Some entries from a position on (0: the first); none: that was all. "." and ".." are not among them. */
  list(position: number): Promise<readonly FolderEntry[]>;
  close(): Promise<void>;
}

/** As statfs(2) says it. */
export interface TreeSpace {
  readonly type: number;
  readonly blockBytes: number;
  readonly blocks: bigint;
  readonly freeBlocks: bigint;
  readonly availableBlocks: bigint;
  readonly files: bigint;
  readonly freeFiles: bigint;
}

export interface FileTree {
  readonly isReadOnly: boolean;
  stat(path: TreePath): Promise<FileStat>;
  change(path: TreePath, change: StatChange): Promise<void>;
  /** Regular files and folders only. */
  open(path: TreePath, flags: OpenFlags): Promise<OpenFile>;
  /** `isNew`: EEXIST if there is one. */
  create(path: TreePath, flags: OpenFlags & { readonly isNew: boolean }, mode: number, owner: FileOwner): Promise<OpenFile>;
  makeFolder(path: TreePath, mode: number, owner: FileOwner): Promise<void>;
  makeNode(path: TreePath, mode: number, rdev: number, owner: FileOwner): Promise<void>;
  /** The target is text that nobody here follows. */
  makeLink(path: TreePath, target: string, owner: FileOwner): Promise<void>;
  readLink(path: TreePath): Promise<string>;
  /** Another name of a file. */
  link(from: TreePath, to: TreePath): Promise<void>;
  rename(from: TreePath, to: TreePath): Promise<void>;
  unlink(path: TreePath): Promise<void>;
  removeFolder(path: TreePath): Promise<void>;
  space(): Promise<TreeSpace>;
  /** ENODATA: there is none; EOPNOTSUPP: not of that name. */
  getAttribute(path: TreePath, name: string): Promise<Uint8Array>;
  listAttributes(path: TreePath): Promise<readonly string[]>;
  /** `value` undefined: removes it. */
  setAttribute(path: TreePath, name: string, value: Uint8Array | undefined, flags: number): Promise<void>;
}
