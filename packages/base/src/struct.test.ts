// Views of a declared layout: every type of field at its place, little-endian, and two views that do not meet.

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { struct } from './struct.ts';

const Sample = struct({ a: 'u8', b: 'u16', c: 'u32', d: 'i32', e: 'u64', f: 'f64', g: 'v128', h: ['u16', 3], i: ['u64', 2], j: 'u8' });

test('fields are aligned to their size, in order', () => {
  deepEqual({ ...Sample.offset }, { a: 0, b: 2, c: 4, d: 8, e: 16, f: 24, g: 32, h: 48, i: 56, j: 72 });
  equal(Sample.bytes, 80);
});

test('a view reads and writes the bytes of its struct alone', () => {
  const buffer = new ArrayBuffer(240);
  const view = Sample.view(buffer, 80);
  view.a = 0x101;
  view.b = 0x1_2345;
  view.c = -1;
  view.d = 0xffff_fffe;
  view.e = -2n;
  view.f = -0.5;
  view.g[15] = 7;
  view.h[2] = 0xbeef;
  view.i[1] = 5n;
  view.j = 9;
  deepEqual([view.a, view.b, view.c, view.d, view.e, view.f], [1, 0x2345, 0xffff_ffff, -2, 0xffff_ffff_ffff_fffen, -0.5]);
  const data = new DataView(buffer);
  equal(data.getUint16(82, true), 0x2345);
  equal(data.getUint8(80 + 32 + 15), 7);
  equal(data.getUint16(80 + 52, true), 0xbeef);
  equal(data.getBigUint64(80 + 64, true), 5n);
  equal(data.getUint8(152), 9);
  deepEqual(new Uint8Array(buffer, 0, 80), new Uint8Array(80));
  deepEqual(new Uint8Array(buffer, 160), new Uint8Array(80));
});
