// Counts anew what refers to each cluster, compares that with what the image says, and mends it. Nobody else writes to the image meanwhile.

import type { ByteStore } from '../byte-store.ts';
import { countReferences, type Survey } from './count-references.ts';
import { COMPRESSED_HI, COPIED_HI, entryOffset, geometryOf, hiOf, loOf, refcountIn, setRefcountIn } from './geometry.ts';
import { type Header, INCOMPATIBLE, serializeHeader } from './header.ts';
import { SparseCounts } from './sparse-counts.ts';

export type Repair = 'none' | 'leaks' | 'all';

export interface CheckResult {
  readonly corruptions: number;
  readonly leaks: number;
  /** What could not be looked at. */
  readonly checkErrors: number;
  readonly corruptionsFixed: number;
  readonly leaksFixed: number;
  readonly imageEndOffset: number;
  readonly totalClusters: number;
  readonly allocatedClusters: number;
  readonly fragmentedClusters: number;
  readonly compressedClusters: number;
}

type Tell = (line: string) => void;

interface Findings {
  readonly survey: Survey;
  readonly stored: SparseCounts;
  leaks: number;
  wrongCounts: number;
  wrongMarks: number;
}

/** The counts that the image holds. Blocks that cannot be right are left out; the survey has told of them. */
async function readStoredCounts(store: ByteStore, header: Header, survey: Survey): Promise<SparseCounts> {
  const { clusterBytes, refcountsPerBlock, refcountOrder } = geometryOf(header);
  const stored = new SparseCounts();
  const end = Math.ceil((await store.size()) / clusterBytes);
  const block = new Uint8Array(clusterBytes);
  const view = new DataView(block.buffer);
  for (const [index, offset] of survey.refcountBlocks) {
    await store.read(offset, [block]);
    if (block.every((byte) => byte === 0)) continue;
    for (let at = 0; at < refcountsPerBlock; at++) {
      const count = refcountIn(view, at, refcountOrder);
      const cluster = index * refcountsPerBlock + at;
      // What is counted behind the end and not referred to takes no room.
      if (count !== 0 && (cluster < end || survey.references.get(cluster) > 0)) stored.set(cluster, count);
    }
  }
  return stored;
}

function compareCounts(findings: Findings, repair: Repair, tell: Tell): void {
  const { survey, stored } = findings;
  for (const first of SparseCounts.pagesOf(survey.references, stored))
    for (let cluster = first; cluster < first + SparseCounts.pageSize; cluster++) {
      const [count, references] = [stored.get(cluster), survey.references.get(cluster)];
      if (count === references) continue;
      const isLeak = count > references;
      if (isLeak) findings.leaks++;
      else findings.wrongCounts++;
      const verb = isLeak ? (repair === 'none' ? 'Leaked' : 'Repairing') : repair === 'all' ? 'Repairing' : 'ERROR';
      tell(`${verb} cluster ${cluster} refcount=${count} reference=${references}`);
    }
}

/** Writes counts into the blocks that are there. */
async function mendCounts(store: ByteStore, header: Header, findings: Findings, repair: Repair): Promise<void> {
  const { clusterBytes, refcountsPerBlock, refcountOrder } = geometryOf(header);
  const { survey, stored } = findings;
  const block = new Uint8Array(clusterBytes);
  const view = new DataView(block.buffer);
  for (const [index, offset] of survey.refcountBlocks) {
    await store.read(offset, [block]);
    let hasChanged = false;
    for (let at = 0; at < refcountsPerBlock; at++) {
      const cluster = index * refcountsPerBlock + at;
      const [count, references] = [stored.get(cluster), survey.references.get(cluster)];
      if (count === references || (repair === 'leaks' && count < references)) continue;
      setRefcountIn(view, at, refcountOrder, references);
      hasChanged = true;
    }
    if (hasChanged) await store.write(offset, [block]);
  }
  await store.flush();
}

/** Counts in new blocks behind everything else, named by a new table; the old ones are free then. */
async function rebuildCounts(store: ByteStore, header: Header, survey: Survey): Promise<void> {
  const { clusterBytes, refcountsPerBlock, refcountOrder } = geometryOf(header);
  const { references } = survey;
  const start = Math.max(references.end, Math.ceil((await store.size()) / clusterBytes));
  survey.forgetRefcounts();
  const needed = new Set(
    SparseCounts.pagesOf(references).flatMap((first) => {
      const blocks: number[] = [];
      for (let cluster = first; cluster < first + SparseCounts.pageSize; cluster += Math.min(refcountsPerBlock, SparseCounts.pageSize))
        blocks.push(Math.floor(cluster / refcountsPerBlock));
      return blocks;
    }),
  );
  let tableClusters = 0;
  let total = 0;
  for (let last = -1; last !== total; ) {
    last = total;
    for (let cluster = start; cluster < start + total; cluster++) needed.add(Math.floor(cluster / refcountsPerBlock));
    tableClusters = Math.ceil(((Math.max(...needed) + 1) * 8) / clusterBytes);
    total = needed.size + tableClusters;
  }
  for (let cluster = start; cluster < start + total; cluster++) references.add(cluster);
  const table = new Uint8Array(tableClusters * clusterBytes);
  const tableView = new DataView(table.buffer);
  let place = start + tableClusters;
  for (const index of [...needed].sort((a, b) => a - b)) {
    const block = new Uint8Array(clusterBytes);
    const view = new DataView(block.buffer);
    for (let at = 0; at < refcountsPerBlock; at++) setRefcountIn(view, at, refcountOrder, references.get(index * refcountsPerBlock + at));
    await store.write(place * clusterBytes, [block]);
    tableView.setUint32(index * 8, hiOf(place * clusterBytes));
    tableView.setUint32(index * 8 + 4, loOf(place * clusterBytes));
    place++;
  }
  await store.write(start * clusterBytes, [table]);
  await store.flush();
  header.refcountTableOffset = start * clusterBytes;
  header.refcountTableClusters = tableClusters;
  await store.write(0, [serializeHeader(header)]);
  await store.flush();
}

/** Does the mark of being the disk's alone agree with the count, in the L1 table and the tables that it leads to? */
async function checkMarks(
  store: ByteStore,
  header: Header,
  countOf: (cluster: number) => number,
  isMended: boolean,
  tell: Tell,
): Promise<number> {
  const { clusterBytes, l2EntryBytes } = geometryOf(header);
  let wrong = 0;
  const mend = async (bytes: Uint8Array, offset: number, what: string): Promise<void> => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const isL2 = what === 'data cluster';
    let hasChanged = false;
    for (let at = 0; at + 8 <= bytes.length; at += isL2 ? l2EntryBytes : 8) {
      const [hi, lo] = [view.getUint32(at), view.getUint32(at + 4)];
      const place = entryOffset(hi, lo);
      if (place === 0 || place % clusterBytes !== 0 || (isL2 && hi & COMPRESSED_HI)) continue;
      const count = countOf(place / clusterBytes);
      if ((count === 1) === ((hi & COPIED_HI) !== 0)) continue;
      wrong++;
      const entry = ((BigInt(hi) << 32n) | BigInt(lo)).toString(16);
      tell(
        `${isMended ? 'Repairing' : 'ERROR'} OFLAG_COPIED ${what}: ${isL2 ? '' : `l1_index=${at / 8} `}${isL2 ? 'l2_entry' : 'l1_entry'}=${entry} refcount=${count}`,
      );
      view.setUint32(at, (count === 1 ? hi | COPIED_HI : hi & ~COPIED_HI) >>> 0);
      hasChanged = true;
    }
    if (hasChanged && isMended) await store.write(offset, [bytes]);
  };
  const l1 = new Uint8Array(header.l1Entries * 8);
  await store.read(header.l1Offset, [l1]);
  const l1View = new DataView(l1.buffer);
  await mend(l1, header.l1Offset, 'L2 cluster');
  for (let index = 0; index < header.l1Entries; index++) {
    const offset = entryOffset(l1View.getUint32(index * 8), l1View.getUint32(index * 8 + 4));
    if (offset === 0 || offset % clusterBytes !== 0) continue;
    const table = new Uint8Array(clusterBytes);
    await store.read(offset, [table]);
    await mend(table, offset, 'data cluster');
  }
  return wrong;
}

/** One look at the image, and what can be mended mended. */
async function lookOnce(store: ByteStore, header: Header, repair: Repair, tell: Tell): Promise<Findings> {
  const survey = await countReferences(store, header, tell);
  const findings: Findings = { survey, stored: await readStoredCounts(store, header, survey), leaks: 0, wrongCounts: 0, wrongMarks: 0 };
  compareCounts(findings, repair, tell);
  const { clusterBytes, refcountsPerBlock } = geometryOf(header);
  const blocks = new Map(survey.refcountBlocks);
  // In place only where the blocks are where they can be and nothing else is.
  const isSound =
    survey.refcountErrors === 0 &&
    survey.refcountBlocks.every(([, offset]) => survey.references.get(offset / clusterBytes) === 1) &&
    SparseCounts.pagesOf(survey.references).every((first) => {
      for (let at = first; at < Math.min(first + SparseCounts.pageSize, survey.references.end); at++)
        if (survey.references.get(at) > 0 && !blocks.has(Math.floor(at / refcountsPerBlock))) return false;
      return true;
    });
  const isWrong = findings.leaks > 0 || findings.wrongCounts > 0;
  let countOf = (cluster: number): number => findings.stored.get(cluster);
  if (repair === 'all' && (isWrong || survey.refcountErrors > 0)) {
    if (isSound) await mendCounts(store, header, findings, repair);
    else await rebuildCounts(store, header, survey);
    countOf = (cluster) => survey.references.get(cluster);
  } else if (repair === 'leaks' && findings.leaks > 0 && isSound) await mendCounts(store, header, findings, repair);
  findings.wrongMarks = await checkMarks(store, header, countOf, repair === 'all', tell);
  if (repair === 'all') await store.flush();
  return findings;
}

function resultOf(findings: Findings, header: Header, fixed: { readonly corruptions: number; readonly leaks: number }): CheckResult {
  const { survey, stored } = findings;
  const { clusterBytes } = geometryOf(header);
  return {
    corruptions: survey.errors + survey.refcountErrors + findings.wrongCounts + findings.wrongMarks,
    leaks: findings.leaks,
    checkErrors: 0,
    corruptionsFixed: fixed.corruptions,
    leaksFixed: fixed.leaks,
    imageEndOffset: Math.max(survey.references.end, stored.end) * clusterBytes,
    totalClusters: Math.ceil(header.byteCount / clusterBytes),
    allocatedClusters: survey.allocated,
    fragmentedClusters: survey.fragmented,
    compressedClusters: survey.compressed,
  };
}

/**
 * Looks, mends as far as it is asked to, and looks again where something was mended; then marks of damage that is gone go too. `tell` gets a line for each finding of
 * the first look. AnilloError FILE, BAD_IMAGE (the header or a table of snapshots or bitmaps cannot be read).
 */
export async function checkImage(store: ByteStore, header: Header, repair: Repair, tell: Tell = () => {}): Promise<CheckResult> {
  const first = await lookOnce(store, header, repair, tell);
  const found = resultOf(first, header, { corruptions: 0, leaks: 0 });
  let result = found;
  if (repair !== 'none' && (found.corruptions > 0 || found.leaks > 0)) {
    const second = await lookOnce(store, header, 'none', () => {});
    const left = resultOf(second, header, { corruptions: 0, leaks: 0 });
    result = {
      ...left,
      corruptionsFixed: Math.max(found.corruptions - left.corruptions, 0),
      leaksFixed: Math.max(found.leaks - left.leaks, 0),
    };
  }
  const marks = INCOMPATIBLE.dirty | INCOMPATIBLE.corrupt;
  if (repair === 'all' && result.corruptions === 0 && header.incompatible & marks) {
    header.incompatible &= ~marks;
    await store.write(0, [serializeHeader(header)]);
    await store.flush();
  }
  return result;
}
