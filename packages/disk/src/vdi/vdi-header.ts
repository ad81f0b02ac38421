// VirtualBox's VDI 1.1: the header and what is believed of it. The format has no specification; these are the fields that VirtualBox's and QEMU's images have.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import { packedLayout } from '../packed-layout.ts';

export const VDI_SIGNATURE = 0xbeda107f;
export const VDI_VERSION = 0x0001_0001;
export const VDI_TYPE = { dynamic: 1, static: 2 } as const;

export const VDI_HEADER = packedLayout('little', {
  text: 64,
  signature: 'u32',
  version: 'u32',
  /** From here on. */
  headerBytes: 'u32',
  type: 'u32',
  flags: 'u32',
  description: 256,
  blockMapOffset: 'u32',
  dataOffset: 'u32',
  cylinders: 'u32',
  heads: 'u32',
  sectorsPerTrack: 'u32',
  sectorBytes: 'u32',
  unused: 'u32',
  diskBytes: 'u64',
  blockBytes: 'u32',
  /** Bytes before each block. */
  blockExtraBytes: 'u32',
  blockCount: 'u32',
  allocatedBlockCount: 'u32',
  imageId: 16,
  snapshotId: 16,
  linkId: 16,
  parentId: 16,
});

/** Entries of the block map that are no number of a block: never written, and written as zeros. */
export const VDI_NOT_ALLOCATED = 0xffff_ffff;
export const VDI_ZERO = 0xffff_fffe;

export function isVdi(head: Uint8Array): boolean {
  return head.length >= VDI_HEADER.byteCount && VDI_HEADER.decode(head).signature === VDI_SIGNATURE;
}

export interface VdiHeader {
  readonly blockMapOffset: number;
  readonly dataOffset: number;
  readonly diskBytes: number;
  readonly blockBytes: number;
  readonly blockExtraBytes: number;
  readonly blockCount: number;
  readonly allocatedBlockCount: number;
}

/** AnilloError BAD_IMAGE, or UNSUPPORTED for what VDI images can be and this is not for. */
export async function readVdiHeader(store: ByteStore): Promise<VdiHeader> {
  const bytes = new Uint8Array(VDI_HEADER.byteCount);
  await store.read(0, [bytes]);
  const header = VDI_HEADER.decode(bytes);
  const bad = (what: string): never => {
    throw new AnilloError('BAD_IMAGE', `${store.name} is no usable VDI image: ${what}.`);
  };
  if (header.signature !== VDI_SIGNATURE) bad('its signature is missing');
  if (header.version !== VDI_VERSION)
    throw new AnilloError(
      'UNSUPPORTED',
      `${store.name} is a VDI image of version ${header.version >>> 16}.${header.version & 0xffff}; only 1.1 is known.`,
    );
  if (header.type !== VDI_TYPE.dynamic && header.type !== VDI_TYPE.static)
    throw new AnilloError(
      'UNSUPPORTED',
      `${store.name} is a VDI image of type ${header.type} (a snapshot's); clone it to a dynamic image with VirtualBox first.`,
    );
  const { diskBytes, blockBytes, blockExtraBytes, blockCount, blockMapOffset, dataOffset } = header;
  if (header.sectorBytes !== 512) bad(`it has sectors of ${header.sectorBytes} bytes`);
  if (diskBytes % 512 !== 0 || diskBytes > Number.MAX_SAFE_INTEGER) bad(`its disk has ${diskBytes} bytes`);
  if (blockBytes % 512 !== 0 || blockBytes === 0 || blockBytes > 1 << 30) bad(`it has blocks of ${blockBytes} bytes`);
  if (blockExtraBytes % 512 !== 0 || blockExtraBytes > 1 << 20) bad(`it has ${blockExtraBytes} bytes before each block`);
  if (blockCount < Math.ceil(diskBytes / blockBytes)) bad(`${blockCount} blocks are too few for ${diskBytes} bytes`);
  if (blockMapOffset < VDI_HEADER.byteCount || blockMapOffset % 4 !== 0) bad('its block map lies in its header');
  if (dataOffset % 512 !== 0 || dataOffset < blockMapOffset + 4 * blockCount) bad('its blocks begin in its block map');
  return {
    blockMapOffset,
    dataOffset,
    diskBytes,
    blockBytes,
    blockExtraBytes,
    blockCount,
    allocatedBlockCount: header.allocatedBlockCount,
  };
}
