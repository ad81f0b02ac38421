// Partitions of a disk: GPT (UEFI 2.10, 5.3), or a master boot record with logical drives. What it says is checked against the disk's size.

import type { ReadableDisk } from './volume.ts';
import { Volume } from './volume.ts';
import { packedLayout } from './packed-layout.ts';
import { guidText } from './vhdx/guid.ts';

export interface Partition {
  readonly offset: number;
  readonly byteCount: number;
  /** As Linux has it in PARTUUID=. */
  readonly id: string;
}

const SECTOR = 512;
const GPT_HEADER = packedLayout('little', {
  signature: 8,
  revision: 'u32',
  headerBytes: 'u32',
  checksum: 'u32',
  reserved: 'u32',
  ownSector: 'u64',
  otherSector: 'u64',
  firstUsable: 'u64',
  lastUsable: 'u64',
  diskId: 16,
  tableSector: 'u64',
  entryCount: 'u32',
  entryBytes: 'u32',
  tableChecksum: 'u32',
});
const GPT_ENTRY = packedLayout('little', { type: 16, id: 16, first: 'u64', last: 'u64', attributes: 'u64', name: 72 });
const GPT_SIGNATURE = 'EFI PART';
const MOST_GPT_ENTRIES = 1024;

const MBR_TABLE_AT = 446;
const MBR_ID_AT = 440;
const MBR_ENTRY = packedLayout('little', { status: 'u8', chsFirst: 3, type: 'u8', chsLast: 3, first: 'u32', count: 'u32' });
const EXTENDED = [0x05, 0x0f, 0x85];
const PROTECTIVE = 0xee;
const MOST_LOGICAL = 128;

const isText = (bytes: Uint8Array, text: string): boolean => [...text].every((letter, i) => bytes[i] === letter.charCodeAt(0));

async function readSector(volume: Volume, sector: number): Promise<Uint8Array | undefined> {
  if ((sector + 1) * SECTOR > volume.byteCount) return undefined;
  const bytes = new Uint8Array(SECTOR);
  await volume.read(sector * SECTOR, bytes);
  return bytes;
}

async function gptAt(volume: Volume, sector: number): Promise<readonly Partition[] | undefined> {
  const head = await readSector(volume, sector);
  if (head === undefined || !isText(head, GPT_SIGNATURE)) return undefined;
  const { tableSector, entryCount, entryBytes } = GPT_HEADER.decode(head);
  if (entryBytes < GPT_ENTRY.byteCount || entryBytes > 4096 || entryCount > MOST_GPT_ENTRIES) return undefined;
  const table = new Uint8Array(entryCount * entryBytes);
  if (tableSector * SECTOR + table.length > volume.byteCount) return undefined;
  await volume.read(tableSector * SECTOR, table);
  const found: Partition[] = [];
  for (let i = 0; i < entryCount; i++) {
    const { type, id, first, last } = GPT_ENTRY.decode(table, i * entryBytes);
    if (type.every((byte) => byte === 0) || first > last || (last + 1) * SECTOR > volume.byteCount) continue;
    found.push({ offset: first * SECTOR, byteCount: (last + 1 - first) * SECTOR, id: guidText(id) });
  }
  return found;
}

interface MbrEntry {
  readonly type: number;
  readonly first: number;
  readonly count: number;
}

function mbrEntries(sector: Uint8Array): readonly MbrEntry[] | undefined {
  if (sector[510] !== 0x55 || sector[511] !== 0xaa) return undefined;
  const entries = [0, 1, 2, 3].map((i) => MBR_ENTRY.decode(sector, MBR_TABLE_AT + i * MBR_ENTRY.byteCount));
  // A boot sector without partitions has other things there.
  return entries.every(({ status }) => (status & 0x7f) === 0) ? entries : undefined;
}

async function logicalDrives(volume: Volume, base: number): Promise<readonly MbrEntry[]> {
  const found: MbrEntry[] = [];
  for (let at = base; found.length < MOST_LOGICAL; ) {
    const sector = await readSector(volume, at);
    const entries = sector && mbrEntries(sector);
    if (entries === undefined) break;
    const [drive, link] = entries;
    if (drive.type !== 0) found.push({ ...drive, first: at + drive.first });
    // Each lies behind the one before, so that there is an end.
    if (!EXTENDED.includes(link.type) || base + link.first <= at) break;
    at = base + link.first;
  }
  return found;
}

async function mbr(volume: Volume, sector: Uint8Array): Promise<readonly Partition[]> {
  const primary = mbrEntries(sector) ?? [];
  const extended = primary.find(({ type }) => EXTENDED.includes(type));
  const logical = extended === undefined ? [] : await logicalDrives(volume, extended.first);
  const id = new DataView(sector.buffer, sector.byteOffset).getUint32(MBR_ID_AT, true).toString(16).padStart(8, '0');
  return [...primary, ...logical].flatMap(({ type, first, count }, i) => {
    if (type === 0 || EXTENDED.includes(type) || count === 0 || (first + count) * SECTOR > volume.byteCount) return [];
    return [{ offset: first * SECTOR, byteCount: count * SECTOR, id: `${id}-${(i + 1).toString(16).padStart(2, '0')}` }];
  });
}

/** In the order of the table; none where there is no table. What the host fails at rejects. */
export async function partitionsOf(disk: ReadableDisk): Promise<readonly Partition[]> {
  const volume = new Volume(disk);
  const first = await readSector(volume, 0);
  if (first === undefined) return [];
  const isProtected = mbrEntries(first)?.some(({ type }) => type === PROTECTIVE) === true;
  if (!isProtected) return mbr(volume, first);
  return (await gptAt(volume, 1)) ?? (await gptAt(volume, Math.floor(disk.byteCount / SECTOR) - 1)) ?? [];
}
