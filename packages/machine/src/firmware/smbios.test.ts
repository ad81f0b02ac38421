import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PC } from '../boards/pc.ts';
import { MIB, pcMemoryMap } from '../boards/memory-map.ts';
import { buildSmbios } from './smbios.ts';

const build = (mib: number) =>
  buildSmbios({ map: pcMemoryMap(mib * MIB, 0, PC.layout), cpuModel: 'x86-64-v3', cpuCount: 2, version: '1' }, 0xf0080);

/** Types in order, walking as dmidecode does: formatted area, then strings up to two zeros. */
function walk(bytes: Uint8Array): { type: number; body: Uint8Array; strings: string[] }[] {
  const found: { type: number; body: Uint8Array; strings: string[] }[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = bytes[at + 1];
    const body = bytes.subarray(at, at + length);
    let end = at + length;
    while (bytes[end] !== 0 || bytes[end + 1] !== 0) end++;
    const text = String.fromCharCode(...bytes.subarray(at + length, end));
    found.push({ type: body[0], body, strings: text === '' ? [] : text.split('\0') });
    at = end + 2;
  }
  assert.equal(at, bytes.length);
  return found;
}

test('the entry point is valid and covers the structures', () => {
  const { entryPoint, structures } = build(512);
  assert.equal(entryPoint.length, 24);
  assert.equal(String.fromCharCode(...entryPoint.subarray(0, 5)), '_SM3_');
  assert.equal(
    entryPoint.reduce((a, b) => (a + b) & 0xff, 0),
    0,
  );
  const data = new DataView(entryPoint.buffer);
  assert.equal(data.getUint32(12, true), structures.length);
  assert.equal(Number(data.getBigUint64(16, true)), 0xf0080);
});

test('structures are those asked for, and tell the memory', () => {
  assert.deepEqual(
    walk(build(512).structures).map((s) => s.type),
    [0, 1, 3, 4, 4, 16, 17, 19, 32, 127],
  );
  const large = walk(build(3584).structures);
  const ranges = large
    .filter((s) => s.type === 19)
    .map((s) => [4, 8].map((o) => new DataView(s.body.buffer, s.body.byteOffset).getUint32(o, true)));
  assert.deepEqual(ranges, [
    [0, 0xc0000000 / 1024 - 1],
    [0x100000000 / 1024, 0x120000000 / 1024 - 1],
  ]);
  const dimms = large.filter((s) => s.type === 17).map((s) => new DataView(s.body.buffer, s.body.byteOffset).getUint16(12, true));
  assert.deepEqual(dimms, [3584]);
});
