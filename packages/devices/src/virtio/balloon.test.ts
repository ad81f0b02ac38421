import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { createDevice } from '../catalog.ts';
import { RIG_MEMORY_BYTES } from '../testing/pci-rig.ts';
import { type RigQueue, VirtioRig } from '../testing/virtio-rig.ts';

const [STATISTICS, DEFLATE_ON_OOM, REPORTING] = [1, 2, 5];

class BalloonRig extends VirtioRig {
  readonly released: (readonly [offset: number, byteCount: number])[] = [];
  queues: readonly RigQueue[] = [];

  static make(features: readonly number[]): BalloonRig {
    const rig = new BalloonRig();
    rig.ram.releaser = (offset, byteCount) => void rig.released.push([offset, byteCount]);
    createDevice({ model: 'virtio-balloon-pci', control: 'balloon', 'deflate-on-oom': 'on' }, rig.context);
    rig.queues = rig.find().start(features, 16, 4);
    return rig;
  }

  give(queue: number, bytes: Uint8Array): void {
    const address = this.allocate(bytes.length);
    this.ram.write(gpa(address), bytes);
    this.queues[queue].ring.offer([{ address, byteCount: bytes.length, isWritable: false }]);
    this.notify(this.queues[queue]);
  }
}

test('the host asks for memory, the guest gives pages, and the host lets them go', () => {
  const rig = BalloonRig.make([STATISTICS]);
  const told: number[] = [];
  rig.balloon.onChange = (heldBytes) => told.push(heldBytes);
  rig.balloon.targetBytes = 3 * 4096;
  assert.deepEqual([rig.deviceConfig(0, 4), rig.takeMessages(0)], [3, 1]);
  rig.give(0, new Uint8Array(Uint32Array.of(5, 7, RIG_MEMORY_BYTES / 4096, 0xffffffff).buffer));
  assert.deepEqual(rig.released, [
    [5 * 4096, 4096],
    [7 * 4096, 4096],
  ]);
  rig.setDeviceConfig(4, 4, 2);
  assert.deepEqual([rig.balloon.heldBytes, told], [8192, [8192]]);
  rig.give(1, new Uint8Array(Uint32Array.of(5).buffer));
  assert.deepEqual([rig.released.length, rig.queues[1].ring.collect().length], [2, 1]);
  rig.balloon.targetBytes = 2 ** 50;
  assert.equal(rig.deviceConfig(0, 4), RIG_MEMORY_BYTES / 4096);
});

test('statistics come when they are asked for; a driver that has none says nothing', async () => {
  const rig = BalloonRig.make([STATISTICS]);
  const bytes = new Uint8Array(30);
  const view = new DataView(bytes.buffer);
  [
    [4, 1000],
    [5, 5000],
    [99, 1],
  ].forEach(([tag, value], i) => {
    view.setUint16(i * 10, tag, true);
    view.setUint32(i * 10 + 2, value, true);
    view.setUint32(i * 10 + 6, i, true);
  });
  rig.give(2, bytes);
  assert.equal(rig.queues[2].ring.collect().length, 0);
  const asked = rig.balloon.statistics();
  assert.equal(rig.queues[2].ring.collect().length, 1);
  rig.give(2, bytes);
  assert.deepEqual(await asked, { freeBytes: 1000, totalBytes: 2 ** 32 + 5000 });
  const lost = rig.balloon.statistics();
  rig.status = 0;
  assert.deepEqual(await lost, {});
  assert.equal(await rig.balloon.statistics(), undefined);
});

test('pages that the guest does not use are reported as buffers', () => {
  const rig = BalloonRig.make([STATISTICS, REPORTING, DEFLATE_ON_OOM]);
  rig.queues[3].ring.offer([
    { address: 0x20000, byteCount: 0x2000, isWritable: true },
    { address: 0x30000, byteCount: 0x1000, isWritable: true },
  ]);
  rig.notify(rig.queues[3]);
  assert.deepEqual(rig.released, [
    [0x20000, 0x2000],
    [0x30000, 0x1000],
  ]);
  assert.equal(rig.queues[3].ring.collect().length, 1);
});
