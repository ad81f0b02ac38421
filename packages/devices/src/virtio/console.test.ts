import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { Backends } from '../backends.ts';
import { createDevice } from '../catalog.ts';
import { BufferedBackend } from '../testing/device-rig.ts';
import { type RigQueue, VirtioRig } from '../testing/virtio-rig.ts';

const MULTIPORT = 1;

class Terminal extends BufferedBackend {
  size = { columns: 80, rows: 25 };
  onResize: (() => void) | undefined = undefined;
}

class ConsoleRig extends VirtioRig {
  readonly terminal = new Terminal();
  readonly agent = new BufferedBackend();
  queues: readonly RigQueue[] = [];

  static make(features: readonly number[]): ConsoleRig {
    const rig = new ConsoleRig();
    const backends = new Backends({ consoles: { tty: rig.terminal, agent: rig.agent } });
    createDevice({ model: 'virtio-console-pci', port0: 'tty', port1: 'agent', name1: 'org.agent' }, { ...rig.context, backends });
    rig.queues = rig.find().start(features, 16, 6);
    for (const { index } of rig.queues) if (index % 2 === 0) for (let i = 0; i < 8; i++) rig.post(index);
    return rig;
  }

  readonly #posted = new Map<string, number>();

  post(index: number, byteCount = 64): void {
    const address = this.allocate(byteCount);
    const id = this.queues[index].ring.offer([{ address, byteCount, isWritable: true }]);
    this.#posted.set(`${index} ${id}`, address);
    this.notify(this.queues[index]);
  }

  /** What the device has put into a queue's buffers. */
  received(index: number): Uint8Array[] {
    return this.queues[index].ring
      .collect()
      .map(({ id, writtenBytes }) => this.bytes(this.#posted.get(`${index} ${id}`) as number, writtenBytes));
  }

  text(index: number): string {
    return this.received(index)
      .map((bytes) => String.fromCharCode(...bytes))
      .join('');
  }

  write(index: number, bytes: Uint8Array | string): void {
    const data = typeof bytes === 'string' ? Uint8Array.from(bytes, (character) => character.charCodeAt(0)) : bytes;
    const address = this.allocate(data.length);
    this.ram.write(gpa(address), data);
    this.queues[index].ring.offer([{ address, byteCount: data.length, isWritable: false }]);
    this.notify(this.queues[index]);
  }

  tell(port: number, event: number, value: number): void {
    this.write(3, Uint8Array.of(port, 0, 0, 0, event, 0, value, 0));
  }
}

test('one port: bytes both ways, back pressure, and its size', () => {
  const rig = ConsoleRig.make([0]);
  assert.deepEqual([rig.deviceConfig(0, 2), rig.deviceConfig(2, 2), rig.deviceConfig(4, 4)], [80, 25, 2]);
  rig.terminal.room = 3;
  rig.write(1, 'hello');
  rig.write(1, ' you');
  assert.equal(rig.terminal.text, 'hel');
  assert.equal(rig.queues[1].ring.collect().length, 0);
  rig.terminal.room = Infinity;
  rig.terminal.onDrain?.();
  assert.equal(rig.terminal.text, 'hello you');
  assert.equal(rig.queues[1].ring.collect().length, 2);
  rig.terminal.type('x'.repeat(100));
  assert.equal(rig.text(0), 'x'.repeat(100));
  rig.terminal.size = { columns: 132, rows: 43 };
  rig.terminal.onResize?.();
  assert.deepEqual([rig.deviceConfig(0, 2), rig.takeMessages(0)], [132, 1]);
});

test('several ports: announced, named, opened; a port that is not open takes nothing', () => {
  const rig = ConsoleRig.make([0, MULTIPORT]);
  rig.tell(0, 0, 1);
  assert.deepEqual(
    rig.received(2).map((m) => [...m]),
    [
      [0, 0, 0, 0, 1, 0, 1, 0],
      [1, 0, 0, 0, 1, 0, 1, 0],
    ],
  );
  rig.tell(0, 3, 1);
  assert.deepEqual(
    rig.received(2).map((m) => [m[0], m[4]]),
    [
      [0, 4],
      [0, 6],
      [0, 5],
    ],
  );
  rig.tell(1, 3, 1);
  const [name, open] = rig.received(2);
  assert.deepEqual([name[4], String.fromCharCode(...name.subarray(8))], [7, 'org.agent\0']);
  assert.deepEqual([...open], [1, 0, 0, 0, 6, 0, 1, 0]);
  rig.agent.type('early');
  assert.equal(rig.text(4), '');
  rig.tell(1, 6, 1);
  assert.equal(rig.text(4), 'early');
  rig.write(5, 'answer');
  assert.equal(rig.agent.text, 'answer');
  rig.tell(1, 6, 0);
  rig.agent.type('late');
  assert.equal(rig.text(4), '');
  rig.terminal.size = { columns: 300, rows: 50 };
  rig.terminal.onResize?.();
  assert.deepEqual(
    rig.received(2).map((m) => [...m]),
    [[0, 0, 0, 0, 5, 0, 0, 0, 44, 1, 50, 0]],
  );
});

test('rubbish on the control queue is dropped', () => {
  const rig = ConsoleRig.make([0, MULTIPORT]);
  rig.tell(200, 3, 1);
  rig.tell(1, 99, 1);
  rig.write(3, Uint8Array.of(1, 2, 3));
  assert.equal(rig.received(2).length, 0);
  assert.equal(rig.needsReset, false);
});
