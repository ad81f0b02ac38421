import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { createDevice } from '../catalog.ts';
import type { Device } from '../device.ts';
import type { MemorySocket } from '../testing/memory-sockets.ts';
import { type RigQueue, VirtioRig } from '../testing/virtio-rig.ts';
import { OP, type PacketHeader, PACKET_HEADER_BYTES, readPacketHeader, SHUTDOWN, writePacketHeader } from './vsock/packet.ts';

const CID = 3;
const BUFFER_BYTES = PACKET_HEADER_BYTES + 1000;
const WINDOW = 256 * 1024;

interface Received extends PacketHeader {
  readonly data: Uint8Array;
}

class VsockRig extends VirtioRig {
  device!: Device;
  queues: readonly RigQueue[] = [];
  readonly #posted = new Map<number, number>();

  static make(buffers = 16): VsockRig {
    const rig = new VsockRig();
    rig.device = createDevice({ model: 'virtio-vsock-pci', sockets: 'vsock', 'guest-cid': CID }, rig.context);
    rig.find();
    rig.boot(buffers);
    return rig;
  }

  boot(buffers = 16): void {
    this.queues = this.start([], 64, 3);
    this.#posted.clear();
    this.post(buffers);
  }

  post(count: number): void {
    for (let i = 0; i < count; i++) {
      const address = this.allocate(BUFFER_BYTES);
      this.#posted.set(this.queues[0].ring.offer([{ address, byteCount: BUFFER_BYTES, isWritable: true }]), address);
    }
    this.notify(this.queues[0]);
  }

  /** What the device has sent; as many buffers take the place of those it used. */
  received(posts = true): Received[] {
    const used = this.queues[0].ring.collect().map(({ id, writtenBytes }) => {
      const bytes = this.bytes(this.#posted.get(id) as number, writtenBytes);
      return { ...readPacketHeader(bytes), data: bytes.subarray(PACKET_HEADER_BYTES) };
    });
    if (posts) this.post(used.length);
    return used;
  }

  ops(): string[] {
    const name = (op: number): string => Object.entries(OP).find(([, value]) => value === op)?.[0] ?? String(op);
    return this.received().map(({ op, flags }) => (op === OP.shutdown ? `shutdown ${flags}` : name(op)));
  }

  send(op: number, more: Partial<PacketHeader> = {}, data: Uint8Array | number = 0): void {
    const bytes = typeof data === 'number' ? new Uint8Array(data) : data;
    const packet = new Uint8Array(PACKET_HEADER_BYTES + bytes.length);
    writePacketHeader(
      {
        ...{ sourceCid: CID, destinationCid: 2, sourcePort: 1000, destinationPort: 80, byteCount: bytes.length, type: 1, op, flags: 0 },
        ...{ bufferBytes: 100_000, takenBytes: 0, ...more },
      },
      packet,
    );
    packet.set(bytes, PACKET_HEADER_BYTES);
    const address = this.allocate(packet.length);
    this.ram.write(gpa(address), packet);
    this.queues[1].ring.offer([{ address, byteCount: packet.length, isWritable: false }]);
    this.notify(this.queues[1]);
    this.queues[1].ring.collect();
  }

  /** A connection of the guest's that stands. */
  connect(more: Partial<PacketHeader> = {}): MemorySocket {
    this.send(OP.request, more);
    const socket = this.sockets.sockets.at(-1) as MemorySocket;
    socket.events?.onConnected();
    assert.deepEqual(this.ops(), ['response']);
    return socket;
  }
}

const counting = (byteCount: number): Uint8Array => Uint8Array.from({ length: byteCount }, (_, i) => i % 251);

test('the guest connects: bytes both ways, each end closes its half', () => {
  const rig = VsockRig.make();
  assert.equal(rig.deviceConfig(0, 4), CID);
  const socket = rig.connect();
  assert.equal(socket.port, 80);
  rig.send(OP.data, {}, counting(5000));
  assert.deepEqual(socket.written, [...counting(5000)]);
  socket.put(counting(2500));
  const packets = rig.received();
  assert.deepEqual(
    packets.map(({ op, byteCount, sourceCid, sourcePort, destinationCid, destinationPort, bufferBytes }) => [
      ...[op, byteCount, sourceCid, sourcePort, destinationCid, destinationPort, bufferBytes],
    ]),
    [1000, 1000, 500].map((byteCount) => [OP.data, byteCount, 2, 80, CID, 1000, WINDOW]),
  );
  assert.deepEqual(Buffer.concat(packets.map(({ data }) => data)), Buffer.from(counting(2500)));
  socket.take();
  rig.send(OP.shutdown, { flags: SHUTDOWN.send });
  assert.equal(socket.isWriteEnded, true);
  socket.put(counting(10));
  socket.endInput();
  assert.deepEqual(rig.ops(), ['data', 'shutdown 2']);
  rig.send(OP.shutdown, { flags: SHUTDOWN.both });
  assert.deepEqual(rig.ops(), ['reset']);
  assert.equal(socket.isDestroyed, true);
});

test('what the guest wrote before it closed goes to the host, however late that takes it', () => {
  const rig = VsockRig.make();
  const socket = rig.connect();
  rig.send(OP.data, {}, counting(3000));
  rig.send(OP.shutdown, { flags: SHUTDOWN.both });
  rig.send(OP.reset); // as Linux does after some seconds
  assert.deepEqual([rig.ops(), socket.isWriteEnded, socket.isDestroyed], [[], true, false]);
  socket.take(1000);
  assert.equal(socket.isDestroyed, false);
  socket.take();
  assert.deepEqual([rig.ops(), socket.isDestroyed], [['reset'], true]);
});

test('the host connects: a port of its own, told when the guest has taken it', () => {
  const rig = VsockRig.make();
  const first = rig.sockets.ask(22) as MemorySocket;
  rig.sockets.ask(22);
  const [request, second] = rig.received();
  assert.deepEqual([request.op, request.sourceCid, request.destinationPort], [OP.request, 2, 22]);
  assert.notEqual(request.sourcePort, second.sourcePort);
  const back = { sourcePort: 22, destinationPort: request.sourcePort };
  rig.send(OP.response, back);
  assert.equal(first.hostPort, request.sourcePort);
  first.put(counting(100));
  assert.deepEqual(rig.ops(), ['data']);
  rig.send(OP.reset, { sourcePort: 22, destinationPort: second.sourcePort });
  assert.deepEqual(
    rig.sockets.sockets.map(({ isDestroyed }) => isDestroyed),
    [false, true],
  );
  rig.status = 0;
  assert.equal(first.isDestroyed, true, 'a reset ends all');
  assert.equal(rig.sockets.ask(22), undefined);
});

test('a port where nobody listens, and a peer that is gone', () => {
  const rig = VsockRig.make();
  rig.send(OP.request);
  rig.sockets.sockets[0].close(true);
  assert.deepEqual(rig.ops(), ['reset']);
  const socket = rig.connect();
  socket.put(counting(10));
  socket.close();
  assert.deepEqual(rig.ops(), ['data', 'shutdown 3']);
  rig.send(OP.data, {}, 10);
  assert.deepEqual(rig.ops(), ['reset']);
});

test('credit of the guest: it is never overrun, asked for once, and heeded again; counts that cannot be are no credit', () => {
  const rig = VsockRig.make();
  const socket = rig.connect({ bufferBytes: 1500 });
  socket.put(counting(4000));
  assert.deepEqual(rig.ops(), ['data', 'data', 'creditRequest']);
  rig.send(OP.creditUpdate, { bufferBytes: 1500, takenBytes: 0 });
  rig.send(OP.creditUpdate, { bufferBytes: 1500, takenBytes: 99_999 });
  assert.deepEqual(rig.ops(), []);
  rig.send(OP.creditUpdate, { bufferBytes: 1500, takenBytes: 1000 });
  const packets = rig.received();
  assert.deepEqual(
    packets.map(({ op, byteCount }) => [op, byteCount]),
    [
      [OP.data, 1000],
      [OP.creditRequest, 0],
    ],
  );
  rig.send(OP.creditUpdate, { bufferBytes: 0, takenBytes: 2500 });
  assert.deepEqual(rig.ops(), []);
  rig.send(OP.creditUpdate, { bufferBytes: 2 ** 32 - 1, takenBytes: 2500 });
  assert.deepEqual(rig.ops(), ['data', 'data']);
});

test("the device's window: told as it opens, and who sends more is reset", () => {
  const rig = VsockRig.make();
  const socket = rig.connect();
  const piece = 32 * 1024;
  for (let sent = 0; sent < WINDOW; sent += piece) rig.send(OP.data, {}, piece);
  assert.deepEqual([socket.untakenBytes, rig.ops()], [WINDOW, []]);
  socket.take(piece);
  assert.deepEqual(rig.ops(), [], 'not worth telling');
  socket.take(piece);
  const [update] = rig.received();
  assert.deepEqual([update.op, update.takenBytes], [OP.creditUpdate, 2 * piece]);
  rig.send(OP.creditRequest);
  assert.deepEqual(rig.ops(), ['creditUpdate']);
  rig.send(OP.data, {}, piece);
  rig.send(OP.data, {}, piece);
  assert.deepEqual(rig.ops(), []);
  rig.send(OP.data, {}, 1);
  assert.deepEqual([rig.ops(), socket.isDestroyed], [['reset'], true]);
});

test('what belongs to no connection is reset, resets are not; other machines are nobody', () => {
  const rig = VsockRig.make();
  for (const op of [OP.response, OP.data, OP.shutdown, OP.creditRequest, 99]) rig.send(op);
  assert.deepEqual(rig.ops(), new Array(5).fill('reset'));
  rig.send(OP.reset);
  rig.send(OP.data, { sourceCid: 77 });
  assert.deepEqual(rig.ops(), []);
  rig.send(OP.request, { type: 2 });
  rig.send(OP.request, { destinationCid: 5 });
  const [type, elsewhere] = rig.received();
  assert.deepEqual([type.op, type.type, elsewhere.op, elsewhere.sourceCid], [OP.reset, 2, OP.reset, 5]);
  assert.equal(rig.sockets.sockets.length, 0);
});

test('rules that the guest breaks cost the connection, not the device', () => {
  for (const wrong of [
    (rig: VsockRig) => rig.send(OP.request),
    (rig: VsockRig) => rig.send(OP.response),
    (rig: VsockRig) => rig.send(0),
    (rig: VsockRig) => {
      rig.send(OP.shutdown, { flags: SHUTDOWN.send });
      rig.send(OP.data, {}, 10);
    },
  ]) {
    const rig = VsockRig.make();
    const socket = rig.connect();
    wrong(rig);
    assert.deepEqual([rig.ops(), socket.isDestroyed, rig.needsReset], [['reset'], true, false]);
    rig.connect();
  }
  const rig = VsockRig.make();
  rig.connect();
  rig.send(OP.data, { byteCount: 5000 }, 10);
  assert.deepEqual(rig.ops(), ['reset'], 'longer than its packet');
});

test('a guest that takes nothing: connections, strays and what they cost are bounded', () => {
  const rig = VsockRig.make(0);
  for (let port = 1; port <= 1030; port++) rig.send(OP.request, { sourcePort: port });
  assert.equal(rig.sockets.sockets.length, 1024);
  for (let i = 0; i < 300; i++) rig.send(OP.data, { sourcePort: 5000 });
  assert.ok(rig.queues[1].ring.room < 64, 'the transmit queue stands still');
  let count = 0;
  for (let n = 0; n < 40; n++) {
    rig.post(16);
    count += rig.received(false).length;
    rig.advance(1000);
    rig.queues[1].ring.collect();
  }
  assert.equal(count, 300 + 6);
  assert.equal(rig.queues[1].ring.room, 64);
  assert.equal(rig.needsReset, false);
});

test('connections take turns', () => {
  const rig = VsockRig.make(0);
  const sockets = [1, 2].map((sourcePort) => {
    rig.send(OP.request, { sourcePort });
    return rig.sockets.sockets.at(-1) as MemorySocket;
  });
  for (const socket of sockets) {
    socket.events?.onConnected();
    socket.put(counting(5000));
  }
  rig.post(8);
  assert.deepEqual(
    rig.received().map(({ destinationPort }) => destinationPort),
    [1, 2, 1, 2, 1, 2, 1, 2],
  );
});

test('a machine that is restored tells its guest that connections are gone', () => {
  const rig = VsockRig.make();
  const address = rig.allocate(4);
  const socket = rig.connect();
  const saved = rig.device.save();
  rig.device.restore(saved);
  assert.equal(socket.isDestroyed, true);
  rig.ram.write32(gpa(address), 77);
  rig.queues[2].ring.offer([{ address, byteCount: 4, isWritable: true }]);
  rig.notify(rig.queues[2]);
  assert.deepEqual([rig.queues[2].ring.collect().map(({ writtenBytes }) => writtenBytes), rig.ram.read32(gpa(address))], [[4], 0]);
  rig.send(OP.data, {}, 10);
  assert.deepEqual(rig.ops(), ['reset']);
});

test('packets without a header and buffers without room break the device', () => {
  const rig = VsockRig.make();
  rig.queues[1].ring.offer([{ address: rig.allocate(40), byteCount: 40, isWritable: false }]);
  rig.notify(rig.queues[1]);
  assert.equal(rig.needsReset, true);
  const second = VsockRig.make(0);
  second.queues[0].ring.offer([{ address: second.allocate(44), byteCount: 44, isWritable: true }]);
  second.send(OP.data);
  assert.equal(second.needsReset, true);
});
