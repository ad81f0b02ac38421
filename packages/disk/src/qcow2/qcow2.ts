// QEMU's image format, versions 2 and 3 (QEMU, docs/interop/qcow2.txt).

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import type { Disk } from '../disk.ts';
import type { DiskFormat, ImageHost, OpenOptions } from '../disk-format.ts';
import { checkImage } from './check.ts';
import { CREATE_OPTIONS, createImage } from './create.ts';
import { AUTOCLEAR, backingFormat, type Header, INCOMPATIBLE, MAGIC, readHeader } from './header.ts';
import { Qcow2Disk } from './qcow2-disk.ts';
import { findSnapshot, readSnapshotTable } from './snapshot-table.ts';
import { Tables } from './tables.ts';

/** The header of a snapshot as if it were the disk. */
async function snapshotHeader(store: ByteStore, header: Header, idOrName: string): Promise<Header> {
  const { l1Offset, l1Entries, byteCount } = findSnapshot(await readSnapshotTable(store, header), idOrName, store.name);
  return { ...header, l1Offset, l1Entries, byteCount: Math.floor((byteCount ?? header.byteCount) / 512) * 512 };
}

/** What must be done before the image is written to: nothing while it is damaged, counts made anew where they were left behind, marks of strangers taken off. */
async function prepareForWriting(store: ByteStore, header: Header): Promise<Header> {
  if (header.incompatible & INCOMPATIBLE.corrupt)
    throw new AnilloError('BAD_IMAGE', `${store.name} is marked as damaged; run 'anillo image check -r all' on it, or open it read-only.`);
  let ready = header;
  if (header.incompatible & INCOMPATIBLE.dirty) {
    const result = await checkImage(store, header, 'all');
    if (result.corruptions > 0 || result.checkErrors > 0)
      throw new AnilloError(
        'BAD_IMAGE',
        `${store.name} was not closed properly and cannot be repaired; open it read-only, or restore it from a copy.`,
      );
    ready = await readHeader(store);
  }
  ready.autoclear &= AUTOCLEAR.bitmaps;
  return ready;
}

async function openBacking(store: ByteStore, header: Header, options: OpenOptions): Promise<Disk | undefined> {
  if (options.backing !== undefined) return options.backing ?? undefined;
  if (header.backingFile === undefined) return undefined;
  if (options.openBehind === undefined)
    throw new AnilloError(
      'BAD_IMAGE',
      `${store.name} names ${header.backingFile} as its backing file, but nobody said that it is qcow2, so a guest may have written that; give its format.`,
    );
  return options.openBehind(header.backingFile, backingFormat(header));
}

/** AnilloError BAD_IMAGE, UNSUPPORTED, BAD_OPTION. */
export async function openQcow2(store: ByteStore, options: OpenOptions, host: Pick<ImageHost, 'codecs'>): Promise<Qcow2Disk> {
  let backing: Disk | undefined;
  try {
    const isReadOnly = options.isReadOnly || store.isReadOnly || options.snapshot !== undefined;
    let header = await readHeader(store);
    if (!isReadOnly && options.isForCheck !== true) header = await prepareForWriting(store, header);
    if (options.snapshot !== undefined) header = await snapshotHeader(store, header, options.snapshot);
    const tables = await Tables.open(store, header, isReadOnly);
    backing = await openBacking(store, header, options);
    return await Qcow2Disk.open(tables, backing, options.backing === undefined, host.codecs);
  } catch (error) {
    if (options.backing === undefined) await backing?.close();
    await store.close();
    throw error;
  }
}

export const QCOW2: DiskFormat = {
  name: 'qcow2',
  probe: (head) =>
    head.length >= 8 &&
    new DataView(head.buffer, head.byteOffset).getUint32(0) === MAGIC &&
    head[7] >= 2 &&
    head[4] + head[5] + head[6] === 0,
  createOptions: CREATE_OPTIONS,
  open: openQcow2,

  async create(store, byteCount, options, host) {
    await createImage(store, byteCount, options);
    const { preallocation = 'off' } = options;
    if (preallocation === 'off') return;
    const disk = await openQcow2(lent(store), { isReadOnly: false, backing: null }, host);
    await disk.preallocate(preallocation as 'metadata' | 'falloc' | 'full');
    await disk.close();
  },
};

/** The same store, which outlives whoever closes it. */
function lent(store: ByteStore): ByteStore {
  return {
    isReadOnly: store.isReadOnly,
    name: store.name,
    size: () => store.size(),
    read: (offset, into) => store.read(offset, into),
    write: (offset, from) => store.write(offset, from),
    resize: (byteCount) => store.resize(byteCount),
    writeZeroes: (offset, byteCount) => store.writeZeroes(offset, byteCount),
    allocate: store.allocate === undefined ? undefined : (offset, byteCount) => store.allocate!(offset, byteCount),
    flush: () => store.flush(),
    stretches: (offset, byteCount) => store.stretches(offset, byteCount),
    close: async () => {},
  };
}
