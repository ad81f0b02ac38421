import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { createDevice } from '../catalog.ts';
import { type RigQueue, VirtioRig } from '../testing/virtio-rig.ts';
import { ABSOLUTE, BUTTON, EVENT, type InputEvent, LIGHT, RELATIVE } from './input/input-source.ts';

class InputRig extends VirtioRig {
  queues: readonly RigQueue[] = [];
  readonly #posted = new Map<number, number>();

  static make(kind: string, buffers = 8): InputRig {
    const rig = new InputRig();
    createDevice({ model: `virtio-${kind}-pci`, source: 'input', serial: 'S1' }, rig.context);
    rig.queues = rig.find().start([], 64, 2);
    rig.post(buffers);
    return rig;
  }

  post(count: number, byteCount = 8): void {
    for (let i = 0; i < count; i++) {
      const address = this.allocate(8);
      this.#posted.set(this.queues[0].ring.offer([{ address, byteCount, isWritable: true }]), address);
    }
    this.notify(this.queues[0]);
  }

  received(): (readonly number[])[] {
    return this.queues[0].ring.collect().map(({ id }) => {
      const at = this.#posted.get(id) as number;
      return [this.ram.read16(gpa(at)), this.ram.read16(gpa(at + 2)), this.ram.read32(gpa(at + 4)) | 0];
    });
  }

  happen(...events: (readonly [number, number, number])[]): boolean | undefined {
    return this.input.sink?.(events.map(([type, code, value]): InputEvent => ({ type, code, value })));
  }

  /** The answer to a question about the device. */
  ask(select: number, subselect: number): Uint8Array {
    this.setDeviceConfig(0, 1, select);
    this.setDeviceConfig(1, 1, subselect);
    return Uint8Array.from({ length: this.deviceConfig(2, 1) }, (_, i) => this.deviceConfig(8 + i, 1));
  }

  codes(type: number): number[] {
    return [...this.ask(0x11, type)].flatMap((byte, i) =>
      [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit)).map((bit) => i * 8 + bit),
    );
  }

  text(select: number): string {
    return String.fromCharCode(...this.ask(select, 0));
  }
}

test('each kind says what it has', () => {
  const keyboard = InputRig.make('keyboard');
  assert.deepEqual([keyboard.text(1), keyboard.text(2)], ['Anillo Virtio Keyboard', 'S1']);
  assert.deepEqual([...keyboard.ask(3, 0)], [6, 0, 0xf4, 0x1a, 1, 0, 1, 0]);
  assert.deepEqual([keyboard.codes(EVENT.key).at(0), keyboard.codes(EVENT.key).length], [1, 248]);
  assert.deepEqual([keyboard.codes(EVENT.light), keyboard.ask(0x11, EVENT.repeat).length], [[0, 1, 2], 1]);
  const mouse = InputRig.make('mouse');
  assert.deepEqual(mouse.codes(EVENT.relative), [RELATIVE.x, RELATIVE.y, RELATIVE.horizontalWheel, RELATIVE.wheel]);
  assert.ok(mouse.codes(EVENT.key).includes(BUTTON.left));
  const tablet = InputRig.make('tablet');
  assert.deepEqual(tablet.codes(EVENT.absolute), [0, 1]);
  const [least, most] = new Uint32Array(tablet.ask(0x12, ABSOLUTE.x).slice().buffer);
  assert.deepEqual([least, most], [0, 0x7fff]);
  for (const [select, subselect] of [
    [0x12, 9],
    [0, 0],
    [1, 1],
    [0x10, 0],
    [0x11, 99],
    [255, 255],
  ] as const)
    assert.equal(tablet.ask(select, subselect).length, 0, `${select} ${subselect}`);
});

test('both selectors in one access', () => {
  const rig = InputRig.make('tablet');
  rig.setDeviceConfig(0, 2, 0x11 | (EVENT.absolute << 8));
  assert.deepEqual([rig.deviceConfig(0, 2), rig.deviceConfig(2, 1)], [0x0311, 1]);
});

test('events come in order, each moment with its end; they wait for buffers, and a moment that has no room is lost as a whole', () => {
  const rig = InputRig.make('keyboard', 3);
  assert.equal(rig.happen([EVENT.key, 30, 1]), true);
  assert.equal(rig.happen([EVENT.relative, 0, -5], [EVENT.key, 30, 0]), true);
  assert.deepEqual(rig.received(), [
    [EVENT.key, 30, 1],
    [EVENT.sync, 0, 0],
    [EVENT.relative, 0, -5],
  ]);
  rig.post(8);
  assert.deepEqual(rig.received(), [
    [EVENT.key, 30, 0],
    [EVENT.sync, 0, 0],
  ]);
  rig.post(0);
  let taken = 0;
  while (rig.happen([EVENT.key, 31, 1]) === true) taken++;
  assert.ok(taken >= 500 && taken < 600, `${taken}`);
  rig.status = 0;
  assert.equal(rig.happen([EVENT.key, 30, 1]), false, 'nobody is there');
});

test('lights, and rubbish in the status queue', () => {
  const rig = InputRig.make('keyboard');
  const tell = (...bytes: number[]): void => {
    const address = rig.allocate(8);
    rig.ram.write(gpa(address), Uint8Array.from(bytes));
    rig.queues[1].ring.offer([{ address, byteCount: bytes.length, isWritable: false }]);
    rig.notify(rig.queues[1]);
    assert.equal(rig.queues[1].ring.collect().length, 1);
  };
  tell(EVENT.light, 0, LIGHT.capsLock, 0, 1, 0, 0, 0);
  tell(EVENT.light, 0, LIGHT.capsLock, 0, 0, 0, 0, 0);
  tell(EVENT.light, 0, 200, 0, 1, 0, 0, 0);
  tell(EVENT.key, 0, 0, 0, 1, 0, 0, 0);
  tell(EVENT.light, 0, 1);
  assert.deepEqual(rig.input.lights, [
    [LIGHT.capsLock, true],
    [LIGHT.capsLock, false],
  ]);
});

test('a buffer that is too short gets what fits', () => {
  const rig = InputRig.make('mouse', 0);
  rig.post(2, 3);
  rig.happen([EVENT.relative, RELATIVE.x, 7]);
  assert.deepEqual([rig.queues[0].ring.collect().map(({ writtenBytes }) => writtenBytes), rig.needsReset], [[3, 3], false]);
});
