// Blocks of a new file system, given away in order: in each group those in use are the first ones.

import { AnilloError } from '@anillo/base/anillo-error';
import { type Ext4Geometry, groupBlocks, groupStart, overheadBlocks } from './ext4-geometry.ts';

export interface BlockRun {
  readonly start: number;
  readonly count: number;
}

export class BlockAllocator {
  readonly #geometry: Ext4Geometry;
  /** Of each group, with what no file can have. */
  readonly used: Uint32Array;
  #group = 0;

  constructor(geometry: Ext4Geometry) {
    this.#geometry = geometry;
    this.used = Uint32Array.from({ length: geometry.groupCount }, (_, group) => overheadBlocks(geometry, group));
  }

  /** At least one and at most `most` blocks in a row. AnilloError BAD_OPTION where there are none left. */
  allocate(most: number): BlockRun {
    for (; this.#group < this.#geometry.groupCount; this.#group++) {
      const free = groupBlocks(this.#geometry, this.#group) - this.used[this.#group];
      if (free === 0) continue;
      const count = Math.min(free, most);
      const start = groupStart(this.#geometry, this.#group) + this.used[this.#group];
      this.used[this.#group] += count;
      return { start, count };
    }
    throw new AnilloError('BAD_OPTION', 'What the file system is to hold does not fit into it; give a larger --size.');
  }

  freeIn(group: number): number {
    return groupBlocks(this.#geometry, group) - this.used[group];
  }
}
