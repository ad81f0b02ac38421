import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { RegionMemory } from '@anillo/memory/region-memory';
import { readKallsyms } from './kallsyms.ts';

const RAM_BYTES = 1 << 18;
const COUNT = 2000;
const BASE = 0xffff_ffff_9a00_0000n;

interface Layout {
  readonly wordBytes: 4 | 8;
  readonly base: bigint;
  /** Offsets before the names, or (false) behind the token index. */
  readonly offsetsFirst: boolean;
  /** Per-CPU variables are numbered from 0, and the rest from the base down. */
  readonly absolutePerCpu: boolean;
  /** Bytes between markers and tokens: a table that is not looked at. */
  readonly gapBytes: number;
}

const nameOf = (i: number): string => (i === 700 ? 'x'.repeat(140) : `func_${i}`);

/** The tables as the kernel's build makes them, with one token of two characters. */
function tables(layout: Layout): Uint8Array {
  const bytes: number[] = [];
  const pad = (): void => {
    while (bytes.length % layout.wordBytes !== 0) bytes.push(0);
  };
  const number = (value: bigint, byteCount: number): void => {
    for (let i = 0; i < byteCount; i++) bytes.push(Number((value >> BigInt(8 * i)) & 0xffn));
  };
  const offsets = (): void => {
    for (let i = 0; i < COUNT; i++) number(layout.absolutePerCpu ? (i < 5 ? BigInt(i * 64) : BigInt(-1 - i * 16)) : BigInt(i * 16), 4);
    pad();
    number(layout.base, layout.wordBytes);
    pad();
  };
  number(0x1234_5678_9abc_def0n, 8);
  if (layout.offsetsFirst) offsets();
  number(BigInt(COUNT), 4);
  pad();
  const markers: number[] = [];
  const namesAt = bytes.length;
  const F = 0x80;
  for (let i = 0; i < COUNT; i++) {
    if (i % 256 === 0) markers.push(bytes.length - namesAt);
    // "func" is "fu" (token 0x80) and "nc".
    const tokens = [...`${i % 3 === 0 ? 'd' : 't'}${nameOf(i)}`].map((c) => c.charCodeAt(0));
    const at = tokens.indexOf(0x66);
    if (at >= 0 && tokens[at + 1] === 0x75) tokens.splice(at, 2, F);
    if (tokens.length < 0x80) bytes.push(tokens.length);
    else bytes.push((tokens.length & 0x7f) | 0x80, tokens.length >> 7);
    bytes.push(...tokens);
  }
  pad();
  for (const marker of markers) number(BigInt(marker), 4);
  pad();
  for (let i = 0; i < layout.gapBytes; i++) bytes.push((i * 7 + 1) & 0xff);
  pad();
  const index: number[] = [];
  const tokensAt = bytes.length;
  for (let token = 0; token < 256; token++) {
    index.push(bytes.length - tokensAt);
    const text = token === F ? 'fu' : token > 0x20 && token < 0x7f ? String.fromCharCode(token) : `?${token}`;
    bytes.push(...[...text].map((c) => c.charCodeAt(0)), 0);
  }
  pad();
  for (const entry of index) number(BigInt(entry), 2);
  pad();
  if (!layout.offsetsFirst) offsets();
  return new Uint8Array(bytes);
}

function memoryWith(content: Uint8Array, at: number): RegionMemory {
  const memory = new RegionMemory(new ArrayBuffer(RAM_BYTES), [{ start: gpa(0), byteCount: RAM_BYTES, offset: 0, kind: 'ram' }]);
  // What looks like it and is not.
  memory.write(gpa(0x100), new TextEncoder().encode('0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0and more'));
  memory.write(gpa(at), content);
  return memory;
}

const LINUX_6_1: Layout = { wordBytes: 8, base: BASE, offsetsFirst: true, absolutePerCpu: true, gapBytes: 0 };

describe('the symbols of a Linux kernel in guest memory', () => {
  const layouts: Readonly<Record<string, Layout>> = {
    '6.1': LINUX_6_1,
    '6.2, with a table more': { ...LINUX_6_1, gapBytes: 3 * COUNT },
    '6.12, in another order': { ...LINUX_6_1, offsetsFirst: false },
    'one CPU only': { ...LINUX_6_1, absolutePerCpu: false },
    '32-bit': { wordBytes: 4, base: 0xc100_0000n, offsetsFirst: true, absolutePerCpu: false, gapBytes: 0 },
  };
  for (const [name, layout] of Object.entries(layouts))
    test(name, () => {
      const symbols = readKallsyms(memoryWith(tables(layout), 0x2_3000));
      assert.equal(symbols.length, COUNT - Math.ceil(COUNT / 3));
      assert.deepEqual(symbols[0], { address: layout.absolutePerCpu ? 64n : layout.base + 16n, name: 'func_1' });
      const far = symbols.find(({ name: each }) => each === 'func_1999') ?? assert.fail('func_1999 is missing');
      assert.equal(far.address, layout.base + BigInt(1999 * 16));
      assert.ok(symbols.some(({ name: each }) => each === 'x'.repeat(140)) === (700 % 3 !== 0));
    });

  test('none where there are none, or where they are damaged', () => {
    assert.deepEqual(readKallsyms(memoryWith(new Uint8Array(16), 0x2_3000)), []);
    const whole = tables(LINUX_6_1);
    for (let cut = 1; cut < 12; cut++) {
      const damaged = whole.slice();
      damaged.fill(0xff, Math.floor((whole.length * cut) / 12));
      readKallsyms(memoryWith(damaged, 0x2_3000));
      readKallsyms(memoryWith(whole.slice(Math.floor((whole.length * cut) / 12)), 0x2_3000));
    }
  });
});
