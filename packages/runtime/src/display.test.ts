import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { type PixelFormat, pixelFormat } from '@anillo/devices/virtio/gpu/pixel-format';
import type { InputEvent } from '@anillo/devices/virtio/input/input-source';
import { Display } from './display.ts';

const RGBA = pixelFormat(67) as PixelFormat;

const picture = (width: number, height: number, pixel: readonly number[]) => ({
  ...{ width, height, format: RGBA, offsetBytes: 0, strideBytes: width * 4 },
  pixels: Uint8Array.from({ length: width * height * 4 }, (_, i) => pixel[i % 4]),
});

test('a screenshot has the cursor in it, as far as it is on the screen', () => {
  const display = new Display({ width: 8, height: 8 });
  assert.equal(display.screenshot(), undefined);
  let changes = 0;
  display.onChange = () => changes++;
  display.show(picture(4, 3, [10, 20, 30, 255]));
  display.showCursor({ picture: picture(2, 2, [110, 120, 130, 128]), hotX: 0, hotY: 0 });
  for (const [x, y, pixels] of [
    [-1, -1, [[0, 0]]],
    [3, 2, [[3, 2]]],
    [-9, 9, []],
    [
      1,
      1,
      [
        [1, 1],
        [2, 1],
        [1, 2],
        [2, 2],
      ],
    ],
  ] as const) {
    display.moveCursor(x, y);
    const shot = display.screenshot();
    assert.ok(shot !== undefined);
    const touched = [...Array(12).keys()].filter((i) => shot.rgba[i * 4] !== 10).map((i) => [i % 4, i >> 2]);
    assert.deepEqual(touched, pixels);
    assert.ok(touched.every(([at, row]) => shot.rgba[(row * 4 + at) * 4 + 2] === 80));
  }
  assert.equal(changes, 6);
  display.show(undefined);
  assert.equal(display.screenshot(), undefined);
  assert.equal(display.screenshot({ orLast: true })?.width, 4);
});

test('another size is asked for', () => {
  const display = new Display({ width: 8, height: 8 });
  let asked = 0;
  display.onResize = () => asked++;
  display.resize(100, 50);
  assert.deepEqual([asked, display.size], [1, { width: 100, height: 50 }]);
});

test('keys by name, and positions in pixels of what is shown', () => {
  const { keyboard, pointer } = new Display({ width: 100, height: 100 });
  assert.equal(keyboard.press('KeyA'), false, 'no device');
  const events: InputEvent[] = [];
  keyboard.sink = pointer.sink = (given) => events.push(...given) > 0;
  assert.equal(keyboard.tap('ControlLeft', 'KeyA'), true);
  assert.deepEqual(
    events.splice(0).map(({ type, code, value }) => [type, code, value]),
    [
      [1, 29, 1],
      [1, 30, 1],
      [1, 30, 0],
      [1, 29, 0],
    ],
  );
  assert.throws(
    () => keyboard.press('a'),
    (error) => error instanceof AnilloError && /no key "a"/.test(error.message),
  );
  keyboard.onLight(1, true);
  keyboard.onLight(7, true);
  assert.deepEqual([...keyboard.lights], ['capsLock']);
  pointer.range = { width: 641, height: 481 };
  pointer.move(320, 1000);
  pointer.press('right');
  pointer.wheel(-1);
  assert.deepEqual(
    events.map(({ type, code, value }) => [type, code, value]),
    [
      [3, 0, 16384],
      [3, 1, 32767],
      [1, 0x111, 1],
      [2, 8, -1],
    ],
  );
});
