import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { createDevice } from '../catalog.ts';
import type { Device } from '../device.ts';
import { RIG_MEMORY_BYTES } from '../testing/pci-rig.ts';
import { type RigQueue, VirtioRig } from '../testing/virtio-rig.ts';
import { ANSWER, COMMAND, HEADER_BYTES } from './gpu/command.ts';
import type { Picture } from './gpu/display-target.ts';
import { toRgba } from './gpu/pixel-format.ts';

const EDID = 1;
const PICTURE_AT = 0x60000;
const BGRX = 2;

class GpuRig extends VirtioRig {
  device!: Device;
  queues: readonly RigQueue[] = [];

  static make(options: Readonly<Record<string, string | number>> = {}): GpuRig {
    const rig = new GpuRig();
    rig.device = createDevice({ model: 'virtio-gpu-pci', display: 'display', ...options }, rig.context);
    rig.queues = rig.find().start([EDID], 32, 2);
    return rig;
  }

  /** Runs a command of words behind its header; gives the answer's type and body. `fence`: of the header. */
  run(type: number, words: readonly number[], { queue = 0, fence = 0, room = 2048, byteCount = HEADER_BYTES + words.length * 4 } = {}) {
    const [address, answer] = [this.allocate(HEADER_BYTES + words.length * 4), this.allocate(2048)];
    this.put(address, type, fence === 0 ? 0 : 1, fence, 0, 9, 0, ...words);
    this.ram.write(gpa(answer), new Uint8Array(2048));
    const buffers = [{ address, byteCount, isWritable: false }];
    if (room > 0) buffers.push({ address: answer, byteCount: room, isWritable: true });
    this.queues[queue].ring.offer(buffers);
    this.notify(this.queues[queue]);
    const [{ writtenBytes }] = this.queues[queue].ring.collect();
    const bytes = this.bytes(answer, writtenBytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return { type: room === 0 ? 0 : view.getUint32(0, true), view, writtenBytes };
  }

  type(type: number, ...words: readonly number[]): number {
    return this.run(type, words).type;
  }

  /** A resource of that size with memory behind it, in two pieces. */
  picture(id: number, width: number, height: number, format = BGRX): void {
    const byteCount = width * height * 4;
    const first = Math.floor(byteCount / 3);
    assert.equal(this.type(COMMAND.createResource, id, format, width, height), ANSWER.ok);
    const pieces = [PICTURE_AT, 0, first, 0, PICTURE_AT + 0x8000, 0, byteCount - first, 0];
    assert.equal(this.type(COMMAND.attachBacking, id, 2, ...pieces), ANSWER.ok);
    const bytes = Uint8Array.from({ length: byteCount }, (_, i) => i % 253);
    this.ram.write(gpa(PICTURE_AT), bytes.subarray(0, first));
    this.ram.write(gpa(PICTURE_AT + 0x8000), bytes.subarray(first));
  }
}

const pixelAt = ({ pixels, offsetBytes, strideBytes }: Picture, x: number, y: number): number[] => [
  ...pixels.subarray(offsetBytes + y * strideBytes + x * 4, offsetBytes + y * strideBytes + x * 4 + 4),
];
const expected = (width: number, x: number, y: number): number[] => [0, 1, 2, 3].map((i) => ((y * width + x) * 4 + i) % 253);

test('a picture is made, filled from memory, shown and drawn on', () => {
  const rig = GpuRig.make();
  rig.picture(1, 40, 30);
  assert.equal(rig.type(COMMAND.transferToHost, 0, 0, 40, 30, 0, 0, 1, 0), ANSWER.ok);
  assert.equal(rig.type(COMMAND.setScanout, 10, 5, 20, 20, 0, 1), ANSWER.ok);
  const { picture } = rig.display;
  assert.ok(picture !== undefined);
  assert.deepEqual(
    [picture.width, picture.height, pixelAt(picture, 0, 0), pixelAt(picture, 19, 19)],
    [20, 20, expected(40, 10, 5), expected(40, 29, 24)],
  );
  assert.equal(rig.type(COMMAND.flushResource, 0, 0, 15, 40 - 10, 1, 0), ANSWER.ok);
  assert.deepEqual(rig.display.updates, [[0, 0, 5, 20]], 'as far as it is shown');
  assert.equal(rig.type(COMMAND.flushResource, 0, 0, 5, 5, 1, 0), ANSWER.ok);
  assert.equal(rig.display.updates.length, 1);
  assert.equal(rig.type(COMMAND.unreferenceResource, 1, 0), ANSWER.ok);
  assert.equal(rig.display.picture, undefined);
});

test('a part of a picture: rows as long as the resource, from where the driver says', () => {
  const rig = GpuRig.make();
  rig.picture(1, 40, 30);
  const offset = (7 * 40 + 3) * 4;
  assert.equal(rig.type(COMMAND.transferToHost, 3, 7, 10, 4, offset, 0, 1, 0), ANSWER.ok);
  rig.type(COMMAND.setScanout, 0, 0, 40, 30, 0, 1);
  const picture = rig.display.picture as Picture;
  for (const [x, y] of [
    [3, 7],
    [12, 10],
  ] as const)
    assert.deepEqual(pixelAt(picture, x, y), expected(40, x, y));
  for (const [x, y] of [
    [2, 7],
    [13, 10],
    [3, 6],
    [3, 11],
  ] as const)
    assert.deepEqual(pixelAt(picture, x, y), [0, 0, 0, 0]);
});

test('formats become red, green, blue, alpha', () => {
  const picture = (format: number): number[] => {
    const rig = GpuRig.make();
    rig.picture(1, 8, 8, format);
    rig.type(COMMAND.transferToHost, 0, 0, 8, 8, 0, 0, 1, 0);
    rig.type(COMMAND.setScanout, 1, 0, 1, 1, 0, 1);
    return [...toRgba(rig.display.picture as Picture)];
  };
  // The second pixel is 4, 5, 6, 7.
  const wanted = {
    1: [6, 5, 4, 7],
    2: [6, 5, 4, 255],
    3: [5, 6, 7, 4],
    4: [5, 6, 7, 255],
    67: [4, 5, 6, 7],
    68: [7, 6, 5, 255],
    121: [7, 6, 5, 4],
    134: [4, 5, 6, 255],
  };
  for (const [format, rgba] of Object.entries(wanted)) assert.deepEqual(picture(Number(format)), rgba, format);
});

test('outputs: sizes, EDID, and the news that one has changed', () => {
  const rig = GpuRig.make({ max_outputs: 2, xres: 800, yres: 600 });
  const info = rig.run(COMMAND.getDisplayInfo, []);
  const words = Array.from({ length: 18 }, (_, i) => info.view.getUint32(HEADER_BYTES + i * 4, true));
  assert.deepEqual([info.type, info.writtenBytes], [ANSWER.displayInfo, 408]);
  assert.deepEqual(words, [0, 0, 640, 480, 1, 0, 0, 0, 800, 600, 1, 0, 0, 0, 0, 0, 0, 0]);
  const edid = rig.run(COMMAND.getEdid, [0, 0]);
  assert.deepEqual([edid.type, edid.view.getUint32(HEADER_BYTES, true)], [ANSWER.edid, 128]);
  const block = Array.from({ length: 128 }, (_, i) => edid.view.getUint8(HEADER_BYTES + 8 + i));
  assert.equal(block.reduce((sum, byte) => sum + byte, 0) % 256, 0, 'its checksum');
  assert.deepEqual([block[56] | ((block[58] >> 4) << 8), block[59] | ((block[61] >> 4) << 8)], [640, 480]);
  assert.equal(rig.type(COMMAND.getEdid, 2, 0), ANSWER.badScanout);
  assert.deepEqual([rig.deviceConfig(0, 4), rig.deviceConfig(8, 4)], [0, 2]);
  rig.display.size = { width: 99_999, height: 0 };
  rig.display.onResize?.();
  assert.deepEqual([rig.deviceConfig(0, 4), rig.takeMessages(0)], [1, 1]);
  rig.setDeviceConfig(4, 4, 1);
  assert.equal(rig.deviceConfig(0, 4), 0);
  const changed = rig.run(COMMAND.getDisplayInfo, []).view;
  assert.deepEqual([changed.getUint32(HEADER_BYTES + 8, true), changed.getUint32(HEADER_BYTES + 16, true)], [4095, 0]);
});

test('cursors', () => {
  const rig = GpuRig.make();
  rig.picture(1, 64, 64, 1);
  rig.type(COMMAND.transferToHost, 0, 0, 64, 64, 0, 0, 1, 0);
  const cursor = (type: number, ...words: number[]): number => rig.run(type, words, { queue: 1, room: 0 }).writtenBytes;
  cursor(COMMAND.updateCursor, 0, 100, 200, 0, 1, 3, 4, 0);
  assert.deepEqual([rig.display.cursor?.hotX, rig.display.cursor?.hotY, rig.display.cursorAt], [3, 4, [100, 200]]);
  rig.type(COMMAND.unreferenceResource, 1, 0);
  assert.deepEqual(pixelAt(rig.display.cursor?.picture as Picture, 1, 0), [4, 5, 6, 7], 'a copy');
  cursor(COMMAND.moveCursor, 0, 2 ** 32 - 5, 7, 0, 0, 0, 0, 0);
  assert.deepEqual(rig.display.cursorAt, [-5, 7]);
  cursor(COMMAND.updateCursor, 0, 0, 0, 0, 0, 0, 0, 0);
  assert.equal(rig.display.cursor, undefined);
  const answer = rig.run(COMMAND.moveCursor, [7, 0, 0, 0], { queue: 1 });
  assert.equal(answer.type, ANSWER.badScanout);
  assert.equal(rig.run(COMMAND.getDisplayInfo, [], { queue: 1 }).type, ANSWER.failed);
  assert.equal(rig.type(COMMAND.moveCursor, 0, 0, 0, 0), ANSWER.failed);
});

test('a fence comes back with its context; an answer without room is cut', () => {
  const rig = GpuRig.make();
  const { view } = rig.run(COMMAND.getDisplayInfo, [], { fence: 77 });
  assert.deepEqual(
    [4, 8, 12, 16].map((at) => view.getUint32(at, true)),
    [1, 77, 0, 9],
  );
  assert.equal(rig.run(COMMAND.getDisplayInfo, []).view.getUint32(8, true), 0);
  assert.equal(rig.run(COMMAND.getDisplayInfo, [], { room: 30 }).writtenBytes, 30);
});

test('what a guest must not is an answer, and nothing else', () => {
  const rig = GpuRig.make();
  rig.picture(1, 40, 30);
  const big = 2 ** 32 - 1;
  const wrong: readonly (readonly [number, number, ...number[]])[] = [
    [ANSWER.failed, 0x1234],
    [ANSWER.failed, 0x10c, ...new Array<number>(20).fill(1)],
    [ANSWER.badParameter, COMMAND.createResource, 2],
    [ANSWER.badResource, COMMAND.createResource, 0, 1, 8, 8],
    [ANSWER.badResource, COMMAND.createResource, 1, 1, 8, 8],
    [ANSWER.badParameter, COMMAND.createResource, 2, 5, 8, 8],
    [ANSWER.badParameter, COMMAND.createResource, 2, 1, 0, 8],
    [ANSWER.badParameter, COMMAND.createResource, 2, 1, big, 8],
    [ANSWER.noRoom, COMMAND.createResource, 2, 1, 16_384, 16_384],
    [ANSWER.badResource, COMMAND.unreferenceResource, 9, 0],
    [ANSWER.badParameter, COMMAND.attachBacking, 1, 1, 0, 0, 4096, 0],
    [ANSWER.badScanout, COMMAND.setScanout, 0, 0, 40, 30, 1, 1],
    [ANSWER.badResource, COMMAND.setScanout, 0, 0, 40, 30, 0, 9],
    [ANSWER.badParameter, COMMAND.setScanout, 1, 0, 40, 30, 0, 1],
    [ANSWER.badParameter, COMMAND.setScanout, big, big, 40, 30, 0, 1],
    [ANSWER.badParameter, COMMAND.setScanout, 0, 0, 0, 30, 0, 1],
    [ANSWER.badParameter, COMMAND.flushResource, 0, 0, 41, 30, 1, 0],
    [ANSWER.badParameter, COMMAND.transferToHost, 0, 1, 40, 30, 0, 0, 1, 0],
    [ANSWER.badParameter, COMMAND.transferToHost, 0, 0, 40, 30, 4, 0, 1, 0],
    [ANSWER.badParameter, COMMAND.transferToHost, 0, 0, 40, 30, 0, big, 1, 0],
  ];
  for (const [answer, type, ...words] of wrong) assert.equal(rig.type(type, ...words), answer, `${type.toString(16)} ${words}`);
  rig.type(COMMAND.detachBacking, 1, 0);
  assert.equal(rig.type(COMMAND.transferToHost, 0, 0, 40, 30, 0, 0, 1, 0), ANSWER.badParameter);
  for (const [count, address, byteCount] of [
    [1, RIG_MEMORY_BYTES - 100, 4800],
    [1, 0xfee00000, 4800],
  ] as const) {
    assert.equal(rig.type(COMMAND.attachBacking, 1, count, address, 0, byteCount, 0), ANSWER.ok);
    assert.equal(rig.type(COMMAND.transferToHost, 0, 0, 40, 30, 0, 0, 1, 0), ANSWER.badParameter, 'outside memory');
    rig.type(COMMAND.detachBacking, 1, 0);
  }
  for (const words of [
    [1, 0],
    [1, 20_000, 0, 0, 4096, 0],
    [1, 3, 0, 0, 4096, 0],
    [1, 1, 0, 0, 0, 0],
    [1, big],
  ])
    assert.equal(rig.type(COMMAND.attachBacking, ...words), ANSWER.badParameter, `${words}`);
  assert.equal(rig.needsReset, false);
  assert.equal(rig.run(COMMAND.getDisplayInfo, [], { byteCount: 3 }).type, ANSWER.badParameter);
});

test('memory for pictures is bounded, and comes back', () => {
  const rig = GpuRig.make({ max_hostmem: 1024 * 1024 });
  assert.equal(rig.type(COMMAND.createResource, 1, 1, 512, 512), ANSWER.ok);
  assert.equal(rig.type(COMMAND.createResource, 2, 1, 1, 1), ANSWER.noRoom);
  rig.type(COMMAND.unreferenceResource, 1, 0);
  assert.equal(rig.type(COMMAND.createResource, 2, 1, 512, 512), ANSWER.ok);
  rig.status = 0;
  rig.queues = rig.start([EDID], 32, 2);
  let count = 0;
  while (rig.type(COMMAND.createResource, count + 1, 1, 1, 1) === ANSWER.ok) count++;
  assert.equal(count, 4096);
});

test('much to copy is done in turns', () => {
  const rig = GpuRig.make();
  rig.picture(1, 40, 30);
  assert.equal(rig.type(COMMAND.createResource, 2, 1, 4096, 2048), ANSWER.ok);
  const pieces = new Array(64).fill([0, 0, 512 * 1024, 0]).flat();
  assert.equal(rig.type(COMMAND.attachBacking, 2, 64, ...pieces), ANSWER.ok);
  const { ring } = rig.queues[0];
  for (let i = 0; i < 3; i++) {
    const address = rig.allocate(64);
    rig.put(address, COMMAND.transferToHost, 0, 0, 0, 0, 0, 0, 0, 4096, 2048, 0, 0, 2, 0);
    ring.offer([{ address, byteCount: 56, isWritable: false }]);
  }
  rig.notify(rig.queues[0]);
  assert.equal(ring.collect().length, 1);
  rig.advance(1000);
  assert.equal(ring.collect().length, 2);
});

test('a snapshot has pictures, outputs and what is behind them', () => {
  const rig = GpuRig.make();
  rig.picture(1, 40, 30);
  rig.type(COMMAND.transferToHost, 0, 0, 40, 30, 0, 0, 1, 0);
  rig.type(COMMAND.setScanout, 2, 3, 10, 10, 0, 1);
  const saved = rig.device.save();
  const other = GpuRig.make();
  other.ram.write(gpa(0), rig.ram.read(gpa(0), RIG_MEMORY_BYTES));
  other.device.restore(saved);
  assert.deepEqual(pixelAt(other.display.picture as Picture, 1, 1), expected(40, 3, 4));
  assert.deepEqual(other.device.save(), saved);
  assert.throws(() => other.device.restore(saved.subarray(0, saved.length - 5)), /does not fit/);
});
