import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PC } from './pc.ts';
import { Q35 } from './q35.ts';
import { E820, FOUR_GIB, KIB, MIB, pcMemoryMap } from './memory-map.ts';

const SIZES = [
  [1, 0],
  [16, 256],
  [512, 0],
  [3072, 0],
  [3584, 4096],
] as const;

for (const { name, layout } of [PC, Q35]) {
  for (const [mib, romKib] of SIZES) {
    test(`the map of ${name} with ${mib} MiB is in order and without overlaps`, () => {
      const map = pcMemoryMap(mib * MIB, romKib * KIB, layout);
      for (const list of [map.regions, map.e820]) {
        const sorted = [...list].sort((a, b) => a.start - b.start);
        for (let i = 1; i < sorted.length; i++) assert.ok(sorted[i - 1].start + sorted[i - 1].byteCount <= sorted[i].start);
        for (const r of list) assert.ok(r.byteCount > 0);
      }
      assert.equal(map.lowEnd + map.highBytes, mib * MIB);
      // What is called usable is RAM, and nothing usable is hidden but the firmware's megabyte.
      for (const e of map.e820.filter((r) => r.type === E820.RAM)) {
        assert.ok(map.regions.some((r) => r.kind === 'ram' && r.start <= e.start && e.start + e.byteCount <= r.start + r.byteCount));
      }
      const usable = map.e820.filter((r) => r.type === E820.RAM).reduce((sum, e) => sum + e.byteCount, 0);
      assert.equal(usable, mib * MIB - (MIB - 0x9fc00));
      const vga = map.regions.some((r) => r.start < 0xc0000 && r.start + r.byteCount > 0xa0000);
      assert.equal(vga, false);
    });
  }
}

test('RAM beyond 3 GiB continues at 4 GiB, ROM ends there', () => {
  const map = pcMemoryMap(3584 * MIB, 256 * KIB, PC.layout);
  assert.ok(map.regions.some((r) => r.start === FOUR_GIB && r.byteCount === 512 * MIB && r.kind === 'ram'));
  assert.ok(map.regions.some((r) => r.start === FOUR_GIB - 256 * KIB && r.kind === 'rom'));
  const q35 = pcMemoryMap(3584 * MIB, 0, Q35.layout);
  assert.deepEqual([q35.lowEnd, q35.highBytes], [2048 * MIB, 1536 * MIB]);
  assert.ok(q35.e820.some((e) => e.start === 0xb0000000 && e.byteCount === 256 * MIB && e.type === E820.RESERVED));
});
