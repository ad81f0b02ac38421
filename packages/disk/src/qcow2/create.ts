// A new, empty qcow2 image: header, refcount table, refcount blocks and L1 table in the first clusters.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import type { CreateOptions } from '../disk-format.ts';
import { utf8Bytes } from '../text-bytes.ts';
import { geometryOf, setRefcountIn } from './geometry.ts';
import {
  COMPATIBLE,
  EXTENSION,
  type Extension,
  featureNameTable,
  type Header,
  INCOMPATIBLE,
  MAX_L1_BYTES,
  MAX_REFCOUNT_TABLE_BYTES,
  serializeHeader,
} from './header.ts';

/** Name and help of each option. */
export const CREATE_OPTIONS = {
  backing_file: 'File name of a base image',
  backing_fmt: 'Image format of the base image',
  cluster_size: 'qcow2 cluster size',
  compat: 'Compatibility level (v2 [0.10] or v3 [1.1])',
  compression_type: 'Compression method used for image cluster compression',
  extended_l2: 'Extended L2 tables',
  lazy_refcounts: 'Postpone refcount updates',
  preallocation: 'Preallocation mode (allowed values: off, metadata, falloc, full)',
  refcount_bits: 'Width of a reference count entry in bits',
  size: 'Virtual disk size',
} as const;

const refuse = (sentence: string): AnilloError => new AnilloError('BAD_OPTION', sentence);

export function parseByteCount(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([bkmgtpe]?)$/i.exec(text);
  const bytes =
    match === null
      ? Number.NaN
      : Math.round(Number(match[1]) * 1024 ** ['', 'k', 'm', 'g', 't', 'p', 'e'].indexOf(match[2].toLowerCase().replace('b', '')));
  if (!(bytes <= 2 ** 53)) throw refuse(`"${text}" is no size; give bytes, or a number with K, M, G or T.`);
  return bytes;
}

function onOff(options: CreateOptions, name: string): boolean {
  const { [name]: value = 'off' } = options;
  if (value !== 'on' && value !== 'off') throw refuse(`${name}=${value} is neither on nor off; give one of them.`);
  return value === 'on';
}

function oneOf(options: CreateOptions, name: string, values: readonly string[]): string {
  const { [name]: value = values[0] } = options;
  if (!values.includes(value)) throw refuse(`${name}=${value} is not known; give ${values.slice(0, -1).join(', ')} or ${values.at(-1)}.`);
  return value;
}

/** A power of two in a range, as its logarithm. */
function logarithm(options: CreateOptions, name: string, standard: string, least: number, most: number): number {
  const value = parseByteCount(options[name] ?? standard);
  const bits = Math.log2(value);
  if (!Number.isInteger(bits) || value < least || value > most)
    throw refuse(`${name}=${options[name]} is not a power of two from ${least} to ${most}; give one.`);
  return bits;
}

function requireVersion3(options: CreateOptions, version: number, refcountOrder: number): void {
  if (version >= 3) return;
  const newer =
    ['lazy_refcounts', 'extended_l2'].find((name) => options[name] === 'on') ??
    (options.compression_type === 'zstd' ? 'compression_type' : undefined);
  const name = newer ?? (refcountOrder !== 4 ? 'refcount_bits' : undefined);
  if (name !== undefined) throw refuse(`${name}=${options[name]} needs version 3; give compat=1.1.`);
}

/** The header that the options ask for, without places of tables. AnilloError BAD_OPTION. */
export function planHeader(byteCount: number, options: CreateOptions): Header {
  const unknown = Object.keys(options).find((name) => !(name in CREATE_OPTIONS));
  if (unknown !== undefined)
    throw refuse(
      unknown === 'data_file' || unknown.startsWith('encrypt')
        ? `${unknown} is not supported; leave it out, or use qemu-img.`
        : `qcow2 has no option ${unknown}; it has ${Object.keys(CREATE_OPTIONS).join(', ')}.`,
    );
  const version = ['0.10', 'v2'].includes(oneOf(options, 'compat', ['1.1', '0.10', 'v3', 'v2'])) ? 2 : 3;
  const clusterBits = logarithm(options, 'cluster_size', '65536', 512, 2 << 20);
  const refcountOrder = logarithm(options, 'refcount_bits', '16', 1, 64);
  const compression = oneOf(options, 'compression_type', ['zlib', 'zstd']) as 'zlib' | 'zstd';
  requireVersion3(options, version, refcountOrder);
  const isExtended = onOff(options, 'extended_l2');
  if (isExtended && clusterBits < 14) throw refuse('extended_l2=on needs clusters of at least 16384 bytes; give cluster_size=16k or more.');
  const preallocation = oneOf(options, 'preallocation', ['off', 'metadata', 'falloc', 'full']);
  if (options.backing_file !== undefined && preallocation !== 'off' && !isExtended)
    throw refuse('An image with a backing file can only be preallocated with extended_l2=on; leave preallocation out.');
  if (options.backing_fmt !== undefined && options.backing_file === undefined)
    throw refuse('backing_fmt says the format of a backing file; give backing_file too.');
  const extensions: Extension[] = [];
  if (options.backing_fmt !== undefined) extensions.push({ type: EXTENSION.backingFormat, data: utf8Bytes(options.backing_fmt) });
  if (version === 3) extensions.push(featureNameTable());
  return {
    version,
    clusterBits,
    byteCount,
    l1Entries: 0,
    l1Offset: 0,
    refcountTableOffset: 0,
    refcountTableClusters: 0,
    snapshotCount: 0,
    snapshotsOffset: 0,
    incompatible: (compression === 'zstd' ? INCOMPATIBLE.compression : 0n) | (isExtended ? INCOMPATIBLE.extendedL2 : 0n),
    compatible: onOff(options, 'lazy_refcounts') ? COMPATIBLE.lazyRefcounts : 0n,
    autoclear: 0n,
    refcountOrder,
    compression,
    unknownFields: new Uint8Array(0),
    extensions,
    backingFile: options.backing_file,
  };
}

/** AnilloError BAD_OPTION. */
export async function createImage(store: ByteStore, byteCount: number, options: CreateOptions): Promise<void> {
  const header = planHeader(Math.ceil(byteCount / 512) * 512, options);
  const geometry = geometryOf(header);
  const { clusterBytes } = geometry;
  header.l1Entries = Math.ceil(header.byteCount / geometry.l2Span);
  if (header.l1Entries * 8 > MAX_L1_BYTES)
    throw refuse(`Clusters of ${clusterBytes} bytes do not allow a disk of ${byteCount} bytes; give a larger cluster_size.`);
  // An L1 table may have no entry, but not no place.
  const l1Clusters = Math.max(1, Math.ceil((header.l1Entries * 8) / clusterBytes));
  let [tableClusters, blockCount, total] = [1, 1, 0];
  for (let last = -1; last !== total; ) {
    last = total;
    total = 1 + tableClusters + blockCount + l1Clusters;
    blockCount = Math.ceil(total / geometry.refcountsPerBlock);
    tableClusters = Math.ceil((blockCount * 8) / clusterBytes);
  }
  if (tableClusters * clusterBytes > Math.max(MAX_REFCOUNT_TABLE_BYTES, clusterBytes))
    throw refuse('The disk is too large for its clusters; give a larger cluster_size.');
  header.refcountTableOffset = clusterBytes;
  header.refcountTableClusters = tableClusters;
  header.l1Offset = (1 + tableClusters + blockCount) * clusterBytes;
  const table = new Uint8Array(tableClusters * clusterBytes);
  const blocks = new Uint8Array(blockCount * clusterBytes);
  const [tableView, blockView] = [new DataView(table.buffer), new DataView(blocks.buffer)];
  for (let block = 0; block < blockCount; block++) tableView.setBigUint64(block * 8, BigInt((1 + tableClusters + block) * clusterBytes));
  for (let cluster = 0; cluster < total; cluster++) setRefcountIn(blockView, cluster, geometry.refcountOrder, 1);
  const head = new Uint8Array(clusterBytes);
  head.set(serializeHeader(header));
  await store.resize(0);
  await store.write(0, [head, table, blocks]);
  await store.resize(total * clusterBytes);
  await store.flush();
}
