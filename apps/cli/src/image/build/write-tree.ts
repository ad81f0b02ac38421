// A system's files, from a tar stream into a new ext4 file system.

import type { Ext4Writer } from '@anillo/disk/ext4/ext4-writer';
import { type TarEntry, tarEntries } from '../../tar-entries.ts';

/** What is written instead of what the archive has, or beside it. */
export type OwnFile = { readonly path: string } & ({ readonly content: string; readonly mode?: number } | { readonly target: string });

/** Access lists are made anew by systemd-tmpfiles; they have another form in ext4. */
const KNOWN_ATTRIBUTE = /^(user|trusted|security)\./;

async function add(writer: Ext4Writer, entry: TarEntry): Promise<void> {
  const { path, kind, byteCount, target, major, minor } = entry;
  const attributes = new Map([...entry.attributes].filter(([name]) => KNOWN_ATTRIBUTE.test(name)));
  const file = { path, mode: entry.mode, user: entry.user, group: entry.group, modifyTime: entry.modifyTime, attributes };
  switch (kind) {
    case 'directory':
      return writer.addDirectory(file);
    case 'file':
      return writer.addFile(file, byteCount, entry.content());
    case 'symlink':
      return writer.addSymlink(file, target);
    case 'hard link':
      return writer.addHardLink(path, target.replace(/^(\.?\/)+/, ''));
    case 'fifo':
      return writer.addFifo(file);
    default:
      return writer.addDevice(file, kind, major, minor);
  }
}

export interface TreeOptions {
  readonly own: readonly OwnFile[];
  /** Seconds since 1970, of these. */
  readonly time: number;
  readonly onProgress?: (fileCount: number) => void;
}

/** AnilloError BAD_IMAGE for an archive that is none, BAD_OPTION where it does not fit. */
export async function writeTree(writer: Ext4Writer, stream: AsyncIterable<Uint8Array>, { own, time, onProgress }: TreeOptions): Promise<void> {
  const ownPaths = new Set(own.map(({ path }) => path));
  let count = 0;
  for await (const entry of tarEntries(stream)) {
    if (!ownPaths.has(entry.path)) await add(writer, entry);
    if (++count % 1000 === 0) onProgress?.(count);
  }
  for (const file of own) {
    const owner = { path: file.path, user: 0, group: 0, modifyTime: time };
    if ('target' in file) await writer.addSymlink({ ...owner, mode: 0o777 }, file.target);
    else {
      const bytes = Buffer.from(file.content);
      await writer.addFile({ ...owner, mode: file.mode ?? 0o644 }, bytes.length, [bytes]);
    }
  }
}
