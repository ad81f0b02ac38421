// Where a file's blocks lie: by extents, or by blocks of block numbers (ext2, ext3).

import { AnilloError } from '@anillo/base/anillo-error';
import { viewOf } from '../packed-layout.ts';
import { EXTENT, EXTENT_HEADER, EXTENT_INDEX, EXTENT_MAGIC, MAX_EXTENT_BLOCKS } from './ext4-layout.ts';

export interface FileRun {
  readonly fileBlock: number;
  readonly count: number;
  readonly start: number;
}

export interface BlockReader {
  readonly blockBytes: number;
  readBlock(block: number): Promise<Uint8Array>;
}

const MOST_NODES = 16_384;
const MOST_RUNS = 1 << 20;
const MOST_DEPTH = 5;

const damaged = (): AnilloError =>
  new AnilloError('BAD_IMAGE', "A file's blocks are not what ext4 allows; check the file system with fsck.");

/** Runs in order, without holes and without blocks that have not been written. */
export async function extentRuns(root: Uint8Array, blocks: BlockReader): Promise<readonly FileRun[]> {
  const runs: FileRun[] = [];
  let nodes = 0;
  let next = 0;
  const visit = async (node: Uint8Array, depth: number): Promise<void> => {
    if (++nodes > MOST_NODES) throw damaged();
    const header = EXTENT_HEADER.decode(node);
    const room = Math.floor((node.length - EXTENT_HEADER.byteCount) / EXTENT.byteCount);
    if (header.magic !== EXTENT_MAGIC || header.entries > room || header.depth > MOST_DEPTH) throw damaged();
    if (depth >= 0 && header.depth !== depth) throw damaged();
    for (let i = 0; i < header.entries; i++) {
      const at = EXTENT_HEADER.byteCount + i * EXTENT.byteCount;
      if (header.depth > 0) {
        const { leafLow, leafHigh } = EXTENT_INDEX.decode(node, at);
        await visit(await blocks.readBlock(leafHigh * 2 ** 32 + leafLow), header.depth - 1);
        continue;
      }
      const { fileBlock, length, startHigh, startLow } = EXTENT.decode(node, at);
      const isWritten = length <= MAX_EXTENT_BLOCKS;
      const count = isWritten ? length : length - MAX_EXTENT_BLOCKS;
      if (count === 0 || fileBlock < next || runs.length > MOST_RUNS) throw damaged();
      next = fileBlock + count;
      if (isWritten) runs.push({ fileBlock, count, start: startHigh * 2 ** 32 + startLow });
    }
  };
  await visit(root, -1);
  return runs;
}

const DIRECT = 12;

/** The same for files with block numbers, of `blockCount` blocks. */
export async function pointerRuns(root: Uint8Array, blockCount: number, blocks: BlockReader): Promise<readonly FileRun[]> {
  const runs: { fileBlock: number; count: number; start: number }[] = [];
  const perBlock = blocks.blockBytes / 4;
  let fileBlock = 0;
  let nodes = 0;
  const add = (start: number): void => {
    const last = runs.at(-1);
    if (start !== 0) {
      if (last !== undefined && last.start + last.count === start && last.fileBlock + last.count === fileBlock) last.count++;
      else runs.push({ fileBlock, count: 1, start });
    }
    fileBlock++;
  };
  const visit = async (block: number, depth: number): Promise<void> => {
    if (fileBlock >= blockCount) return;
    if (depth === 0) return add(block);
    if (block === 0) {
      fileBlock += perBlock ** depth;
      return;
    }
    if (++nodes > MOST_NODES) throw damaged();
    const pointers = viewOf(await blocks.readBlock(block));
    for (let i = 0; i < perBlock && fileBlock < blockCount; i++) await visit(pointers.getUint32(4 * i, true), depth - 1);
  };
  const pointers = viewOf(root);
  for (let i = 0; i < 15; i++) await visit(pointers.getUint32(4 * i, true), Math.max(0, i - DIRECT + 1));
  return runs;
}
