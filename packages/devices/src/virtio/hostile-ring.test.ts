import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { RIG_MEMORY_BYTES } from '../testing/pci-rig.ts';
import { type RigQueue, VirtioRig } from '../testing/virtio-rig.ts';
import { createDevice } from '../catalog.ts';
import { FEATURE } from './virtio-features.ts';
import { fuzzVirtio } from '../testing/fuzz-virtio.ts';

const { indirectDescriptors, packedRing } = FEATURE;
const SIZE = 8;
const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;

function start(features: readonly number[]): { rig: VirtioRig; queue: RigQueue } {
  const rig = new VirtioRig();
  createDevice({ model: 'virtio-rng-pci', packed: true }, rig.context);
  const [queue] = rig.find().start(features, SIZE);
  return { rig, queue };
}

type Entry = readonly [address: number, byteCount: number, flags: number, next?: number];

/** Puts descriptors there; for packed rings they become available. */
function put(rig: VirtioRig, table: number, entries: readonly Entry[], isPacked: boolean, available = 0x80): void {
  entries.forEach(([address, byteCount, flags, next = 0], i) => {
    const words = isPacked ? [next, flags | available] : [flags, next];
    rig.put(table + i * 16, address, 0, byteCount, words[0] | (words[1] << 16));
  });
}

/** The device stands still: it has told, and does not look at the ring again until it is reset. */
function assertBroken(rig: VirtioRig, queue: RigQueue): void {
  assert.ok(rig.needsReset);
  assert.equal(rig.takeMessages(0), 1, 'the configuration interrupt');
  const before = rig.bytes(queue.ring.device, 64);
  rig.notify(queue);
  assert.deepEqual(rig.bytes(queue.ring.device, 64), before);
  rig.status = 0;
  assert.equal(rig.status, 0);
}

/** What each ring must not hold; made available as the first chain. */
const BAD: readonly (readonly [what: string, entries: readonly Entry[], table?: readonly Entry[], tableBytes?: number])[] = [
  ['an empty buffer', [[0x1000, 0, WRITE]]],
  ['a buffer outside memory', [[RIG_MEMORY_BYTES, 16, WRITE]]],
  ['a buffer that ends outside memory', [[RIG_MEMORY_BYTES - 8, 16, WRITE]]],
  ['a buffer as long as a length goes', [[0x1000, 0xffffffff, WRITE]]],
  [
    'a readable buffer behind a writable one',
    [
      [0x1000, 16, WRITE | NEXT, 1],
      [0x2000, 16, 0],
    ],
  ],
  ['a table of no whole entries', [[0x70000, 24, INDIRECT]], [[0x1000, 16, WRITE]]],
  ['an empty table', [[0x70000, 0, INDIRECT]], [[0x1000, 16, WRITE]]],
  ['a table outside memory', [[RIG_MEMORY_BYTES, 16, INDIRECT]]],
  ['a table that is too large', [[0x70000, 16 * 1025, INDIRECT]], [[0x1000, 16, WRITE]]],
  ['a table within a table', [[0x70000, 16, INDIRECT]], [[0x70000, 16, INDIRECT]]],
  [
    'a table with something behind it',
    [
      [0x70000, 16, INDIRECT | NEXT, 1],
      [0x1000, 16, WRITE],
    ],
    [[0x1000, 16, WRITE]],
  ],
];

for (const isPacked of [false, true]) {
  const features = [indirectDescriptors, ...(isPacked ? [packedRing] : [])];
  for (const [what, entries, table = []] of BAD) {
    test(`${isPacked ? 'packed' : 'split'}: ${what} breaks the device until reset`, () => {
      const { rig, queue } = start(features);
      put(rig, 0x70000, table, isPacked, 0);
      put(rig, queue.ring.descriptors, entries, isPacked);
      if (!isPacked) rig.put(queue.ring.driver, 1 << 16, 0);
      rig.notify(queue);
      assertBroken(rig, queue);
      const [again] = rig.start(features, SIZE);
      again.ring.offer([{ address: 0x1000, byteCount: 4, isWritable: true }]);
      rig.notify(again);
      assert.deepEqual(again.ring.collect(), [{ id: 0, writtenBytes: 4 }]);
    });
  }
}

test('an indirect descriptor that was not negotiated', () => {
  for (const features of [[], [packedRing]]) {
    const { rig, queue } = start(features);
    put(rig, queue.ring.descriptors, [[0x70000, 16, INDIRECT]], features.length > 0);
    if (features.length === 0) rig.put(queue.ring.driver, 1 << 16, 0);
    rig.notify(queue);
    assertBroken(rig, queue);
  }
});

test('split: loops, indices that are none, more chains than entries', () => {
  const cases: readonly (readonly [entries: readonly Entry[], available: number, head: number])[] = [
    [[[0x1000, 16, WRITE | NEXT, 0]], 1, 0],
    [
      [
        [0x1000, 16, WRITE | NEXT, 1],
        [0x1000, 16, WRITE | NEXT, 0],
      ],
      1,
      0,
    ],
    [[[0x1000, 16, WRITE | NEXT, SIZE]], 1, 0],
    [[[0x1000, 16, WRITE]], 1, SIZE],
    [[[0x1000, 16, WRITE]], 1, 0xffff],
    [[[0x1000, 16, WRITE]], SIZE + 1, 0],
    [[[0x1000, 16, WRITE]], 0xffff, 0],
  ];
  for (const [entries, available, head] of cases) {
    const { rig, queue } = start([]);
    put(rig, queue.ring.descriptors, entries, false);
    rig.put(queue.ring.driver, available << 16, head);
    rig.notify(queue);
    assertBroken(rig, queue);
  }
});

test('split: a loop within a table, and an index behind its end', () => {
  for (const next of [0, 1, 5]) {
    const { rig, queue } = start([indirectDescriptors]);
    put(rig, 0x70000, [[0x1000, 16, WRITE | NEXT, next]], false);
    put(rig, queue.ring.descriptors, [[0x70000, 16, INDIRECT]], false);
    rig.put(queue.ring.driver, 1 << 16, 0);
    rig.notify(queue);
    assertBroken(rig, queue);
  }
});

test('packed: a chain that goes all the way round', () => {
  const { rig, queue } = start([packedRing]);
  put(
    rig,
    queue.ring.descriptors,
    Array.from({ length: SIZE }, (): Entry => [0x1000, 16, WRITE | NEXT]),
    true,
  );
  rig.notify(queue);
  assertBroken(rig, queue);
});

test('a queue outside memory, not aligned, or of a size that is none', () => {
  for (const [offset, value] of [
    [32, RIG_MEMORY_BYTES],
    [40, RIG_MEMORY_BYTES],
    [36, 0x7fffffff],
    [32, 0x80008],
    [40, 0x80201],
    [48, 0x80302],
    [24, 6],
  ]) {
    const rig = new VirtioRig();
    createDevice({ model: 'virtio-rng-pci' }, rig.context);
    rig.find();
    assert.ok(rig.negotiate([]));
    rig.setCommon(16, 2, 0);
    rig.setVector(0, 0);
    for (const [at, place] of [
      [32, 0x80000],
      [40, 0x80200],
      [48, 0x80300],
    ])
      rig.setCommon(at, 4, place);
    rig.setCommon(24, 2, SIZE);
    rig.setCommon(offset, offset === 24 ? 2 : 4, value);
    rig.ram.write16(gpa(0x80202), 1);
    rig.setCommon(28, 2, 1);
    rig.ready();
    assert.ok(rig.needsReset, `${offset} ${value}`);
  }
});

test('a queue keeps its registers once it is enabled, and sizes that are too large are not taken', () => {
  const { rig, queue } = start([]);
  rig.setCommon(22, 2, 0);
  for (const [at, byteCount, value] of [
    [24, 2, 4],
    [32, 4, 0],
    [40, 4, 0],
    [48, 4, 0],
  ] as const)
    rig.setCommon(at, byteCount, value);
  assert.deepEqual([rig.common(24, 2), rig.common(32, 4), rig.common(40, 4)], [SIZE, queue.ring.descriptors, queue.ring.driver]);
  rig.status = 0;
  rig.setCommon(22, 2, 0);
  for (const size of [0, 65, 0x8000]) rig.setCommon(24, 2, size);
  assert.equal(rig.common(24, 2), 64);
});

test('a device without bus mastering reads nothing', () => {
  const { rig, queue } = start([]);
  queue.ring.offer([{ address: 0x1000, byteCount: 4, isWritable: true }]);
  rig.configure(rig.number, 4, 2, 2);
  rig.notify(queue);
  assert.deepEqual([...rig.bytes(0x1000, 4)], [0, 0, 0, 0]);
  assert.ok(rig.needsReset);
});

test('rubbish in rings, registers and requests harms nothing but the device', async () => {
  const { broken, served } = await fuzzVirtio({ caseCount: 1500, seed: Number(process.env.ANILLO_SEED ?? 20261) });
  assert.ok(broken > 100 && served > 100, `${broken} broken, ${served} served`);
});
