// What 9P2000.L requests do (Linux's include/net/9p/9p.h names them; diod's protocol.md says what they mean). A request reads its fields, works on the tree, and
// writes the fields of its answer; what it throws becomes Rlerror.

import type { Fid, FidTable } from './fid-table.ts';
import { FILE_KIND, type FileStat, FileTreeError, type FileTree, type OpenFlags, type StatChange } from './file-tree.ts';
import type { MessageReader, MessageWriter } from './message.ts';
import type { NameNode, NameTree } from './name-tree.ts';

export interface Session {
  readonly tree: FileTree;
  readonly names: NameTree;
  readonly fids: FidTable;
}

type Request = (session: Session, from: MessageReader, to: MessageWriter) => Promise<void>;

const MOST_WALKED = 16;
const MOST_NAME_BYTES = 255;
const MOST_TARGET_BYTES = 4095;
const NO_UID = 0xffffffff;
/** Bits of open(2) as x86's Linux has them, which the dialect uses. */
const OPEN = { accessMask: 3, writeOnly: 1, readWrite: 2, exclusive: 0o200, truncate: 0o1000, append: 0o2000 } as const;
/** Tsetattr's mask. */
const SET = { mode: 1, uid: 2, gid: 4, size: 8, atime: 16, mtime: 32, ctime: 64, atimeGiven: 128, mtimeGiven: 256 } as const;
const GETATTR_BASIC = 0x7ffn;
const AT_REMOVEDIR = 0x200;
const ENTRY_TYPES: Readonly<Record<number, number>> = Object.fromEntries(Object.values(FILE_KIND).map((kind) => [kind, kind >> 12]));
const NS = 1_000_000_000n;

/** A name as a client may give one for something new or to be found. */
export function checkedName(name: string): string {
  if (name === '') throw new FileTreeError('ENOENT');
  if (name.length > MOST_NAME_BYTES) throw new FileTreeError('ENAMETOOLONG');
  if (name === '.' || name === '..' || name.includes('/') || name.includes('\0')) throw new FileTreeError('EINVAL');
  return name;
}

const isFolder = ({ mode }: FileStat): boolean => (mode & FILE_KIND.mask) === FILE_KIND.directory;

function writeQid(to: MessageWriter, stat: FileStat): void {
  const kind = stat.mode & FILE_KIND.mask;
  // Not 0, which means that a client had better not cache the file.
  const version = Number(BigInt.asUintN(31, (stat.modifiedNs >> 10n) ^ BigInt(stat.byteCount))) | 1;
  to.u8(kind === FILE_KIND.directory ? 0x80 : kind === FILE_KIND.link ? 0x02 : 0)
    .u32(version)
    .u64(stat.id);
}

function openFlags(bits: number): OpenFlags {
  const access = bits & OPEN.accessMask;
  return {
    reads: access !== OPEN.writeOnly,
    writes: access === OPEN.writeOnly || access === OPEN.readWrite,
    truncates: (bits & OPEN.truncate) !== 0,
    appends: (bits & OPEN.append) !== 0,
  };
}

function mustWrite({ tree }: Session): void {
  if (tree.isReadOnly) throw new FileTreeError('EROFS');
}

/** A folder's fid, and a name in it. */
function place(session: Session, from: MessageReader): { fid: Fid; name: string; path: readonly string[] } {
  const fid = session.fids.get(from.u32());
  const name = checkedName(from.text());
  return { fid, name, path: [...fid.node.path(), name] };
}

const attach: Request = async ({ tree, names, fids }, from, to) => {
  const [number, authFid] = [from.u32(), from.u32()];
  from.text();
  const attachName = from.text();
  if (authFid !== NO_UID) throw new FileTreeError('EBADF');
  if (attachName !== '' && attachName !== '/') throw new FileTreeError('ENOENT');
  const uid = from.u32();
  const stat = await tree.stat([]);
  fids.add(number, names.hold(names.root), uid === NO_UID ? 0 : uid);
  writeQid(to, stat);
};

const walk: Request = async (session, from, to) => {
  const { tree, names, fids } = session;
  const [number, newNumber, count] = [from.u32(), from.u32(), from.u16()];
  const fid = fids.get(number);
  if (count > MOST_WALKED || fid.opened !== undefined || (newNumber !== number && fids.has(newNumber))) throw new FileTreeError('EINVAL');
  const wanted = Array.from({ length: count }, () => from.text());
  const found: FileStat[] = [];
  let node = names.hold(fid.node);
  try {
    for (const name of wanted) {
      const next = name === '..' ? names.hold(node.parent ?? node) : names.child(node, checkedName(name));
      names.release(node);
      node = next;
      found.push(await tree.stat(node.path()));
    }
  } catch (error) {
    if (found.length === 0) {
      names.release(node);
      throw error;
    }
  }
  if (found.length < count) names.release(node);
  else if (newNumber !== number) fids.add(newNumber, node, fid.uid);
  else if (fid.isGone || fid.opened !== undefined || fid.isOpening) {
    names.release(node);
    throw new FileTreeError('EBADF');
  } else fids.move(number, fid, node);
  to.u16(found.length);
  for (const stat of found) writeQid(to, stat);
};

const lopen: Request = async (session, from, to) => {
  const { tree, fids } = session;
  const number = from.u32();
  const fid = fids.get(number);
  const flags = openFlags(from.u32());
  if (flags.writes || flags.truncates) mustWrite(session);
  await fids.open(number, fid, () => tree.open(fid.node.path(), flags));
  const stat = await (fid.opened as NonNullable<Fid['opened']>).use((file) => file.stat());
  writeQid(to, stat);
  to.u32(0);
};

const lcreate: Request = async (session, from, to) => {
  const { tree, names, fids } = session;
  mustWrite(session);
  const number = from.u32();
  const fid = fids.get(number);
  const name = checkedName(from.text());
  const [bits, mode, gid] = [from.u32(), from.u32(), from.u32()];
  const flags = { ...openFlags(bits), isNew: (bits & OPEN.exclusive) !== 0 };
  const node = names.child(fid.node, name);
  try {
    await fids.open(number, fid, () => tree.create(node.path(), flags, mode & 0o7777, { uid: fid.uid, gid }));
  } catch (error) {
    names.release(node);
    throw error;
  }
  fids.move(number, fid, node);
  writeQid(to, await (fid.opened as NonNullable<Fid['opened']>).use((file) => file.stat()));
  to.u32(0);
};

/** Something new in a folder, told by its qid. */
function maker(make: (session: Session, path: readonly string[], fid: Fid, from: MessageReader) => Promise<void>): Request {
  return async (session, from, to) => {
    mustWrite(session);
    const { fid, path } = place(session, from);
    await make(session, path, fid, from);
    writeQid(to, await session.tree.stat(path));
  };
}

const symlink = maker(async ({ tree }, path, { uid }, from) => {
  const target = from.text();
  if (target === '') throw new FileTreeError('ENOENT');
  if (target.length > MOST_TARGET_BYTES) throw new FileTreeError('ENAMETOOLONG');
  if (target.includes('\0')) throw new FileTreeError('EINVAL');
  await tree.makeLink(path, target, { uid, gid: from.u32() });
});

const mknod = maker(async ({ tree }, path, { uid }, from) => {
  const [mode, major, minor, gid] = [from.u32(), from.u32(), from.u32(), from.u32()];
  const rdev = (((major & 0xfff) << 8) | (minor & 0xff) | ((minor & 0xfff00) << 12)) >>> 0;
  await tree.makeNode(path, mode, rdev, { uid, gid });
});

const mkdir = maker(async ({ tree }, path, { uid }, from) => {
  const [mode, gid] = [from.u32(), from.u32()];
  await tree.makeFolder(path, mode & 0o7777, { uid, gid });
});

async function moveName(session: Session, from: [NameNode, string], to: [NameNode, string]): Promise<void> {
  await session.tree.rename([...from[0].path(), from[1]], [...to[0].path(), to[1]]);
  session.names.renamed(...from, ...to);
}

const rename: Request = async (session, from) => {
  mustWrite(session);
  const { node } = session.fids.get(from.u32());
  const { fid, name } = place(session, from);
  if (node.parent === undefined) throw new FileTreeError('EBUSY');
  if (node.isGone) throw new FileTreeError('ENOENT');
  await moveName(session, [node.parent, node.name], [fid.node, name]);
};

const renameat: Request = async (session, from) => {
  mustWrite(session);
  const [old, now] = [place(session, from), place(session, from)];
  await moveName(session, [old.fid.node, old.name], [now.fid.node, now.name]);
};

const readlink: Request = async ({ tree, fids }, from, to) => {
  to.text(await tree.readLink(fids.get(from.u32()).node.path()));
};

const getattr: Request = async ({ tree, fids }, from, to) => {
  const { node, opened } = fids.get(from.u32());
  const stat = opened === undefined ? await tree.stat(node.path()) : await opened.use((file) => file.stat());
  to.u64(GETATTR_BASIC);
  writeQid(to, stat);
  to.u32(stat.mode).u32(stat.uid).u32(stat.gid);
  for (const number of [stat.linkCount, stat.rdev, stat.byteCount, stat.blockBytes, stat.blocks]) to.u64(number);
  for (const time of [stat.accessedNs, stat.modifiedNs, stat.changedNs, 0n]) to.u64(time / NS).u64(time % NS);
  to.u64(0).u64(0);
};

const setattr: Request = async (session, from) => {
  mustWrite(session);
  const { node, opened } = session.fids.get(from.u32());
  const valid = from.u32();
  const has = (bit: number): boolean => (valid & bit) !== 0;
  const [mode, uid, gid] = [from.u32(), from.u32(), from.u32()];
  const byteCount = has(SET.size) ? from.offset() : (from.u64(), 0);
  const [accessed, modified] = [0, 1].map(() =>
    [from.u64(), from.u64()].reduce((seconds, ns) => BigInt.asIntN(64, seconds) * NS + (ns % NS)),
  );
  const time = (now: number, given: number, value: bigint): { is: boolean; value: bigint | 'now' } => ({
    is: has(now),
    value: has(given) ? value : 'now',
  });
  const [a, m] = [time(SET.atime, SET.atimeGiven, accessed), time(SET.mtime, SET.mtimeGiven, modified)];
  const change: StatChange = {
    ...(has(SET.mode) ? { mode: mode & 0o7777 } : {}),
    ...(has(SET.uid) && uid !== NO_UID ? { uid } : {}),
    ...(has(SET.gid) && gid !== NO_UID ? { gid } : {}),
    ...(has(SET.size) ? { byteCount } : {}),
    ...(a.is ? { accessedNs: a.value } : {}),
    ...(m.is ? { modifiedNs: m.value } : {}),
  };
  if (opened === undefined) await session.tree.change(node.path(), change);
  else await opened.use((file) => file.change(change));
};

const xattrwalk: Request = async ({ tree, names, fids }, from, to) => {
  const { node, uid } = fids.get(from.u32());
  const [newNumber, name] = [from.u32(), from.text()];
  if (fids.has(newNumber)) throw new FileTreeError('EINVAL');
  const path = node.path();
  const list = async (): Promise<Uint8Array> =>
    Uint8Array.from((await tree.listAttributes(path)).map((n) => `${n}\0`).join(''), (c) => c.charCodeAt(0));
  const value = name === '' ? await list() : await tree.getAttribute(path, name);
  const fid = fids.add(newNumber, names.hold(node), uid);
  try {
    fids.setAttribute(fid, { name, value, writes: undefined });
  } catch (error) {
    await fids.remove(newNumber);
    throw error;
  }
  to.u64(value.length);
};

const xattrcreate: Request = async (session, from) => {
  mustWrite(session);
  const fid = session.fids.get(from.u32());
  const name = from.text();
  const [byteCount, flags] = [from.offset(), from.u32()];
  if (name === '' || name.length > MOST_NAME_BYTES || name.includes('\0')) throw new FileTreeError('EINVAL');
  if (byteCount > 0x10000) throw new FileTreeError('ENOSPC');
  session.fids.setAttribute(fid, { name, value: new Uint8Array(byteCount), writes: { filled: 0, flags } });
};

const readdir: Request = async ({ fids }, from, to) => {
  const { opened } = fids.get(from.u32());
  const [offset, count] = [from.offset(), from.u32()];
  if (opened === undefined || !opened.file.isFolder) throw new FileTreeError('EBADF');
  const start = to.length;
  to.u32(0);
  const end = Math.min(start + 4 + count, to.bytes.length);
  await opened.use(async (file) => {
    for (let position = offset, isFull = false; !isFull; ) {
      const entries = await file.list(position);
      isFull = entries.length === 0;
      for (const { name, stat, next } of entries) {
        isFull = to.length + 24 + name.length > end;
        if (isFull) break;
        writeQid(to, stat);
        to.u64(next)
          .u8(ENTRY_TYPES[stat.mode & FILE_KIND.mask] ?? 0)
          .text(name);
        position = next;
      }
    }
  });
  new DataView(to.bytes.buffer).setUint32(start, to.length - start - 4, true);
};

const fsync: Request = async ({ fids }, from) => {
  const { opened } = fids.get(from.u32());
  const dataOnly = from.u32() !== 0;
  if (opened === undefined) throw new FileTreeError('EBADF');
  await opened.use((file) => file.sync(dataOnly));
};

/** Locks hold within the guest, whose kernel has granted this one among its own programs before it asks. */
const lock: Request = async ({ fids }, from, to) => {
  fids.get(from.u32());
  to.u8(0);
};

const getlock: Request = async ({ fids }, from, to) => {
  fids.get(from.u32());
  from.u8();
  const [start, byteCount, process, client] = [from.u64(), from.u64(), from.u32(), from.text()];
  to.u8(2).u64(start).u64(byteCount).u32(process).text(client);
};

const link: Request = async (session, from) => {
  mustWrite(session);
  const folder = session.fids.get(from.u32());
  const file = session.fids.get(from.u32());
  const name = checkedName(from.text());
  await session.tree.link(file.node.path(), [...folder.node.path(), name]);
};

async function removeName(session: Session, folder: NameNode, name: string, isFolder: boolean): Promise<void> {
  const path = [...folder.path(), name];
  if (isFolder) await session.tree.removeFolder(path);
  else await session.tree.unlink(path);
  session.names.removed(folder, name);
}

const unlinkat: Request = async (session, from) => {
  mustWrite(session);
  const { fid, name } = place(session, from);
  await removeName(session, fid.node, name, (from.u32() & AT_REMOVEDIR) !== 0);
};

const remove: Request = async (session, from) => {
  const number = from.u32();
  const { node } = session.fids.get(number);
  try {
    mustWrite(session);
    if (node.parent === undefined) throw new FileTreeError('EBUSY');
    await removeName(session, node.parent, node.name, isFolder(await session.tree.stat(node.path())));
  } finally {
    // The fid is gone in any case.
    if (session.fids.has(number)) await session.fids.remove(number);
  }
};

const clunk: Request = async ({ tree, fids }, from) => {
  const { attribute, node } = await fids.remove(from.u32());
  if (attribute?.writes === undefined) return;
  const { filled, flags } = attribute.writes;
  if (filled !== attribute.value.length) throw new FileTreeError('EINVAL');
  await tree.setAttribute(node.path(), attribute.name, filled === 0 && flags === 0 ? undefined : attribute.value, flags);
};

const statfs: Request = async ({ tree, fids }, from, to) => {
  fids.get(from.u32());
  const space = await tree.space();
  to.u32(space.type).u32(space.blockBytes);
  for (const number of [space.blocks, space.freeBlocks, space.availableBlocks, space.files, space.freeFiles, 0n]) to.u64(number);
  to.u32(MOST_NAME_BYTES);
};

/** By type; an answer's is one more. Tversion, Tflush, Tread and Twrite are the server's. */
export const REQUESTS: ReadonlyMap<number, Request> = new Map([
  [8, statfs],
  [12, lopen],
  [14, lcreate],
  [16, symlink],
  [18, mknod],
  [20, rename],
  [22, readlink],
  [24, getattr],
  [26, setattr],
  [30, xattrwalk],
  [32, xattrcreate],
  [40, readdir],
  [50, fsync],
  [52, lock],
  [54, getlock],
  [70, link],
  [72, mkdir],
  [74, renameat],
  [76, unlinkat],
  [104, attach],
  [110, walk],
  [120, clunk],
  [122, remove],
]);
