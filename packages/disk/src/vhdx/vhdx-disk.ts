// A VHDX image as a disk (MS-VHDX): fixed, dynamic, or the difference to another.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import type { Disk } from '../disk.ts';
import type { OpenOptions } from '../disk-format.ts';
import { MappedDisk } from '../mapped-disk.ts';
import { guidText, isZeroGuid } from './guid.ts';
import { PatchedStore } from './patched-store.ts';
import { readRegions, readVhdxHeader, readVhdxMetadata, type VhdxHeader, type VhdxMetadata, writeVhdxHeader } from './vhdx-header.ts';
import { CHUNK_SECTORS } from './vhdx-layout.ts';
import { readLog } from './vhdx-log.ts';
import { VhdxMap } from './vhdx-map.ts';

class VhdxDisk extends MappedDisk {
  /** Changes with the disk's content; what is the difference to this image has it written down. */
  readonly dataWriteGuid: string;
  constructor(dataWriteGuid: string, options: ConstructorParameters<typeof MappedDisk>[0]) {
    super(options);
    this.dataWriteGuid = dataWriteGuid;
  }
}

/** Does what an unclosed file's log says: in the file, or as seen by a reader only. */
async function replay(
  store: ByteStore,
  header: VhdxHeader,
  isReadOnly: boolean,
): Promise<{ readonly store: ByteStore; readonly header: VhdxHeader }> {
  if (isZeroGuid(header.logGuid)) return { store, header };
  const changes = await readLog(store, { offset: header.logOffset, byteCount: header.logBytes, guid: header.logGuid });
  if (isReadOnly) return { store: changes.length === 0 ? store : new PatchedStore(store, changes), header };
  for (const { offset, byteCount, bytes } of changes)
    await (bytes === undefined ? store.writeZeroes(offset, byteCount) : store.write(offset, [bytes]));
  await store.flush();
  return { store, header: await writeVhdxHeader(store, { ...header, logGuid: new Uint8Array(16) }) };
}

async function openParent(name: string, entries: ReadonlyMap<string, string>, options: OpenOptions): Promise<Disk | undefined> {
  if (options.backing === null) return undefined;
  if (options.backing !== undefined) return options.backing;
  const path = entries.get('relative_path') ?? entries.get('absolute_win32_path');
  if (path === undefined || path === '')
    throw new AnilloError('BAD_IMAGE', `${name} is the difference to another image and does not tell which.`);
  if (options.openBehind === undefined)
    throw new AnilloError('BAD_OPTION', `${name} names another file, and its format was only guessed; say that its format is vhdx.`);
  const parent = await options.openBehind(parentPath(path), 'vhdx');
  const linkage = ['parent_linkage', 'parent_linkage2'].map((key) => entries.get(key)?.toLowerCase().replace(/[{}]/g, ''));
  if (parent instanceof VhdxDisk && linkage.includes(parent.dataWriteGuid)) return parent;
  await parent.close();
  throw new AnilloError('BAD_IMAGE', `${path} has changed since ${name} was made as the difference to it, or is another image.`);
}

const parentPath = (path: string): string => path.replaceAll('\\', '/');

function checkTable(name: string, batBytes: number, { blockBytes, diskBytes, logicalSectorBytes, parent }: VhdxMetadata): void {
  const chunkBlocks = (CHUNK_SECTORS * logicalSectorBytes) / blockBytes;
  const blocks = Math.ceil(diskBytes / blockBytes);
  const entries =
    parent === undefined ? blocks + Math.floor(Math.max(0, blocks - 1) / chunkBlocks) : Math.ceil(blocks / chunkBlocks) * (chunkBlocks + 1);
  if (8 * entries > batBytes)
    throw new AnilloError('BAD_IMAGE', `${name} is no usable VHDX image: its block table is too small for its disk.`);
}

/** AnilloError BAD_IMAGE, UNSUPPORTED. */
export async function openVhdx(given: ByteStore, options: OpenOptions): Promise<Disk> {
  const isReadOnly = options.isReadOnly || given.isReadOnly;
  const { store, header } = await replay(given, await readVhdxHeader(given), isReadOnly);
  const { bat, metadata: region } = await readRegions(store);
  const metadata = await readVhdxMetadata(store, region);
  checkTable(store.name, bat.byteCount, metadata);
  const storeBytes = await store.size();
  if (bat.offset + bat.byteCount > storeBytes)
    throw new AnilloError('BAD_IMAGE', `${store.name} is no usable VHDX image: its block table lies behind the end of the file.`);
  const parent = metadata.parent === undefined ? undefined : await openParent(store.name, metadata.parent, options);
  const behind = metadata.parent === undefined ? undefined : `${store.name} is the difference to another image; convert it to write to it.`;
  const noLog = header.logBytes === 0 ? `${store.name} has no log, without which it cannot be written safely; convert it.` : undefined;
  return new VhdxDisk(guidText(header.dataWriteGuid), {
    ...{ format: 'vhdx', byteCount: metadata.diskBytes, map: new VhdxMap({ store, header, bat, metadata, storeBytes }), parent },
    ...{ clusterByteCount: metadata.blockBytes, parentName: parentPath(metadata.parent?.get('relative_path') ?? '') || undefined },
    readOnlyReason: isReadOnly ? `${store.name} is open for reading only.` : (behind ?? noLog),
  });
}
