import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { VirtioRig } from '../testing/virtio-rig.ts';
import type { DriverBuffer } from '../testing/ring-driver.ts';
import { type Chain, gather, scatter } from './chain.ts';
import type { KindLink, VirtioKind } from './virtio-device.ts';
import { FEATURE } from './virtio-features.ts';
import { VirtioPci } from './virtio-pci.ts';
import type { Virtqueue } from './virtqueue.ts';

/** Keeps the chains that it is given. */
class Keeper implements VirtioKind {
  readonly name = 'keeper';
  readonly deviceId = 42;
  readonly features = [];
  readonly queueSizes = [256];
  readonly config = new Uint8Array(8);
  readonly chains: Chain[] = [];
  link!: KindLink;

  attach(link: KindLink): void {
    this.link = link;
  }

  reset(): void {
    this.chains.length = 0;
  }

  notified(queue: Virtqueue): void {
    this.link.serve(queue, (chain) => this.chains.push(chain));
  }
}

const OPTIONS = { packed: true, indirect_desc: true, event_idx: true, iommu_platform: 'auto', addr: undefined };

function keeperRig() {
  const rig = new VirtioRig();
  const kind = new Keeper();
  const pci = new VirtioPci(kind, 0xff0000, OPTIONS, rig.context);
  return { rig: rig.find(), kind, pci };
}

/** Xorshift. */
function numbers(seed: number): (limit: number) => number {
  let state = seed >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

const { packedRing, indirectDescriptors, eventIndex } = FEATURE;
const SETS = [
  [],
  [eventIndex],
  [indirectDescriptors, eventIndex],
  [packedRing],
  [packedRing, eventIndex],
  [packedRing, indirectDescriptors, eventIndex],
];

for (const features of SETS) {
  for (const size of features.includes(packedRing) ? [1, 7, 32] : [1, 8, 32]) {
    test(`features ${features.join()}, ${size} entries: each chain arrives once, whole, and comes back, in any order, and nobody waits for ever`, () => {
      const { rig, kind } = keeperRig();
      const [queue] = rig.start(features, size);
      const random = numbers(size * 977 + features.length);
      const sent = new Map<number, { readonly text: Uint8Array; readonly answer: DriverBuffer | undefined }>();
      let collected = 0;
      let isWanted = true;
      queue.ring.askForInterrupt(true);
      for (let step = 0; collected < 3000; step++) {
        assert.ok(step < 60_000, 'no progress');
        // The driver offers some.
        for (let n = random(4); n > 0; n--) {
          const readCount = 1 + random(3);
          const useTable = features.includes(indirectDescriptors) && random(2) === 0;
          const hasAnswer = random(2) === 0;
          if (queue.ring.room < (useTable ? 1 : readCount + (hasAnswer ? 1 : 0))) break;
          const parts = Array.from({ length: readCount }, () => Uint8Array.from({ length: 1 + random(60) }, () => random(256)));
          const buffers = parts.map((part) => {
            const address = rig.allocate(part.length);
            rig.ram.write(gpa(address), part);
            return { address, byteCount: part.length, isWritable: false };
          });
          const answer = hasAnswer ? { address: rig.allocate(16), byteCount: 16, isWritable: true } : undefined;
          const id = queue.ring.offer([...buffers, ...(answer === undefined ? [] : [answer])], useTable ? rig.allocate(128) : undefined);
          assert.ok(!sent.has(id));
          sent.set(id, { text: Uint8Array.from(parts.flatMap((part) => [...part])), answer });
        }
        if (queue.ring.mustNotify()) rig.notify(queue);
        rig.advance(1000);
        // The device gives some back, in any order.
        while (kind.chains.length > 0 && random(3) !== 0) {
          const [chain] = kind.chains.splice(random(kind.chains.length), 1);
          const expected = sent.get(chain.id);
          assert.ok(expected);
          const text = new Uint8Array(chain.readableBytes);
          gather(chain.readable, 0, text);
          assert.deepEqual(text, expected.text);
          assert.equal(chain.writableBytes, expected.answer?.byteCount ?? 0);
          scatter(chain.writable, 3, Uint8Array.of(chain.id, chain.id >> 8));
          kind.link.queues[0].complete(chain, chain.writableBytes > 0 ? 5 : 0);
        }
        // A driver that wants to be told looks only when it was.
        if (isWanted && rig.interrupts(queue) === 0) {
          if (kind.chains.length > 0) continue;
          assert.ok(sent.size === 0 || queue.ring.collect().length === 0, 'used, and not told');
          continue;
        }
        for (const used of queue.ring.collect()) {
          const answer = sent.get(used.id)?.answer;
          assert.equal(used.writtenBytes, answer === undefined ? 0 : 5);
          if (answer !== undefined) assert.deepEqual([...rig.bytes(answer.address + 3, 2)], [used.id & 0xff, used.id >> 8]);
          sent.delete(used.id);
          collected++;
        }
        isWanted = random(4) !== 0;
        queue.ring.askForInterrupt(isWanted);
        if (queue.ring.collect().length > 0) assert.fail('used between');
        assert.equal(rig.needsReset, false);
      }
    });
  }
}

test('without the event index an interrupt that is not wanted does not come', () => {
  for (const features of [[], [packedRing]]) {
    const { rig, kind } = keeperRig();
    const [queue] = rig.start(features, 8);
    for (const isWanted of [false, true]) {
      queue.ring.askForInterrupt(isWanted);
      queue.ring.offer([{ address: rig.allocate(16), byteCount: 16, isWritable: false }]);
      rig.notify(queue);
      kind.link.queues[0].complete(kind.chains.shift() as Chain, 0);
      assert.equal(rig.interrupts(queue), isWanted ? 1 : 0);
    }
  }
});

test('chains of before a reset are nothing any more', () => {
  for (const features of [[], [packedRing]]) {
    const { rig, kind } = keeperRig();
    const [queue] = rig.start(features, 8);
    queue.ring.offer([{ address: rig.allocate(16), byteCount: 16, isWritable: true }]);
    rig.notify(queue);
    const [old] = kind.chains;
    const [again] = rig.start(features, 8);
    const before = rig.bytes(0x80000, 0x1000);
    kind.link.queues[0].complete(old, 16);
    assert.deepEqual(rig.bytes(0x80000, 0x1000), before);
    assert.equal(rig.interrupts(again), 0);
    again.ring.offer([{ address: rig.allocate(16), byteCount: 16, isWritable: true }]);
    rig.notify(again);
    kind.link.queues[0].complete(kind.chains[0], 1);
    assert.deepEqual(
      again.ring.collect().map((used) => used.writtenBytes),
      [1],
    );
  }
});

test('rings go on where they were after a snapshot', () => {
  for (const features of [[eventIndex], [packedRing, eventIndex]]) {
    const { rig, kind, pci } = keeperRig();
    const [queue] = rig.start(features, 4);
    const once = (): void => {
      queue.ring.offer([{ address: rig.allocate(16), byteCount: 16, isWritable: true }]);
      queue.ring.askForInterrupt(true);
      rig.notify(queue);
      kind.link.queues[0].complete(kind.chains.shift() as Chain, 7);
      assert.deepEqual(
        queue.ring.collect().map((used) => used.writtenBytes),
        [7],
      );
      assert.equal(rig.interrupts(queue), 1);
    };
    for (let i = 0; i < 7; i++) once();
    const saved = pci.save();
    pci.reset();
    assert.equal(rig.bus.readConfig(rig.number, 4, 2), 0);
    pci.restore(saved);
    for (let i = 0; i < 7; i++) once();
  }
});
