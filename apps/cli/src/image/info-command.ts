// `anillo image info`, `map` and `snapshot -l`: what an image is, and where it keeps what.

import type { Disk, Extent } from '@anillo/disk/disk';
import { INCOMPATIBLE } from '@anillo/disk/qcow2/header';
import { Qcow2Disk } from '@anillo/disk/qcow2/qcow2-disk';
import type { Snapshot } from '@anillo/disk/qcow2/snapshot-table';
import { imagePath } from '@anillo/host-node/image-files';
import { extentsOf } from './copy-disk.ts';
import { hostByteCount } from './create-command.ts';
import { humanSize, isJson, openNamed, parseImageArguments, printJson, refuse } from './image-arguments.ts';

function icountOf(snapshot: Snapshot): number | undefined {
  if (snapshot.extra.length < 24) return undefined;
  const count = new DataView(snapshot.extra.buffer, snapshot.extra.byteOffset).getBigInt64(16);
  return count < 0n ? undefined : Number(count);
}

const pad = (number: number, length = 2): string => String(number).padStart(length, '0');

export function snapshotList(snapshots: readonly Snapshot[]): string {
  if (snapshots.length === 0) return '';
  const row = (id: string, tag: string, size: string, date: string, clock: string, icount: string): string =>
    `${id.padEnd(9)} ${tag.padEnd(16)} ${size.padStart(8)}${date.padStart(20)}${clock.padStart(13)}${icount.padStart(11)}\n`;
  const rows = snapshots.map((snapshot) => {
    const at = new Date(snapshot.seconds * 1000);
    const date = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
    const ms = Number(snapshot.vmClock / 1_000_000n);
    const clock = `${pad(Math.floor(ms / 3_600_000))}:${pad(Math.floor(ms / 60_000) % 60)}:${pad(Math.floor(ms / 1000) % 60)}.${pad(ms % 1000, 3)}`;
    return row(snapshot.id, snapshot.name, humanSize(snapshot.vmStateBytes), date, clock, String(icountOf(snapshot) ?? ''));
  });
  return `Snapshot list:\n${row('ID', 'TAG', 'VM SIZE', 'DATE', 'VM CLOCK', 'ICOUNT')}${rows.join('')}`;
}

type ImageInfo = Record<string, unknown>;

async function infoOf(disk: Disk, name: string): Promise<ImageInfo> {
  const snapshots = disk instanceof Qcow2Disk ? await disk.snapshots() : [];
  const isDirty = disk instanceof Qcow2Disk && (disk.tables.header.incompatible & INCOMPATIBLE.dirty) !== 0n;
  return {
    ...(disk.backing === undefined ? {} : backingInfo(disk.backing, name)),
    ...(snapshots.length === 0 ? {} : { snapshots: snapshots.map(snapshotInfo) }),
    'virtual-size': disk.byteCount,
    filename: name,
    ...(disk.format !== 'raw' && disk.clusterByteCount !== undefined ? { 'cluster-size': disk.clusterByteCount } : {}),
    format: disk.format,
    'actual-size': hostByteCount(imagePath(name, '')),
    ...(disk.facts === undefined ? {} : { 'format-specific': { type: disk.format, data: disk.facts } }),
    'dirty-flag': isDirty,
  };
}

function backingInfo({ fileName, format }: { readonly fileName: string; readonly format: string | undefined }, name: string): ImageInfo {
  return {
    'backing-filename': fileName,
    'full-backing-filename': imagePath(fileName, name),
    ...(format === undefined ? {} : { 'backing-filename-format': format }),
  };
}

function snapshotInfo(snapshot: Snapshot): ImageInfo {
  const icount = icountOf(snapshot);
  return {
    ...(icount === undefined ? {} : { icount }),
    'vm-clock-nsec': Number(snapshot.vmClock % 1_000_000_000n),
    name: snapshot.name,
    'date-sec': snapshot.seconds,
    'date-nsec': snapshot.nanoseconds,
    'vm-clock-sec': Number(snapshot.vmClock / 1_000_000_000n),
    id: snapshot.id,
    'vm-state-size': snapshot.vmStateBytes,
  };
}

/** Nested values, each level further in. */
function factLines(value: unknown, depth: number): string {
  const indent = '    '.repeat(depth);
  return Object.entries(value as Record<string, unknown>)
    .map(([key, item]) => {
      const name = Array.isArray(value) ? `[${key}]` : key.replaceAll('-', ' ');
      return typeof item === 'object' && item !== null ? `${indent}${name}:\n${factLines(item, depth + 1)}` : `${indent}${name}: ${item}\n`;
    })
    .join('');
}

function infoText(info: ImageInfo, snapshots: readonly Snapshot[]): string {
  const full = info['full-backing-filename'] === info['backing-filename'] ? '' : ` (actual path: ${info['full-backing-filename']})`;
  return [
    `image: ${info.filename}\nfile format: ${info.format}\n`,
    `virtual size: ${humanSize(info['virtual-size'] as number)} (${info['virtual-size']} bytes)\n`,
    `disk size: ${humanSize(info['actual-size'] as number)}\n`,
    info['dirty-flag'] === true ? 'cleanly shut down: no\n' : '',
    info['cluster-size'] === undefined ? '' : `cluster_size: ${info['cluster-size']}\n`,
    info['backing-filename'] === undefined ? '' : `backing file: ${info['backing-filename']}${full}\n`,
    info['backing-filename-format'] === undefined ? '' : `backing file format: ${info['backing-filename-format']}\n`,
    snapshotList(snapshots),
    info['format-specific'] === undefined
      ? ''
      : `Format specific information:\n${factLines((info['format-specific'] as { data: unknown }).data, 1)}`,
  ].join('');
}

export async function infoCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseImageArguments(
    'info',
    args,
    {
      format: { type: 'string', short: 'f' },
      output: { type: 'string' },
      'backing-chain': { type: 'boolean' },
      'force-share': { type: 'boolean', short: 'U' },
    },
    [1, 1],
  );
  const json = isJson(values.output);
  const infos: ImageInfo[] = [];
  const texts: string[] = [];
  let next: { name: string; format: string | undefined } | undefined = { name: positionals[0], format: values.format };
  const seen = new Set<string>();
  while (next !== undefined) {
    const { name, format }: { name: string; format: string | undefined } = next;
    if (seen.has(name)) throw refuse(`${name} is behind itself; mend its chain with 'anillo image rebase -u'.`);
    seen.add(name);
    const disk = await openNamed(name, { isReadOnly: true, format, backing: null }, values['force-share']);
    const info = await infoOf(disk, name);
    infos.push(info);
    texts.push(infoText(info, disk instanceof Qcow2Disk ? await disk.snapshots() : []));
    const { backing } = disk;
    next =
      values['backing-chain'] === true && backing !== undefined
        ? { name: imagePath(backing.fileName, name), format: backing.format }
        : undefined;
    await disk.close();
  }
  if (json) printJson(values['backing-chain'] === true ? infos : infos[0]);
  else process.stdout.write(texts.join('\n'));
  return 0;
}

interface MapEntry {
  start: number;
  length: number;
  depth: number;
  present: boolean;
  zero: boolean;
  data: boolean;
  compressed: boolean;
  offset: number | undefined;
}

function mapEntry({ offset, byteCount, kind, depth, isCompressed, storeOffset }: Extent): MapEntry {
  return {
    start: offset,
    length: byteCount,
    depth,
    present: kind !== 'absent',
    zero: kind !== 'data',
    data: kind === 'data',
    compressed: isCompressed,
    offset: storeOffset,
  };
}

function continues(last: MapEntry, next: MapEntry): boolean {
  const isSame = (['depth', 'present', 'zero', 'data', 'compressed'] as const).every((key) => last[key] === next[key]);
  return isSame && (last.offset === undefined ? next.offset === undefined : last.offset + last.length === next.offset);
}

const hex = (value: number): string => (value === 0 ? '0' : `0x${value.toString(16)}`).padEnd(16);

export async function mapCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseImageArguments(
    'map',
    args,
    {
      format: { type: 'string', short: 'f' },
      output: { type: 'string' },
      'start-offset': { type: 'string', short: 's' },
      'max-length': { type: 'string', short: 'l' },
      'force-share': { type: 'boolean', short: 'U' },
    },
    [1, 1],
  );
  const json = isJson(values.output);
  const disk = await openNamed(positionals[0], { isReadOnly: true, format: values.format }, values['force-share']);
  const files: string[] = [positionals[0]];
  for (let behind = disk.backing; behind !== undefined; behind = behind.disk?.backing)
    files.push(imagePath(behind.fileName, files.at(-1)!));
  const entries: MapEntry[] = [];
  const start = Math.floor(Number(values['start-offset'] ?? 0) / 512) * 512;
  const end = Math.min(disk.byteCount, start + Number(values['max-length'] ?? disk.byteCount));
  for await (const extent of extentsOf(disk, start, end)) {
    const entry = mapEntry(extent);
    const last = entries.at(-1);
    if (last !== undefined && continues(last, entry)) last.length += entry.length;
    else entries.push(entry);
  }
  await disk.close();
  if (json) {
    const lines = entries.map(({ compressed: _compressed, offset, ...entry }) => {
      const fields = Object.entries({ ...entry, ...(offset === undefined ? {} : { offset }) }).map(([key, value]) => `"${key}": ${value}`);
      return `{ ${fields.join(', ')}}`;
    });
    process.stdout.write(`[${lines.join(',\n')}]\n`);
    return 0;
  }
  process.stdout.write('Offset          Length          Mapped to       File\n');
  for (const entry of entries) {
    if (!entry.data) continue;
    if (entry.offset === undefined)
      throw refuse(`${positionals[0]} has compressed clusters, which lie nowhere as they are; give --output=json.`);
    process.stdout.write(`${hex(entry.start)}${hex(entry.length)}${hex(entry.offset)}${files[entry.depth] ?? ''}\n`);
  }
  return 0;
}
