// The header of a qcow2 image and its extensions (QEMU, docs/interop/qcow2.txt, "Header" and "Header extensions"). What is not understood is kept as it is.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import { utf8Bytes, utf8Text } from '../text-bytes.ts';

export const MAGIC = 0x51_46_49_fb;
export const INCOMPATIBLE = { dirty: 1n, corrupt: 2n, dataFile: 4n, compression: 8n, extendedL2: 16n } as const;
export const COMPATIBLE = { lazyRefcounts: 1n } as const;
export const AUTOCLEAR = { bitmaps: 1n, rawDataFile: 2n } as const;
export const EXTENSION = {
  backingFormat: 0xe2792aca,
  featureNames: 0x6803f857,
  bitmaps: 0x23852875,
  encryption: 0x0537be77,
  dataFile: 0x44415441,
} as const;

const KNOWN_INCOMPATIBLE = 0x1fn;
/** What a reader may have to hold of tables in memory. */
export const MAX_L1_BYTES = 32 << 20;
export const MAX_REFCOUNT_TABLE_BYTES = 8 << 20;
const MAX_BACKING_NAME = 1023;
const V2_LENGTH = 72;
const V3_LENGTH = 104;

export interface Extension {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Fields that change are written by `serializeFixed`, all in one sector. */
export interface Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  byteCount: number;
  l1Entries: number;
  l1Offset: number;
  refcountTableOffset: number;
  refcountTableClusters: number;
  snapshotCount: number;
  snapshotsOffset: number;
  incompatible: bigint;
  compatible: bigint;
  autoclear: bigint;
  readonly refcountOrder: number;
  readonly compression: 'zlib' | 'zstd';
  /** Bytes behind the fields that are known. */
  readonly unknownFields: Uint8Array;
  extensions: readonly Extension[];
  backingFile: string | undefined;
}

const bad = (name: string, what: string): AnilloError =>
  new AnilloError('BAD_IMAGE', `${name} is no sound qcow2 image: ${what}; restore it from a copy.`);

function offsetAt(view: DataView, at: number, name: string, what: string): number {
  const value = view.getBigUint64(at);
  if (value >= 1n << 53n) throw bad(name, `${what} of ${value} is out of range`);
  return Number(value);
}

function parseExtensions(bytes: Uint8Array, start: number, end: number, name: string): readonly Extension[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: Extension[] = [];
  for (let at = start; at + 8 <= end; ) {
    const type = view.getUint32(at);
    const byteCount = view.getUint32(at + 4);
    if (type === 0) break;
    if (byteCount > end - at - 8) throw bad(name, 'a header extension is longer than the header');
    found.push({ type, data: bytes.slice(at + 8, at + 8 + byteCount) });
    at += 8 + Math.ceil(byteCount / 8) * 8;
  }
  return found;
}

/** Names of features, by "type bit", from the image's own table. */
function featureNames(extensions: readonly Extension[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { type, data } of extensions)
    if (type === EXTENSION.featureNames)
      for (let at = 0; at + 48 <= data.length; at += 48)
        names.set(`${data[at]} ${data[at + 1]}`, utf8Text(data.subarray(at + 2, at + 48)).replace(/\0.*$/s, ''));
  return names;
}

function refuseUnknownFeatures(header: Header, name: string): void {
  const unknown = header.incompatible & ~KNOWN_INCOMPATIBLE;
  if (unknown !== 0n) {
    const names = featureNames(header.extensions);
    const bits = Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (unknown >> BigInt(bit)) & 1n);
    const list = bits.map((bit) => names.get(`0 ${bit}`) ?? `bit ${bit}`).join(', ');
    throw new AnilloError(
      'UNSUPPORTED',
      `${name} uses features of qcow2 that this version does not know (${list}); convert it with the program that made it.`,
    );
  }
  if (header.incompatible & INCOMPATIBLE.dataFile)
    throw new AnilloError(
      'UNSUPPORTED',
      `${name} keeps its data in an external data file, which is not supported; convert it with 'qemu-img convert -O qcow2'.`,
    );
}

/** Reads and judges the header. `isForCheck`: takes tables of a wrong size, which a check tells of. AnilloError BAD_IMAGE, UNSUPPORTED. */
export async function readHeader(store: ByteStore): Promise<Header> {
  const { name } = store;
  const fixed = new Uint8Array(V3_LENGTH + 8);
  await store.read(0, [fixed]);
  const view = new DataView(fixed.buffer);
  if (view.getUint32(0) !== MAGIC) throw new AnilloError('BAD_IMAGE', `${name} is no qcow2 image; give its format, or another file.`);
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3)
    throw new AnilloError(
      'UNSUPPORTED',
      `${name} is qcow2 of version ${version}, of which 2 and 3 are supported; convert it with 'qemu-img convert'.`,
    );
  const clusterBits = view.getUint32(20);
  if (clusterBits < 9 || clusterBits > 21) throw bad(name, `clusters of 2^${clusterBits} bytes do not exist`);
  if (view.getUint32(32) !== 0)
    throw new AnilloError('UNSUPPORTED', `${name} is encrypted, which is not supported; decrypt it with 'qemu-img convert'.`);
  const length = version === 2 ? V2_LENGTH : view.getUint32(100);
  if (version === 3 && (length < V3_LENGTH || length % 8 !== 0 || length > 1 << clusterBits))
    throw bad(name, `its header cannot have ${length} bytes`);
  const cluster = new Uint8Array(Math.min(1 << clusterBits, 1 << 16));
  await store.read(0, [cluster]);
  const backingOffset = offsetAt(view, 8, name, 'the place of the name of its backing file');
  const backingBytes = view.getUint32(16);
  const hasBacking = backingOffset !== 0;
  if (hasBacking && (backingBytes > MAX_BACKING_NAME || backingOffset + backingBytes > cluster.length || backingOffset < length))
    throw bad(name, 'the name of its backing file lies outside its first cluster');
  const compression = version === 3 && length >= V3_LENGTH + 8 ? view.getUint8(104) : 0;
  if (compression > 1)
    throw new AnilloError('UNSUPPORTED', `${name} uses compression of type ${compression}; convert it with 'qemu-img convert'.`);
  const refcountOrder = version === 2 ? 4 : view.getUint32(96);
  if (refcountOrder > 6) throw bad(name, `reference counts of 2^${refcountOrder} bits do not exist`);
  const header: Header = {
    version,
    clusterBits,
    byteCount: Math.floor(offsetAt(view, 24, name, 'the size') / 512) * 512,
    l1Entries: view.getUint32(36),
    l1Offset: offsetAt(view, 40, name, "the L1 table's place"),
    refcountTableOffset: offsetAt(view, 48, name, "the refcount table's place"),
    refcountTableClusters: view.getUint32(56),
    snapshotCount: view.getUint32(60),
    snapshotsOffset: offsetAt(view, 64, name, "the snapshot table's place"),
    incompatible: version === 2 ? 0n : view.getBigUint64(72),
    compatible: version === 2 ? 0n : view.getBigUint64(80),
    autoclear: version === 2 ? 0n : view.getBigUint64(88),
    refcountOrder,
    compression: compression === 1 ? 'zstd' : 'zlib',
    unknownFields: length > V3_LENGTH + 8 ? cluster.slice(V3_LENGTH + 8, Math.min(length, cluster.length)) : new Uint8Array(0),
    extensions: parseExtensions(cluster, length, hasBacking ? backingOffset : cluster.length, name),
    backingFile: hasBacking ? utf8Text(cluster.subarray(backingOffset, backingOffset + backingBytes)) : undefined,
  };
  refuseUnknownFeatures(header, name);
  return header;
}

/** What the tables' sizes and places must be before they are read. AnilloError BAD_IMAGE. */
export function checkTables(header: Header, name: string): void {
  const clusterBytes = 2 ** header.clusterBits;
  const l2Entries = clusterBytes / (header.incompatible & INCOMPATIBLE.extendedL2 ? 16 : 8);
  if (header.incompatible & INCOMPATIBLE.extendedL2 && header.clusterBits < 14)
    throw bad(name, 'its clusters are too small for subclusters');
  if (header.l1Entries * 8 > MAX_L1_BYTES) throw bad(name, 'its L1 table is too large');
  if (header.l1Entries < Math.ceil(header.byteCount / clusterBytes / l2Entries)) throw bad(name, 'its L1 table is too small for its size');
  if (header.l1Entries > 0 && (header.l1Offset === 0 || header.l1Offset % clusterBytes !== 0))
    throw bad(name, 'its L1 table is not at the start of a cluster');
  if (header.refcountTableOffset === 0 || header.refcountTableOffset % clusterBytes !== 0)
    throw bad(name, 'its refcount table is not at the start of a cluster');
  if (header.refcountTableClusters === 0 || header.refcountTableClusters * clusterBytes > Math.max(MAX_REFCOUNT_TABLE_BYTES, clusterBytes))
    throw bad(name, 'its refcount table has no sensible size');
  if (header.snapshotCount > 65536 || header.snapshotsOffset % clusterBytes !== 0)
    throw bad(name, 'its snapshot table has no sensible place or size');
}

export function extensionOf(header: Header, type: number): Uint8Array | undefined {
  return header.extensions.find((extension) => extension.type === type)?.data;
}

export function backingFormat(header: Header): string | undefined {
  const data = extensionOf(header, EXTENSION.backingFormat);
  return data === undefined ? undefined : utf8Text(data);
}

const headerLength = (header: Header): number => (header.version === 2 ? V2_LENGTH : V3_LENGTH + 8 + header.unknownFields.length);

/** The whole header cluster's beginning: fixed fields, extensions, name of the backing file. AnilloError BAD_OPTION where it does not fit one cluster. */
export function serializeHeader(header: Header): Uint8Array {
  const name = header.backingFile === undefined ? new Uint8Array(0) : utf8Bytes(header.backingFile);
  const length = headerLength(header);
  const limit = 2 ** header.clusterBits;
  const endOf = (extensions: readonly Extension[]): number =>
    extensions.reduce((sum, { data }) => sum + 8 + Math.ceil(data.length / 8) * 8, length + 8);
  // Names of features are left out where there is no room.
  const hasRoom = endOf(header.extensions) + name.length <= limit;
  const extensions = hasRoom ? header.extensions : header.extensions.filter(({ type }) => type !== EXTENSION.featureNames);
  const end = endOf(extensions);
  if (name.length > MAX_BACKING_NAME || end + name.length > limit)
    throw new AnilloError('BAD_OPTION', `The name of the backing file is too long for clusters of ${limit} bytes; use a shorter one.`);
  const bytes = new Uint8Array(end + name.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint32(4, header.version);
  if (name.length > 0) {
    view.setBigUint64(8, BigInt(end));
    view.setUint32(16, name.length);
    bytes.set(name, end);
  }
  view.setUint32(20, header.clusterBits);
  view.setBigUint64(24, BigInt(header.byteCount));
  view.setUint32(36, header.l1Entries);
  view.setBigUint64(40, BigInt(header.l1Offset));
  view.setBigUint64(48, BigInt(header.refcountTableOffset));
  view.setUint32(56, header.refcountTableClusters);
  view.setUint32(60, header.snapshotCount);
  view.setBigUint64(64, BigInt(header.snapshotsOffset));
  if (header.version === 3) {
    view.setBigUint64(72, header.incompatible);
    view.setBigUint64(80, header.compatible);
    view.setBigUint64(88, header.autoclear);
    view.setUint32(96, header.refcountOrder);
    view.setUint32(100, length);
    view.setUint8(104, header.compression === 'zstd' ? 1 : 0);
    bytes.set(header.unknownFields, V3_LENGTH + 8);
  }
  let at = length;
  for (const { type, data } of extensions) {
    view.setUint32(at, type);
    view.setUint32(at + 4, data.length);
    bytes.set(data, at + 8);
    at += 8 + Math.ceil(data.length / 8) * 8;
  }
  return bytes;
}

const FEATURES: readonly (readonly [type: number, bit: number, name: string])[] = [
  [0, 0, 'dirty bit'],
  [0, 1, 'corrupt bit'],
  [0, 2, 'external data file'],
  [0, 3, 'compression type'],
  [0, 4, 'extended L2 entries'],
  [1, 0, 'lazy refcounts'],
  [2, 0, 'bitmaps'],
  [2, 1, 'raw external data'],
];

/** The table that tells older programs what they do not know. */
export function featureNameTable(): Extension {
  const data = new Uint8Array(48 * FEATURES.length);
  for (const [index, [type, bit, name]] of FEATURES.entries()) {
    data[index * 48] = type;
    data[index * 48 + 1] = bit;
    data.set(utf8Bytes(name), index * 48 + 2);
  }
  return { type: EXTENSION.featureNames, data };
}
