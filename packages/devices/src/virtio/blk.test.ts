import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDevice } from '../catalog.ts';
import type { GivenProperty } from '../device-declaration.ts';
import { BlkRig } from '../testing/blk-rig.ts';
import { VirtioRig } from '../testing/virtio-rig.ts';
import { BLK } from './blk-request.ts';

const { read: READ, write: WRITE, flush: FLUSH, id: ID, discard: DISCARD, writeZeroes: WRITE_ZEROES } = BLK.type;
const [F_RO, F_FLUSH, F_CONFIG_WCE, F_MQ, F_DISCARD, F_WRITE_ZEROES] = [5, 9, 11, 12, 13, 14];

const ranges = (...list: (readonly [sector: number, count: number, flags: number])[]): Uint8Array => {
  const view = new DataView(new ArrayBuffer(list.length * 16));
  list.forEach(([sector, count, flags], i) => {
    view.setUint32(i * 16, sector, true);
    view.setUint32(i * 16 + 8, count, true);
    view.setUint32(i * 16 + 12, flags, true);
  });
  return new Uint8Array(view.buffer);
};

test('reads, writes, flushes, tells its serial number, and its size and limits', async () => {
  const rig = BlkRig.make({ serial: 'serial number of 20!' });
  const [queue] = rig.start([F_FLUSH], 16);
  const sector = Uint8Array.from({ length: 1024 }, (_, i) => i * 7);
  assert.deepEqual(await rig.perform(queue, WRITE, 3, sector), { status: 0, data: new Uint8Array(0), used: 1 });
  assert.deepEqual(rig.disk.bytes.subarray(3 * 512, 5 * 512), sector);
  assert.deepEqual(await rig.perform(queue, READ, 3, undefined, 1024), { status: 0, data: sector, used: 1025 });
  assert.equal((await rig.perform(queue, FLUSH, 0)).status, 0);
  const { data, used } = await rig.perform(queue, ID, 0, undefined, 20);
  assert.deepEqual([new TextDecoder().decode(data), used], ['serial number of 20!', 21]);
  assert.deepEqual(rig.disk.calls, ['write 1536', 'read 1536', 'flush']);
  assert.deepEqual([rig.deviceConfig(0, 4), rig.deviceConfig(4, 4), rig.deviceConfig(12, 4), rig.deviceConfig(20, 4)], [1024, 0, 254, 512]);
});

test('what lies outside the disk, is no whole sector, or is not known is refused', async () => {
  const rig = BlkRig.make();
  const [queue] = rig.start([F_FLUSH], 16);
  const cases: readonly (readonly [type: number, sector: number, out: number, into: number, status: number])[] = [
    [READ, 1024, 0, 512, 1],
    [READ, 1023, 0, 1024, 1],
    [READ, 2 ** 40, 0, 512, 1],
    [READ, 0, 0, 100, 1],
    [WRITE, 1024, 512, 0, 1],
    [WRITE, 0, 511, 0, 1],
    [DISCARD, 0, 16, 0, 2],
    [WRITE_ZEROES, 0, 16, 0, 2],
    [99, 0, 0, 512, 2],
  ];
  for (const [type, sector, out, into, status] of cases)
    assert.deepEqual([type, (await rig.perform(queue, type, sector, new Uint8Array(out), into)).status], [type, status]);
  assert.deepEqual(rig.disk.calls, []);
  assert.equal(rig.needsReset, false);
});

test('a request without a head or a place for its status breaks the device', () => {
  for (const buffers of [
    [
      { address: 0x1000, byteCount: 15, isWritable: false },
      { address: 0x2000, byteCount: 513, isWritable: true },
    ],
    [{ address: 0x1000, byteCount: 16, isWritable: false }],
  ]) {
    const rig = BlkRig.make();
    const [queue] = rig.start([], 16);
    queue.ring.offer(buffers);
    rig.notify(queue);
    assert.ok(rig.needsReset);
  }
});

test('discard and write zeroes, with their limits', async () => {
  const rig = BlkRig.make();
  const [queue] = rig.start([F_FLUSH, F_DISCARD, F_WRITE_ZEROES], 16);
  const status = async (type: number, bytes: Uint8Array): Promise<number> => (await rig.perform(queue, type, 0, bytes)).status;
  rig.disk.bytes.fill(1);
  assert.equal(await status(DISCARD, ranges([2, 4, 0], [8, 1, 0])), 0);
  assert.equal(await status(WRITE_ZEROES, ranges([16, 2, 1])), 0);
  assert.equal(await status(WRITE_ZEROES, ranges([20, 2, 0])), 0);
  assert.deepEqual(rig.disk.calls, ['discard 1024 2048', 'discard 4096 512', 'zero 8192 1024 unmap', 'zero 10240 1024']);
  assert.equal(await status(DISCARD, ranges([0, 1, 1])), 2, 'discard does not know "unmap"');
  assert.equal(await status(WRITE_ZEROES, ranges([0, 1, 2])), 2);
  assert.equal(await status(WRITE_ZEROES, ranges([1023, 2, 0])), 1);
  assert.equal(await status(WRITE_ZEROES, new Uint8Array(0)), 2);
  assert.equal(await status(WRITE_ZEROES, new Uint8Array(24)), 2);
  assert.equal(await status(DISCARD, ranges(...Array.from({ length: 257 }, (_, i) => [i, 1, 0] as const))), 2);
  assert.equal(rig.disk.calls.length, 4);
});

test('a request of several ranges has ended when all have, also where one fails', async () => {
  const rig = BlkRig.make();
  const [queue] = rig.start([F_FLUSH, F_DISCARD], 16);
  const { promise, resolve } = Promise.withResolvers<void>();
  rig.disk.discard = async (offset) => {
    if (offset === 0) throw new Error('no');
    await promise;
  };
  const answer = rig.request(queue, DISCARD, 0, ranges([0, 1, 0], [8, 1, 0]), 0);
  const turn = (): Promise<void> => new Promise((done) => setImmediate(done));
  rig.notify(queue);
  await turn();
  assert.equal(queue.ring.collect().length, 0);
  resolve();
  await turn();
  assert.deepEqual([queue.ring.collect().length, answer().status], [1, 1]);
});

test('a disk that is read-only says so and takes nothing', async () => {
  const rig = BlkRig.make({}, ({ disk }) => {
    disk.isReadOnly = true;
  });
  assert.deepEqual(
    [F_RO, F_DISCARD, F_WRITE_ZEROES].map((bit) => rig.offers(bit)),
    [true, false, false],
  );
  const [queue] = rig.start([F_RO, F_FLUSH], 16);
  assert.equal((await rig.perform(queue, WRITE, 0, new Uint8Array(512))).status, 1);
  assert.equal((await rig.perform(queue, READ, 0, undefined, 512)).status, 0);
});

test('without a write cache a write is flushed before it is done', async () => {
  const rig = BlkRig.make();
  const [queue] = rig.start([F_FLUSH, F_CONFIG_WCE], 16);
  assert.equal(rig.deviceConfig(32, 1), 1);
  rig.setDeviceConfig(32, 1, 0);
  await rig.perform(queue, WRITE, 0, new Uint8Array(512));
  assert.deepEqual(rig.disk.calls, ['write 0', 'flush']);
  rig.start([], 16);
  assert.equal(rig.deviceConfig(32, 1), 1, 'a reset brings it back');
});

test('what the disk does at once is given back before the doorbell ends, as much as does not hold it up', async () => {
  const rig = BlkRig.make();
  const [queue] = rig.start([F_FLUSH, F_CONFIG_WCE], 16);
  rig.disk.isPrompt = true;
  const sector = Uint8Array.from({ length: 512 }, (_, i) => i * 3);
  const write = rig.request(queue, WRITE, 2, sector, 0);
  const read = rig.request(queue, READ, 2, new Uint8Array(0), 512);
  rig.notify(queue);
  assert.deepEqual(
    [write(), read()],
    [
      { status: 0, data: new Uint8Array(0) },
      { status: 0, data: sector },
    ],
  );
  assert.equal(queue.ring.collect().length, 2);
  assert.deepEqual(rig.disk.calls.splice(0), ['write 1024 now', 'read 1024 now']);
  const [head, status, data] = [rig.allocate(16), rig.allocate(1), 0xa0000];
  rig.put(head, READ, 0, 0, 0);
  for (let i = 0; i < 5; i++)
    queue.ring.offer([
      { address: head, byteCount: 16, isWritable: false },
      { address: data, byteCount: 256 << 10, isWritable: true },
      { address: status, byteCount: 1, isWritable: true },
    ]);
  rig.notify(queue);
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(rig.disk.calls.splice(0), ['read 0 now', 'read 0 now', 'read 0 now', 'read 0 now', 'read 0']);
  assert.equal(queue.ring.collect().length, 5);
  rig.setDeviceConfig(32, 1, 0);
  await rig.perform(queue, WRITE, 0, sector);
  assert.deepEqual(rig.disk.calls, ['write 0', 'flush'], 'without a write cache');
});

test('several queues, each with its vector', async () => {
  const rig = BlkRig.make({ 'num-queues': 3 });
  const queues = rig.start([F_MQ, F_FLUSH], 16, 3);
  assert.equal(rig.deviceConfig(34, 2), 3);
  for (const queue of queues) {
    await rig.perform(queue, READ, 0, undefined, 512);
    assert.equal(rig.interrupts(queue), 1);
  }
});

test('a reset while the host is at work: the status stays until it has ended, and the new rings are not touched', async () => {
  const rig = BlkRig.make();
  const [queue] = rig.start([F_FLUSH], 16);
  rig.disk.isHeld = true;
  const answer = rig.request(queue, READ, 0, new Uint8Array(0), 512);
  rig.notify(queue);
  rig.status = 0;
  assert.notEqual(rig.status, 0);
  rig.disk.release();
  await new Promise((done) => setImmediate(done));
  assert.equal(rig.status, 0);
  assert.equal(answer().status, 0xee);
  rig.disk.isHeld = false;
  const [again] = rig.start([F_FLUSH], 16);
  assert.equal((await rig.perform(again, READ, 0, undefined, 512)).status, 0);
});

test('a driver that does not wait for the reset is served when the old work has ended', async () => {
  const rig = BlkRig.make();
  const [queue] = rig.start([F_FLUSH], 16);
  rig.disk.isHeld = true;
  rig.request(queue, WRITE, 0, new Uint8Array(512), 0);
  rig.notify(queue);
  const [again] = rig.start([F_FLUSH], 16);
  rig.disk.isHeld = false;
  rig.request(again, WRITE, 1, new Uint8Array(512), 0);
  rig.notify(again);
  assert.deepEqual(rig.disk.calls, ['write 0']);
  rig.disk.release();
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(rig.disk.calls, ['write 0', 'write 512']);
  assert.equal(again.ring.collect().length, 1);
});

test('what the host fails at is told to the guest, or waits until the machine goes on', async () => {
  const full = Object.assign(new Error('no room'), { code: 'ENOSPC' });
  for (const [given, type, failure, isHeld] of [
    [{}, READ, new Error('bad sector'), false],
    [{}, WRITE, new Error('bad sector'), false],
    [{}, WRITE, full, true],
    [{}, WRITE, new Error('cannot write', { cause: full }), true],
    [{ werror: 'report' }, WRITE, full, false],
    [{ rerror: 'stop' }, READ, new Error('bad sector'), true],
  ] as const) {
    const rig = BlkRig.make(given);
    const [queue] = rig.start([F_FLUSH], 16);
    rig.disk.failure = failure;
    const answer = rig.request(queue, type, 0, new Uint8Array(type === WRITE ? 512 : 0), type === READ ? 512 : 0);
    rig.notify(queue);
    await new Promise((done) => setImmediate(done));
    assert.deepEqual(rig.control.log, [`host failed: disk: ${failure.message}`]);
    assert.equal(answer().status, isHeld ? 0xee : 1);
    assert.equal(rig.control.waiting.length, isHeld ? 1 : 0);
    rig.disk.failure = undefined;
    for (const again of rig.control.waiting) again();
    await new Promise((done) => setImmediate(done));
    assert.equal(answer().status, isHeld ? 0 : 1);
    assert.equal(queue.ring.collect().length, 1);
  }
});

test('a disk that is not there, or that another device has, and sizes that are none', () => {
  const rig = new VirtioRig();
  const make = (given: Record<string, GivenProperty>) => () => createDevice({ model: 'virtio-blk-pci', ...given }, rig.context);
  assert.throws(make({}), /needs a drive; give it one by name with drive=NAME \(the drives are disk\)/);
  assert.throws(make({ drive: 'other' }), /There is no drive "other"; the drives are disk/);
  assert.throws(make({ drive: 'disk', 'queue-size': 48 }), /power of two/);
  make({ drive: 'disk' })();
  assert.throws(make({ drive: 'disk' }), /Two devices share the drive "disk"/);
});
