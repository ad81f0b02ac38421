// A shared folder with nothing in it, which takes nothing.

import {
  type FileStat,
  type FileTree,
  FileTreeError,
  type OpenFile,
  type OpenFlags,
  type TreePath,
  type TreeSpace,
} from '../virtio/9p/file-tree.ts';

const ROOT: FileStat = {
  ...{ id: 1n, mode: 0o040755, uid: 0, gid: 0, linkCount: 2, rdev: 0, byteCount: 0, blockBytes: 4096, blocks: 0 },
  ...{ accessedNs: 0n, modifiedNs: 0n, changedNs: 0n },
};

const refuse = async (): Promise<never> => {
  throw new FileTreeError('EROFS');
};

const FOLDER: OpenFile = {
  ...{ isFolder: true, stat: async () => ROOT, change: refuse, read: refuse, write: refuse },
  ...{ sync: async () => {}, list: async () => [], close: async () => {} },
};

export class EmptyTree implements FileTree {
  readonly isReadOnly = true;
  readonly change = refuse;
  readonly create = refuse;
  readonly makeFolder = refuse;
  readonly makeNode = refuse;
  readonly makeLink = refuse;
  readonly link = refuse;
  readonly rename = refuse;
  readonly unlink = refuse;
  readonly removeFolder = refuse;
  readonly setAttribute = refuse;

  async stat(path: TreePath): Promise<FileStat> {
    if (path.length > 0) throw new FileTreeError('ENOENT');
    return ROOT;
  }

  async open(path: TreePath, _flags: OpenFlags): Promise<OpenFile> {
    await this.stat(path);
    return FOLDER;
  }

  async readLink(path: TreePath): Promise<string> {
    await this.stat(path);
    throw new FileTreeError('EINVAL');
  }

  async space(): Promise<TreeSpace> {
    return { type: 0x01021997, blockBytes: 4096, blocks: 0n, freeBlocks: 0n, availableBlocks: 0n, files: 1n, freeFiles: 0n };
  }

  async getAttribute(): Promise<Uint8Array> {
    throw new FileTreeError('ENODATA');
  }

  async listAttributes(): Promise<readonly string[]> {
    return [];
  }
}
