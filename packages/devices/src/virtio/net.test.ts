import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { createDevice } from '../catalog.ts';
import type { GivenProperty } from '../device-declaration.ts';
import type { DriverBuffer } from '../testing/ring-driver.ts';
import { type RigQueue, VirtioRig } from '../testing/virtio-rig.ts';
import type { FrameWork } from './net-backend.ts';
import { FEATURE } from './virtio-features.ts';

const F = {
  csum: 0,
  guestCsum: 1,
  offloads: 2,
  mtu: 3,
  tso4: 7,
  tso6: 8,
  ecn: 9,
  hostTso4: 11,
  merged: 15,
  status: 16,
  control: 17,
  rx: 18,
  vlan: 19,
  announce: 21,
  mq: 22,
};
const GUEST_WORK = [F.guestCsum, F.tso4, F.tso6, F.ecn];
const HEADER = 12;
const MAC = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

class NetRig extends VirtioRig {
  rx!: RigQueue;
  tx!: RigQueue;
  commands!: RigQueue;

  static make(features: readonly number[], given: Record<string, GivenProperty> = {}, queueCount = 3): NetRig {
    const rig = new NetRig();
    createDevice({ model: 'virtio-net-pci', netdev: 'network', ...given }, rig.context);
    [rig.rx, rig.tx, rig.commands] = rig.find().start(features, 16, queueCount);
    return rig;
  }

  transmit(header: readonly number[], frame: Uint8Array): void {
    const at = this.allocate(HEADER + frame.length);
    this.ram.write(gpa(at), Uint8Array.from([...header, ...new Array<number>(HEADER - header.length).fill(0), ...frame]));
    this.tx.ring.offer([{ address: at, byteCount: HEADER + frame.length, isWritable: false }]);
    this.notify(this.tx);
  }

  /** Buffers for frames, one a chain; gives where they are. */
  post(...sizes: readonly number[]): DriverBuffer[] {
    return sizes.map((byteCount) => {
      const buffer = { address: this.allocate(byteCount), byteCount, isWritable: true };
      this.rx.ring.offer([buffer]);
      return buffer;
    });
  }

  command(kind: number, command: number, data: readonly number[]): number {
    const at = this.allocate(2 + data.length);
    const answer = this.allocate(1);
    this.ram.write(gpa(at), Uint8Array.from([kind, command, ...data]));
    this.ram.write8(gpa(answer), 0xee);
    this.commands.ring.offer([
      { address: at, byteCount: 2 + data.length, isWritable: false },
      { address: answer, byteCount: 1, isWritable: true },
    ]);
    this.notify(this.commands);
    this.commands.ring.collect();
    return this.ram.read8(gpa(answer));
  }

  arrive(frame: Uint8Array, work?: FrameWork): boolean {
    return this.network.receiver?.send(frame, work) ?? false;
  }
}

function frameTo(to: readonly number[], byteCount = 60, type: readonly number[] = [0x08, 0x00]): Uint8Array {
  const frame = Uint8Array.from({ length: byteCount }, (_, i) => i);
  frame.set(to);
  frame.set(type, 12);
  return frame;
}

test('frames go out whole, with what was left undone told as it was checked', () => {
  const rig = NetRig.make([F.csum, F.hostTso4]);
  const frame = frameTo(MAC, 2000);
  frame[34 + 12] = 0x80;
  rig.transmit([], frame);
  rig.transmit([1, 0, 0, 0, 0, 0, 34, 0, 16, 0], frame);
  rig.transmit([1, 0x81, 255, 255, 0xb4, 5, 34, 0, 16, 0], frame);
  assert.deepEqual(
    rig.network.sent.map(({ work }) => work),
    [
      undefined,
      { checksum: { start: 34, offset: 16 } },
      { checksum: { start: 34, offset: 16 }, segments: { kind: 'tcp4', segmentBytes: 1460, headerBytes: 66, hasEcn: true } },
    ],
  );
  for (const sent of rig.network.sent) assert.deepEqual(sent.frame, frame);
  assert.equal(rig.tx.ring.collect().length, 3);
});

test('a header that does not fit its frame costs the frame; a chain without a header the device', () => {
  const rig = NetRig.make([F.csum, F.hostTso4]);
  const frame = frameTo(MAC, 100);
  for (const header of [
    [0, 1, 0, 0, 100, 0],
    [1, 0, 0, 0, 0, 0, 90, 0, 10, 0],
    [1, 0, 0, 0, 0, 0, 255, 255, 255, 255],
    [1, 1, 0, 0, 0, 0, 34, 0, 16, 0],
    [1, 1, 0, 0, 100, 0, 90, 0, 2, 0],
    [1, 3, 0, 0, 100, 0, 34, 0, 6, 0],
    [1, 4, 0, 0, 100, 0, 34, 0, 16, 0],
    [1, 5, 0, 0, 100, 0, 34, 0, 6, 0],
  ])
    rig.transmit(header, frame);
  rig.transmit([], frame.subarray(0, 13));
  assert.deepEqual(rig.network.sent, []);
  assert.equal(rig.tx.ring.collect().length, 9);
  assert.equal(rig.needsReset, false);
  rig.tx.ring.offer([{ address: 0x1000, byteCount: 11, isWritable: false }]);
  rig.notify(rig.tx);
  assert.ok(rig.needsReset);
});

test('where there is no room the queue waits, and nothing is lost', () => {
  const rig = NetRig.make([]);
  rig.network.hasSpace = false;
  for (let i = 0; i < 3; i++) rig.transmit([], frameTo(MAC, 60 + i));
  assert.equal(rig.tx.ring.collect().length, 0);
  rig.network.hasSpace = true;
  rig.network.onRoom?.();
  assert.deepEqual(
    rig.network.sent.map(({ frame }) => frame.length),
    [60, 61, 62],
  );
  assert.equal(rig.tx.ring.collect().length, 3);
});

test('a frame fills one buffer, or several where that was agreed; without buffers its sender waits', () => {
  const rig = NetRig.make([F.merged, ...GUEST_WORK]);
  assert.ok(rig.network.receiver?.takesWork);
  const frame = frameTo(MAC, 1000);
  assert.equal(rig.arrive(frame), false);
  const rooms = rig.network.rooms;
  const first = rig.post(600);
  assert.equal(rig.arrive(frame), false, 'not enough yet');
  const more = rig.post(300, 300);
  rig.notify(rig.rx);
  assert.equal(rig.network.rooms, rooms + 1);
  const work = {
    checksum: { start: 34, offset: 16 },
    segments: { kind: 'tcp6', segmentBytes: 1440, headerBytes: 66, hasEcn: false },
  } as const;
  assert.equal(rig.arrive(frame, work), true);
  assert.deepEqual(
    rig.rx.ring.collect().map((used) => used.writtenBytes),
    [600, 300, 112],
  );
  const bytes = [...first, ...more].flatMap(({ address, byteCount }) => [...rig.bytes(address, byteCount)]);
  assert.deepEqual(bytes.slice(0, HEADER), [1, 4, 66, 0, 0xa0, 5, 34, 0, 16, 0, 3, 0]);
  assert.deepEqual(Uint8Array.from(bytes.slice(HEADER, HEADER + 1000)), frame);
  assert.equal(rig.interrupts(rig.rx) > 0, true);
});

test('the buffers of one frame come back together, for a driver on another CPU may look at any moment', () => {
  for (const packed of [false, true]) {
    const rig = NetRig.make([F.merged, ...(packed ? [FEATURE.packedRing] : [])], { packed });
    for (let turn = 0; turn < 8; turn++) {
      rig.post(500, 500, 500, 500);
      const seen: number[] = [];
      rig.ram.watcher = { beginWrite() {}, endWrite: () => seen.push(rig.rx.ring.collect().length) };
      assert.ok(rig.arrive(frameTo(MAC, 1600)));
      rig.ram.watcher = undefined;
      assert.deepEqual(
        seen.filter((count) => count > 0),
        [4],
      );
    }
  }
});

test('without merging a frame that is too long for its buffer is lost, and the buffer stays', () => {
  const rig = NetRig.make([]);
  assert.equal(rig.network.receiver?.takesWork, false);
  rig.post(100);
  assert.equal(rig.arrive(frameTo(MAC, 1000)), true);
  assert.equal(rig.rx.ring.collect().length, 0);
  assert.equal(rig.arrive(frameTo(MAC, 88)), true);
  assert.deepEqual(
    rig.rx.ring.collect().map((used) => used.writtenBytes),
    [100],
  );
  rig.post(11);
  rig.arrive(frameTo(MAC));
  assert.ok(rig.needsReset);
});

test('the driver chooses what arrives: addresses, groups, VLANs, all', () => {
  const rig = NetRig.make([F.merged, F.control, F.rx, F.vlan]);
  const arrives = (frame: Uint8Array): boolean => {
    rig.post(200);
    rig.arrive(frame);
    return rig.rx.ring.collect().length > 0;
  };
  const other = [2, 0, 0, 0, 0, 9];
  const group = [0x33, 0x33, 0, 0, 0, 1];
  const broadcast = [255, 255, 255, 255, 255, 255];
  const seen = (): boolean[] => [MAC, other, group, broadcast].map((to) => arrives(frameTo(to)));
  assert.deepEqual(seen(), [true, true, true, true]);
  assert.equal(rig.command(0, 0, [0]), 0);
  assert.deepEqual(seen(), [true, false, false, true]);
  assert.equal(rig.command(1, 0, [1, 0, 0, 0, ...other, 1, 0, 0, 0, ...group]), 0);
  assert.deepEqual(seen(), [true, true, true, true]);
  assert.equal(rig.command(1, 0, [0, 0, 0, 0, 0, 0, 0, 0]), 0);
  assert.equal(rig.command(0, 1, [1]), 0);
  assert.equal(rig.command(0, 5, [1]), 0);
  assert.deepEqual(seen(), [true, false, true, false]);
  assert.equal(rig.command(1, 1, other), 0);
  assert.deepEqual(seen(), [false, true, true, false]);
  assert.deepEqual([rig.deviceConfig(0, 1), rig.deviceConfig(5, 1)], [2, 9]);
  const tagged = frameTo(other, 60, [0x81, 0x00]);
  tagged.set([0x20, 5], 14);
  assert.equal(arrives(tagged), false);
  assert.equal(rig.command(2, 0, [5, 0]), 0);
  assert.equal(arrives(tagged), true);
  assert.equal(rig.command(2, 1, [5, 0]), 0);
  assert.equal(arrives(tagged), false);
});

test('commands that are none, and a table longer than any', () => {
  const rig = NetRig.make([F.control, F.rx, F.merged]);
  for (const [kind, command, data] of [
    [0, 6, [1]],
    [0, 0, []],
    [1, 0, [1, 0, 0, 0]],
    [1, 0, [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]],
    [1, 1, [1, 2]],
    [2, 0, [0, 0x10]],
    [4, 0, [2, 0]],
    [5, 0, [2, 0, 0, 0, 0, 0, 0, 0]],
    [9, 0, []],
  ] as const)
    assert.equal(rig.command(kind, command, data), 1, `${kind} ${command}`);
  const many = Array.from({ length: 70 }, (_, i) => [2, 0, 0, 0, 1, i]).flat();
  assert.equal(rig.command(0, 0, [0]), 0);
  assert.equal(rig.command(1, 0, [70, 0, 0, 0, ...many, 0, 0, 0, 0]), 0);
  rig.post(200);
  rig.arrive(frameTo([2, 9, 9, 9, 9, 9]));
  assert.equal(rig.rx.ring.collect().length, 1);
});

test('offloads are switched off and on while it runs', () => {
  const rig = NetRig.make([F.control, F.offloads, ...GUEST_WORK]);
  assert.equal(rig.network.receiver?.takesWork, true);
  assert.equal(rig.command(5, 0, [2, 0, 0, 0, 0, 0, 0, 0]), 0);
  assert.equal(rig.network.receiver?.takesWork, false);
  assert.equal(rig.command(5, 0, [0x82, 3, 0, 0, 0, 0, 0, 0]), 0);
  assert.equal(rig.network.receiver?.takesWork, true);
});

test('the link goes down and up, and the driver is asked to announce itself', () => {
  const rig = NetRig.make([F.status, F.control, F.announce]);
  assert.equal(rig.deviceConfig(6, 2), 1);
  rig.network.plug(false);
  assert.deepEqual([rig.deviceConfig(6, 2), rig.takeMessages(0)], [0, 1]);
  rig.network.plug(true);
  assert.deepEqual([rig.deviceConfig(6, 2), rig.takeMessages(0)], [3, 1]);
  assert.equal(rig.command(3, 0, []), 0);
  assert.equal(rig.deviceConfig(6, 2), 1);
});

test('several pairs: flows keep to theirs, and the control queue comes last', () => {
  const rig = new NetRig();
  createDevice({ model: 'virtio-net-pci', netdev: 'network', queues: 2 }, rig.context);
  const queues = rig.find().start([F.mq, F.control, F.merged], 16, 5);
  rig.commands = queues[4];
  assert.equal(rig.deviceConfig(8, 2), 2);
  const filled = (): number[] => {
    for (let port = 0; port < 12; port++) {
      const frame = frameTo(MAC, 64);
      frame[14] = 0x45;
      frame[23] = 17;
      frame[35] = port;
      rig.arrive(frame);
    }
    return [0, 2].map((index) => queues[index].ring.collect().length);
  };
  for (const index of [0, 2])
    for (let i = 0; i < 15; i++) queues[index].ring.offer([{ address: rig.allocate(128), byteCount: 128, isWritable: true }]);
  assert.deepEqual(filled(), [12, 0]);
  assert.equal(rig.command(4, 0, [3, 0]), 1);
  assert.equal(rig.command(4, 0, [2, 0]), 0);
  for (let i = 0; i < 12; i++) queues[0].ring.offer([{ address: rig.allocate(128), byteCount: 128, isWritable: true }]);
  const [first, second] = filled();
  assert.ok(first > 0 && second > 0 && first + second === 12, `${first} ${second}`);
});

test('an answer within the call, and one to a device that nobody runs', () => {
  const rig = NetRig.make([F.merged]);
  rig.network.answer = (frame) => void rig.arrive(frame);
  rig.post(200);
  rig.transmit([], frameTo(MAC, 64));
  assert.deepEqual(
    rig.rx.ring.collect().map((used) => used.writtenBytes),
    [76],
  );
  rig.status = 0;
  assert.equal(rig.arrive(frameTo(MAC)), true);
});

test('addresses and sizes of the configuration', () => {
  const rig = NetRig.make([F.mtu], { mac: '02:aa:bb:cc:dd:ee', host_mtu: 9000 });
  assert.deepEqual([rig.deviceConfig(0, 4), rig.deviceConfig(4, 2), rig.deviceConfig(10, 2)], [0xccbbaa02, 0xeedd, 9000]);
  for (const mac of ['x', '01:00:00:00:00:00', '00:00:00:00:00:00', '02:aa:bb:cc:dd'])
    assert.throws(() => NetRig.make([], { mac }), /is no address of a network card/);
});
