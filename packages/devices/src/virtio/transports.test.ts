import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { createDevice } from '../catalog.ts';
import { SplitDriver } from '../testing/ring-driver.ts';
import { VirtioRig } from '../testing/virtio-rig.ts';
import { STATUS } from './virtio-device.ts';
import { FEATURE } from './virtio-features.ts';
import type { VirtioMmio } from './virtio-mmio.ts';

const { accessPlatform, packedRing, version1 } = FEATURE;

function rngRig(given: Record<string, string> = {}, prepare: (rig: VirtioRig) => void = () => {}): VirtioRig {
  const rig = new VirtioRig();
  prepare(rig);
  createDevice({ model: 'virtio-rng-pci', ...given }, rig.context);
  return rig.find();
}

const buffer = { address: 0x1000, byteCount: 4, isWritable: true };

test('PCI: identity, and features that are agreed or not', () => {
  const rig = rngRig();
  assert.equal(rig.config(rig.number, 0), 0x10441af4);
  assert.deepEqual([rig.offers(version1), rig.offers(packedRing), rig.offers(accessPlatform)], [true, false, false]);
  assert.ok(rig.negotiate([]));
  assert.equal(rig.negotiate([packedRing]), false);
  assert.equal(rig.negotiate([40]), false);
  rig.status = 0;
  rig.status = STATUS.acknowledge | STATUS.driver | STATUS.featuresOk;
  assert.equal(rig.status, STATUS.acknowledge | STATUS.driver, 'not without version 1');
  rig.ready();
  assert.equal(rig.status & STATUS.driverOk, 0);
});

test('PCI: without MSI-X the pin tells, and reading the ISR status acknowledges', () => {
  const rig = rngRig();
  const [queue] = rig.start([], 8);
  rig.usePin();
  queue.ring.offer([buffer]);
  rig.notify(queue);
  assert.notEqual(rig.pirqs, 0);
  assert.equal(rig.readIsr(), 1);
  assert.equal(rig.pirqs, 0);
  assert.equal(rig.readIsr(), 0);
});

test('PCI: vectors that there are not are none', () => {
  const rig = rngRig();
  rig.start([], 8);
  rig.setCommon(16, 2, 2);
  assert.equal(rig.common(16, 2), 0xffff);
  rig.setCommon(26, 2, 1);
  assert.equal(rig.common(26, 2), 1);
});

test('PCI: the window is reached through configuration space too', () => {
  const rig = rngRig();
  let at = rig.config(rig.number, 0x34, 1);
  while (rig.config(rig.number, at, 1) !== 9 || rig.config(rig.number, at + 3, 1) !== 5) at = rig.config(rig.number, at + 1, 1);
  const aim = (offset: number, byteCount: number, bar = 4): void => {
    rig.configure(rig.number, at + 4, bar, 1);
    rig.configure(rig.number, at + 8, offset);
    rig.configure(rig.number, at + 12, byteCount);
  };
  aim(20, 1);
  rig.configure(rig.number, at + 16, STATUS.acknowledge);
  assert.equal(rig.status, STATUS.acknowledge);
  assert.equal(rig.config(rig.number, at + 16) & 0xff, STATUS.acknowledge);
  aim(18, 2);
  assert.equal(rig.config(rig.number, at + 16), 1);
  for (const [offset, byteCount, bar] of [
    [20, 3, 4],
    [21, 2, 4],
    [0x4000, 1, 4],
    [20, 1, 0],
  ]) {
    aim(offset, byteCount, bar);
    rig.configure(rig.number, at + 16, 0);
  }
  assert.equal(rig.status, STATUS.acknowledge);
});

test('behind an IOMMU: offered, insisted on, and every page is asked for', () => {
  const pages = new Map([
    [0x80, 0x80],
    [0x1, 0x5],
  ]);
  const rig = rngRig({}, ({ bus }) => {
    bus.remapper = {
      translateDma: (_source, address) => {
        const page = pages.get(Math.floor(address / 4096));
        return page === undefined ? undefined : page * 4096 + (address % 4096);
      },
    };
  });
  assert.equal(rig.negotiate([]), false);
  const [queue] = rig.start([accessPlatform], 8);
  queue.ring.offer([buffer]);
  rig.notify(queue);
  assert.equal(queue.ring.collect().length, 1);
  assert.deepEqual([...rig.bytes(0x5000, 4)], [0xa5, 0xa5, 0xa5, 0xa5]);
  pages.delete(0x1);
  queue.ring.offer([buffer]);
  rig.notify(queue);
  assert.ok(rig.needsReset);
});

test('behind an IOMMU buffers and tables may be in pieces', () => {
  const rig = rngRig({}, ({ bus }) => {
    // Each pair of pages is swapped.
    bus.remapper = { translateDma: (_source, address) => (address >= 0x80000 ? address : address ^ 0x1000) };
  });
  const [queue] = rig.start([accessPlatform, FEATURE.indirectDescriptors], 8);
  const table = 0x2ff8; // its only entry lies in two pages
  const entry = new Uint8Array(16);
  new DataView(entry.buffer).setUint32(0, 0x4ffe, true);
  new DataView(entry.buffer).setUint32(8, 4, true);
  new DataView(entry.buffer).setUint16(12, 2, true);
  rig.ram.write(gpa(0x3ff8), entry.subarray(0, 8));
  rig.ram.write(gpa(0x2000), entry.subarray(8));
  rig.put(queue.ring.descriptors, table, 0, 16, 4);
  rig.put(queue.ring.driver, 1 << 16, 0);
  rig.notify(queue);
  assert.equal(rig.needsReset, false);
  assert.deepEqual([...rig.bytes(0x5ffe, 2), ...rig.bytes(0x4000, 2)], [0xa5, 0xa5, 0xa5, 0xa5]);
});

test('MMIO: from the magic number to a chain, and the interrupt status', () => {
  const rig = new VirtioRig();
  const device = rig.plug(createDevice({ model: 'virtio-rng-device' }, rig.context)) as VirtioMmio;
  const base = 0xfec20000;
  const read = (offset: number): number => rig.memory.read(base + offset, 4);
  const write = (offset: number, value: number): void => rig.memory.write(base + offset, 4, value);
  assert.deepEqual([read(0), read(4), read(8), read(0xb0)], [0x74726976, 2, 4, 0xffffffff]);
  assert.deepEqual(device.acpi.node?.interrupts, [20]);
  write(0x70, 3);
  write(0x24, 1);
  write(0x20, 1);
  write(0x70, 11);
  assert.equal(read(0x70), 11);
  const ring = new SplitDriver({ memory: rig.ram, size: 8, hasEventIndex: false, base: 0x80000 });
  write(0x30, 0);
  assert.equal(read(0x34), 64);
  write(0x38, 8);
  for (const [offset, address] of [
    [0x80, ring.descriptors],
    [0x90, ring.driver],
    [0xa0, ring.device],
  ])
    write(offset, address);
  write(0x44, 1);
  assert.equal(read(0x44), 1);
  write(0x70, 15);
  ring.offer([buffer]);
  write(0x50, 0);
  assert.equal(ring.collect().length, 1);
  assert.deepEqual([rig.lines[20].level, read(0x60)], [true, 1]);
  write(0x64, 1);
  assert.deepEqual([rig.lines[20].level, read(0x60)], [false, 0]);
  write(0x44, 0);
  assert.equal(read(0x44), 0);
  ring.offer([buffer]);
  write(0x50, 0);
  assert.equal(ring.collect().length, 0);
  write(0x70, 0);
  assert.equal(read(0x70), 0);
});
