// The log of a VHDX file (MS-VHDX 2.3): changes of its tables are written there first, and again by whoever opens a file that was not closed.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import { viewOf } from '../packed-layout.ts';
import { crc32cAround } from '../crc32c.ts';
import {
  DATA_SECTOR,
  DATA_SECTOR_SIGNATURE,
  DATA_SIGNATURE,
  KIB_4,
  LOG_DESCRIPTOR,
  LOG_ENTRY,
  LOG_SIGNATURE,
  ZERO_SIGNATURE,
} from './vhdx-layout.ts';

/** Larger logs than anybody makes would have to be kept in memory. */
const MAX_LOG_BYTES = 64 << 20;

/** One change of the file; without bytes: zeros. */
export interface LogChange {
  readonly offset: number;
  readonly byteCount: number;
  readonly bytes?: Uint8Array;
}

interface LogEntry {
  readonly offset: number;
  readonly byteCount: number;
  readonly tail: number;
  readonly sequence: number;
  readonly flushedFileBytes: number;
  readonly lastFileBytes: number;
  readonly bytes: Uint8Array;
  readonly descriptorCount: number;
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, i) => byte === b[i]);

class LogReader {
  readonly #log: Uint8Array;
  readonly #guid: Uint8Array;
  /** Bytes that checksums may still be taken of: entries may claim each other's bytes, and so far they may. */
  #budget: number;

  constructor(log: Uint8Array, guid: Uint8Array) {
    this.#log = log;
    this.#guid = guid;
    this.#budget = 8 * log.length;
  }

  /** Goes on at the beginning. */
  #slice(offset: number, byteCount: number): Uint8Array {
    const bytes = new Uint8Array(byteCount);
    const first = this.#log.subarray(offset, Math.min(this.#log.length, offset + byteCount));
    bytes.set(first);
    bytes.set(this.#log.subarray(0, byteCount - first.length), first.length);
    return bytes;
  }

  #entryAt(offset: number): LogEntry | undefined {
    const { signature, entryBytes, tail, sequence, descriptorCount, logGuid, flushedFileBytes, lastFileBytes, checksum } = LOG_ENTRY.decode(
      this.#log,
      offset,
    );
    const isShaped =
      signature === LOG_SIGNATURE &&
      entryBytes >= KIB_4 &&
      entryBytes % KIB_4 === 0 &&
      entryBytes <= this.#log.length &&
      tail % KIB_4 === 0 &&
      tail < this.#log.length &&
      sequence > 0 &&
      LOG_ENTRY.byteCount + descriptorCount * LOG_DESCRIPTOR.byteCount <= entryBytes &&
      sameBytes(logGuid, this.#guid);
    if (!isShaped) return undefined;
    this.#budget -= entryBytes;
    if (this.#budget < 0) return undefined;
    const bytes = this.#slice(offset, entryBytes);
    if (crc32cAround(bytes, LOG_ENTRY.offset.checksum) !== checksum) return undefined;
    return { offset, byteCount: entryBytes, tail, sequence, flushedFileBytes, lastFileBytes, bytes, descriptorCount };
  }

  /** The newest row of entries that is whole; empty: there is none. */
  activeSequence(): readonly LogEntry[] {
    const entries = new Map<number, LogEntry>();
    for (let offset = 0; offset < this.#log.length; offset += KIB_4) {
      const entry = this.#entryAt(offset);
      if (entry !== undefined) entries.set(offset, entry);
    }
    let steps = 1 << 20;
    for (const head of [...entries.values()].sort((a, b) => b.sequence - a.sequence)) {
      const row: LogEntry[] = [];
      for (let next = entries.get(head.tail); next !== undefined && row.length <= entries.size && steps > 0; steps--) {
        const last = row.at(-1);
        if (last !== undefined && next.sequence !== last.sequence + 1) break;
        row.push(next);
        if (next === head) return row;
        next = entries.get((next.offset + next.byteCount) % this.#log.length);
      }
    }
    return [];
  }
}

function changesOf({ bytes, descriptorCount, sequence }: LogEntry): readonly LogChange[] | undefined {
  const changes: LogChange[] = [];
  let sector = Math.ceil((LOG_ENTRY.byteCount + descriptorCount * LOG_DESCRIPTOR.byteCount) / KIB_4) * KIB_4;
  for (let i = 0; i < descriptorCount; i++) {
    const {
      signature,
      trailing,
      leading,
      fileOffset,
      sequence: own,
    } = LOG_DESCRIPTOR.decode(bytes, LOG_ENTRY.byteCount + i * LOG_DESCRIPTOR.byteCount);
    if (own !== sequence || fileOffset % KIB_4 !== 0) return undefined;
    if (signature === ZERO_SIGNATURE) {
      const byteCount = Number(viewOf(leading).getBigUint64(0, true));
      if (byteCount % KIB_4 !== 0) return undefined;
      changes.push({ offset: fileOffset, byteCount });
      continue;
    }
    if (signature !== DATA_SIGNATURE || sector + KIB_4 > bytes.length) return undefined;
    const { signature: mark, sequenceHigh, sequenceLow, data } = DATA_SECTOR.decode(bytes, sector);
    if (mark !== DATA_SECTOR_SIGNATURE || sequenceHigh * 2 ** 32 + sequenceLow !== sequence) return undefined;
    const whole = new Uint8Array(KIB_4);
    whole.set(leading);
    whole.set(data, 8);
    whole.set(trailing, KIB_4 - 4);
    changes.push({ offset: fileOffset, byteCount: KIB_4, bytes: whole });
    sector += KIB_4;
  }
  return changes;
}

export interface LogPlace {
  readonly offset: number;
  readonly byteCount: number;
  readonly guid: Uint8Array;
}

/** What is still to be done to the file, in order. AnilloError BAD_IMAGE, UNSUPPORTED. */
export async function readLog(store: ByteStore, { offset, byteCount, guid }: LogPlace): Promise<readonly LogChange[]> {
  if (byteCount > MAX_LOG_BYTES)
    throw new AnilloError('UNSUPPORTED', `${store.name} was not closed and has a log of ${byteCount} bytes; open it with Windows once.`);
  const log = new Uint8Array(byteCount);
  await store.read(offset, [log]);
  const row = new LogReader(log, guid).activeSequence();
  const bad = (): AnilloError => new AnilloError('BAD_IMAGE', `${store.name} was not closed, and its log is damaged.`);
  if (row.length === 0) return [];
  const storeBytes = await store.size();
  const { flushedFileBytes, lastFileBytes } = row[row.length - 1];
  if (storeBytes < flushedFileBytes) throw new AnilloError('BAD_IMAGE', `${store.name} is shorter than its log says; copy it again.`);
  const limit = Math.max(storeBytes, Math.min(lastFileBytes, 2 ** 47));
  const changes: LogChange[] = [];
  for (const entry of row) {
    const own = changesOf(entry);
    if (own === undefined || own.some((change) => change.offset + change.byteCount > limit)) throw bad();
    changes.push(...own);
  }
  return changes;
}

/** One entry that stands for itself: those before it are done. */
export function logEntry(
  guid: Uint8Array,
  sequence: number,
  position: number,
  changes: readonly LogChange[],
  fileBytes: number,
): Uint8Array {
  const first = Math.ceil((LOG_ENTRY.byteCount + changes.length * LOG_DESCRIPTOR.byteCount) / KIB_4) * KIB_4;
  const bytes = new Uint8Array(first + changes.length * KIB_4);
  LOG_ENTRY.encodeInto(bytes, 0, {
    ...{ signature: LOG_SIGNATURE, entryBytes: bytes.length, tail: position, sequence, descriptorCount: changes.length, logGuid: guid },
    ...{ flushedFileBytes: fileBytes, lastFileBytes: fileBytes },
  });
  for (const [i, { offset, bytes: sector = new Uint8Array(KIB_4) }] of changes.entries()) {
    const fields = { leading: sector.subarray(0, 8), trailing: sector.subarray(KIB_4 - 4), fileOffset: offset, sequence };
    LOG_DESCRIPTOR.encodeInto(bytes, LOG_ENTRY.byteCount + i * LOG_DESCRIPTOR.byteCount, { signature: DATA_SIGNATURE, ...fields });
    const halves = { sequenceHigh: Math.floor(sequence / 2 ** 32), sequenceLow: sequence % 2 ** 32 };
    DATA_SECTOR.encodeInto(bytes, first + i * KIB_4, { signature: DATA_SECTOR_SIGNATURE, data: sector.subarray(8, KIB_4 - 4), ...halves });
  }
  LOG_ENTRY.encodeInto(bytes, 0, { checksum: crc32cAround(bytes, LOG_ENTRY.offset.checksum) });
  return bytes;
}
