// For tests of boards: gives a board memory of its own and starts it.

import { gpa } from '@anillo/base/gpa';
import { RegionMemory } from '@anillo/memory/region-memory';
import type { PcBoard } from './pc-board.ts';

export function attachForTest(pc: PcBoard): RegionMemory {
  let offset = 0;
  const regions = pc.regions.map((r) => {
    const region = { ...r, start: gpa(r.start), offset };
    offset += r.byteCount;
    return region;
  });
  const memory = new RegionMemory(new ArrayBuffer(offset), regions);
  pc.attach(memory);
  pc.reset();
  return memory;
}
