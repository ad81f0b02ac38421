// What a journal holds that has not come to its place yet (Linux, "Journal (jbd2)"): for each such block where its latest bytes are. Nothing is written.

import { viewOf } from '../packed-layout.ts';
import { JOURNAL_BLOCK, JOURNAL_HEADER, JOURNAL_INCOMPAT, JOURNAL_MAGIC, JOURNAL_SUPERBLOCK, JOURNAL_TAG_FLAG } from './ext4-layout.ts';
import type { BlockReader, FileRun } from './file-blocks.ts';

export interface JournalPlace {
  /** A block of the file system, in its journal. */
  readonly place: number;
  /** Its first four bytes are the journal's magic number, which must not stand in the journal. */
  readonly isEscaped: boolean;
}

interface Tag extends JournalPlace {
  readonly block: number;
  readonly sequence: number;
}

class Log {
  readonly #runs: readonly FileRun[];
  readonly #blocks: BlockReader;
  readonly #first: number;
  readonly #end: number;
  readonly #incompat: number;
  /** Whole transactions, in order. */
  readonly tags: Tag[] = [];
  /** Blocks that are not to be replayed from this transaction or one before it. */
  readonly revoked = new Map<number, number>();

  constructor(runs: readonly FileRun[], blocks: BlockReader, superblock: ReturnType<typeof JOURNAL_SUPERBLOCK.decode>) {
    this.#runs = runs;
    this.#blocks = blocks;
    this.#first = superblock.firstBlock;
    this.#end = superblock.blockCount;
    this.#incompat = superblock.incompat;
  }

  #has(feature: number): boolean {
    return (this.#incompat & feature) !== 0;
  }

  #place(logBlock: number): number | undefined {
    const run = this.#runs.find(({ fileBlock, count }) => logBlock >= fileBlock && logBlock < fileBlock + count);
    return run === undefined ? undefined : run.start + logBlock - run.fileBlock;
  }

  #after(logBlock: number): number {
    return logBlock + 1 >= this.#end ? this.#first : logBlock + 1;
  }

  /** Up to the last transaction that was ended. */
  async scan(start: number, firstSequence: number): Promise<void> {
    let pending: Tag[] = [];
    let pendingRevokes: number[] = [];
    let sequence = firstSequence;
    let at = start;
    for (let seen = 0; seen < this.#end; seen++) {
      const place = this.#place(at);
      if (place === undefined) return;
      const block = await this.#blocks.readBlock(place);
      const header = JOURNAL_HEADER.decode(block);
      if (header.magic !== JOURNAL_MAGIC || header.sequence !== sequence) return;
      at = this.#after(at);
      if (header.type === JOURNAL_BLOCK.descriptor) {
        for (const { block: target, isEscaped } of this.#tagsOf(block)) {
          const data = this.#place(at);
          if (data === undefined || ++seen > this.#end) return;
          pending.push({ block: target, isEscaped, place: data, sequence });
          at = this.#after(at);
        }
      } else if (header.type === JOURNAL_BLOCK.revoke) pendingRevokes.push(...this.#revokesOf(block));
      else if (header.type === JOURNAL_BLOCK.commit) {
        this.tags.push(...pending);
        for (const target of pendingRevokes) this.revoked.set(target, sequence);
        pending = [];
        pendingRevokes = [];
        sequence = (sequence + 1) >>> 0;
      } else return;
    }
  }

  *#tagsOf(block: Uint8Array): Generator<{ readonly block: number; readonly isEscaped: boolean }> {
    const view = viewOf(block);
    const isThird = this.#has(JOURNAL_INCOMPAT.checksum3);
    const isWide = this.#has(JOURNAL_INCOMPAT.bits64);
    const tagBytes = isThird ? 16 : 8 + (this.#has(JOURNAL_INCOMPAT.checksum2) ? 2 : 0) + (isWide ? 4 : 0);
    for (let at = JOURNAL_HEADER.byteCount; at + tagBytes <= block.length; ) {
      const flags = isThird ? view.getUint32(at + 4) : view.getUint16(at + 6);
      const high = isWide ? view.getUint32(at + 8) : 0;
      yield { block: high * 2 ** 32 + view.getUint32(at), isEscaped: (flags & JOURNAL_TAG_FLAG.escaped) !== 0 };
      if ((flags & JOURNAL_TAG_FLAG.last) !== 0) return;
      at += tagBytes + ((flags & JOURNAL_TAG_FLAG.sameUuid) !== 0 ? 0 : 16);
    }
  }

  *#revokesOf(block: Uint8Array): Generator<number> {
    const view = viewOf(block);
    const end = Math.min(view.getUint32(JOURNAL_HEADER.byteCount), block.length);
    const isWide = this.#has(JOURNAL_INCOMPAT.bits64);
    const bytes = isWide ? 8 : 4;
    for (let at = JOURNAL_HEADER.byteCount + 4; at + bytes <= end; at += bytes)
      yield isWide ? view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4) : view.getUint32(at);
  }
}

/** `runs`: of the journal's file. What is no journal holds nothing. */
export async function readJournal(runs: readonly FileRun[], blocks: BlockReader): Promise<ReadonlyMap<number, JournalPlace>> {
  const found = new Map<number, JournalPlace>();
  if (runs.length === 0 || runs[0].fileBlock !== 0) return found;
  const superblock = JOURNAL_SUPERBLOCK.decode(await blocks.readBlock(runs[0].start));
  const { magic, type, blockSize, blockCount, firstBlock, start, sequence } = superblock;
  const isKnown = type === JOURNAL_BLOCK.superblock1 || type === JOURNAL_BLOCK.superblock2;
  const last = runs[runs.length - 1];
  if (magic !== JOURNAL_MAGIC || !isKnown || blockSize !== blocks.blockBytes || start === 0) return found;
  if (firstBlock < 1 || firstBlock >= blockCount || start >= blockCount || blockCount > last.fileBlock + last.count) return found;
  const log = new Log(runs, blocks, superblock);
  await log.scan(start, sequence);
  for (const { block, place, isEscaped, sequence: of } of log.tags) {
    const revoked = log.revoked.get(block);
    // Sequence numbers go round.
    if (revoked === undefined || ((of - revoked) | 0) > 0) found.set(block, { place, isEscaped });
  }
  return found;
}
