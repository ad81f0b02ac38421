// A request of a block device's driver (Virtio 1.2, 5.2.6): a head of 16 bytes, data one way or the other, a byte of status at the very end. The driver may divide
// them among descriptors as it likes. What is decided by is copied here; data stay where they are.

import type { Chain } from './chain.ts';
import { gather, partOf } from './chain.ts';

export const BLK = {
  sectorBytes: 512,
  type: { read: 0, write: 1, flush: 4, id: 8, discard: 11, writeZeroes: 13 },
  status: { ok: 0, ioError: 1, unsupported: 2 },
  /** Of one range, and ranges of one request. */
  mostRangeSectors: 0x3fffff,
  mostRanges: 256,
} as const;

const HEAD_BYTES = 16;
const RANGE_BYTES = 16;
const MAY_UNMAP = 1;

export interface BlkRange {
  readonly offset: number;
  readonly byteCount: number;
  readonly mayUnmap: boolean;
}

export interface BlkRequest {
  readonly type: number;
  readonly offset: number;
  /** To read from the disk into, or to write to it. */
  readonly data: readonly Uint8Array[];
  readonly dataBytes: number;
  /** Of a request to discard or to write zeros. */
  readonly ranges: readonly BlkRange[];
  readonly hasUnknownFlags: boolean;
  /** Where the status goes. */
  readonly status: Uint8Array;
}

/** Text: the chain is no request at all. */
export function readRequest(chain: Chain): BlkRequest | string {
  if (chain.readableBytes < HEAD_BYTES) return 'a disk request without a head';
  if (chain.writableBytes < 1) return 'a disk request without a place for its status';
  const head = new Uint8Array(HEAD_BYTES);
  gather(chain.readable, 0, head);
  const words = new DataView(head.buffer);
  const type = words.getUint32(0, true);
  const offset = (words.getUint32(8, true) + words.getUint32(12, true) * 2 ** 32) * BLK.sectorBytes;
  const isIn = type === BLK.type.read || type === BLK.type.id;
  const last = chain.writable[chain.writable.length - 1];
  const dataBytes = isIn ? chain.writableBytes - 1 : chain.readableBytes - HEAD_BYTES;
  const data = isIn ? partOf(chain.writable, 0, dataBytes) : partOf(chain.readable, HEAD_BYTES, dataBytes);
  const hasRanges = type === BLK.type.discard || type === BLK.type.writeZeroes;
  const { ranges, hasUnknownFlags } = hasRanges ? readRanges(data, dataBytes) : { ranges: [], hasUnknownFlags: false };
  return { type, offset, data, dataBytes, ranges, hasUnknownFlags, status: last.subarray(last.length - 1) };
}

function readRanges(data: readonly Uint8Array[], dataBytes: number): Pick<BlkRequest, 'ranges' | 'hasUnknownFlags'> {
  const bytes = new Uint8Array(Math.min(dataBytes, BLK.mostRanges * RANGE_BYTES));
  gather(data, 0, bytes);
  const view = new DataView(bytes.buffer);
  const ranges: BlkRange[] = [];
  let hasUnknownFlags = false;
  for (let at = 0; at + RANGE_BYTES <= bytes.length; at += RANGE_BYTES) {
    const sector = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
    const flags = view.getUint32(at + 12, true);
    hasUnknownFlags ||= (flags & ~MAY_UNMAP) !== 0;
    const byteCount = view.getUint32(at + 8, true) * BLK.sectorBytes;
    ranges.push({ offset: sector * BLK.sectorBytes, byteCount, mayUnmap: (flags & MAY_UNMAP) !== 0 });
  }
  return { ranges, hasUnknownFlags };
}

export interface BlkLimits {
  readonly isReadOnly: boolean;
  readonly byteCount: number;
  readonly blockBytes: number;
  readonly canDiscard: boolean;
  readonly canWriteZeroes: boolean;
}

/** The status of a request that must not be done; undefined: it may. */
export function checkRequest(request: BlkRequest, limits: BlkLimits): number | undefined {
  const { type, status } = BLK;
  const { ioError, unsupported } = status;
  switch (request.type) {
    case type.read:
    case type.write:
      if (request.type === type.write && limits.isReadOnly) return ioError;
      return isWithin(request.offset, request.dataBytes, limits) ? undefined : ioError;
    case type.flush:
    case type.id:
      return undefined;
    case type.discard:
    case type.writeZeroes:
      if (!(request.type === type.discard ? limits.canDiscard : limits.canWriteZeroes)) return unsupported;
      return checkRanges(request, limits);
    default:
      return unsupported;
  }
}

function isWithin(offset: number, byteCount: number, limits: BlkLimits): boolean {
  return byteCount % BLK.sectorBytes === 0 && offset + byteCount <= Math.floor(limits.byteCount / BLK.sectorBytes) * BLK.sectorBytes;
}

/** 5.2.6.2: whole ranges, no more than was told, no flags but the known one, which does not go with discard. */
function checkRanges(request: BlkRequest, limits: BlkLimits): number | undefined {
  const { ioError, unsupported } = BLK.status;
  const { ranges, dataBytes, type } = request;
  if (limits.isReadOnly) return ioError;
  if (dataBytes === 0 || dataBytes % RANGE_BYTES !== 0 || dataBytes / RANGE_BYTES > BLK.mostRanges) return unsupported;
  if (request.hasUnknownFlags || (type === BLK.type.discard && ranges.some((range) => range.mayUnmap))) return unsupported;
  const isGood = ranges.every((r) => r.byteCount <= BLK.mostRangeSectors * BLK.sectorBytes && isWithin(r.offset, r.byteCount, limits));
  return isGood ? undefined : ioError;
}
