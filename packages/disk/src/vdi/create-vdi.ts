// Makes VDI images, dynamic ones (blocks come as they are written) and static ones.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import { checkDiskSize } from '../disk-size.ts';
import { viewOf } from '../packed-layout.ts';
import { utf8Bytes } from '../text-bytes.ts';
import { VDI_HEADER, VDI_NOT_ALLOCATED, VDI_SIGNATURE, VDI_TYPE, VDI_VERSION } from './vdi-header.ts';

const BLOCK_BYTES = 1 << 20;
const MAP_OFFSET = 512;
const MAP_PIECE_ENTRIES = 1 << 16;

export interface CreateVdiOptions {
  readonly byteCount: number;
  /** All blocks have their place from the beginning. */
  readonly isStatic?: boolean;
  /** 16 random bytes each. */
  readonly imageId: Uint8Array;
  readonly snapshotId: Uint8Array;
}

async function writeMap(store: ByteStore, blockCount: number, isStatic: boolean): Promise<void> {
  for (let first = 0; first < blockCount; first += MAP_PIECE_ENTRIES) {
    const count = Math.min(MAP_PIECE_ENTRIES, blockCount - first);
    const piece = new Uint8Array(4 * count);
    const view = viewOf(piece);
    for (let i = 0; i < count; i++) view.setUint32(4 * i, isStatic ? first + i : VDI_NOT_ALLOCATED, true);
    await store.write(MAP_OFFSET + 4 * first, [piece]);
  }
}

/** Into an empty store. AnilloError BAD_OPTION. */
export async function createVdi(store: ByteStore, { byteCount, isStatic = false, imageId, snapshotId }: CreateVdiOptions): Promise<void> {
  checkDiskSize('VDI', byteCount, 2 ** 49);
  const blockCount = Math.ceil(byteCount / BLOCK_BYTES);
  const dataOffset = Math.ceil((MAP_OFFSET + 4 * blockCount) / BLOCK_BYTES) * BLOCK_BYTES;
  if (dataOffset >= 2 ** 32) throw new AnilloError('BAD_OPTION', `A VDI image cannot have ${byteCount} bytes; choose another format.`);
  const header = VDI_HEADER.encode({
    ...{ text: utf8Bytes('<<< Anillo VM Virtual Disk Image >>>\n'), signature: VDI_SIGNATURE, version: VDI_VERSION },
    ...{ headerBytes: 400, type: isStatic ? VDI_TYPE.static : VDI_TYPE.dynamic, blockMapOffset: MAP_OFFSET, dataOffset },
    ...{ sectorBytes: 512, diskBytes: byteCount, blockBytes: BLOCK_BYTES, blockCount, allocatedBlockCount: isStatic ? blockCount : 0 },
    ...{ imageId, snapshotId },
  });
  await store.write(0, [header]);
  await writeMap(store, blockCount, isStatic);
  await store.resize(dataOffset + (isStatic ? blockCount * BLOCK_BYTES : 0));
}
