// String comparison and CRC32 in the IR against the manual's definition, element by element and bit by bit. SDM Vol. 1, 12.11.3; Vol. 2, CRC32.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Value } from '@anillo/ir/block';
import { type Routine, routine } from '@anillo/ir/callee';
import { evaluateRoutine, type EvaluatedValue, type EvaluatorWorld } from '@anillo/ir/evaluate';
import { CRC32C } from './crc32c.ts';
import { compareStrings, implicitLength, indexOfBits, maskOfBits, StringControl } from './string-compare.ts';

const state = new DataView(new ArrayBuffer(16));
const WORLD: EvaluatorWorld = { state, memory: state, load: () => undefined, store: () => false, probe: () => false, call: () => undefined };

type V = Value<'v128'>;
type I32 = Value<'i32'>;
/** (x, y, lengths or -1: up to the first zero) -> index, or the mask where `mask` is set; flags from bit 16 on. */
function comparison(imm: number, mask: boolean): Routine {
  return routine({
    name: 'test',
    params: ['v128', 'v128', 'i32', 'i32'],
    result: mask ? 'v128' : 'i32',
    reads: 'none',
    writes: 'none',
    traps: false,
    build: (b, params) => {
      const [x, y, n, m] = params as readonly Value[] as [V, V, I32, I32];
      const control = new StringControl(imm);
      const length = (given: I32, v: V): I32 => b.select(b.ltS(given, b.i32(0)), implicitLength(b, control, v), given);
      const { bits, flags } = compareStrings(b, control, x, y, length(n, x), length(m, y));
      return mask ? maskOfBits(b, control, bits) : b.or(indexOfBits(b, control, bits), b.shl(flags, b.i32(16)));
    },
  });
}

/** The same by the manual. */
function reference(imm: number, x: Uint8Array, y: Uint8Array, n: number, m: number): { readonly packed: number; readonly mask: Uint8Array } {
  const count = imm & 1 ? 8 : 16;
  const elements = (v: Uint8Array): number[] => {
    const { buffer } = v.slice();
    const type = [Uint8Array, Uint16Array, Int8Array, Int16Array][imm & 3] as typeof Uint8Array;
    return [...new type(buffer)];
  };
  const [a, b] = [elements(x), elements(y)];
  const upToZero = (list: number[]): number => (list.indexOf(0) < 0 ? count : list.indexOf(0));
  const [la, lb] = [n < 0 ? upToZero(a) : n, m < 0 ? upToZero(b) : m];
  const found = b.map((v, j) => {
    switch ((imm >> 2) & 3) {
      case 0:
        return j < lb && a.slice(0, la).includes(v);
      case 1:
        return j < lb && a.some((low, i) => i % 2 === 0 && i + 1 < la && v >= low && v <= (a[i + 1] as number));
      case 2:
        return j < la && j < lb ? a[j] === v : j >= la && j >= lb;
      default:
        return a.slice(0, Math.min(la, count - j)).every((w, i) => i + j < lb && b[i + j] === w);
    }
  });
  const polarity = (imm >> 4) & 3;
  const result = found.map((f, j) => (polarity === 1 || (polarity === 3 && j < lb) ? !f : f));
  const at = imm & 0x40 ? result.lastIndexOf(true) : result.indexOf(true);
  const flags = (at >= 0 ? 1 : 0) | (lb < count ? 0x40 : 0) | (la < count ? 0x80 : 0) | (result[0] ? 0x800 : 0);
  const bits = result.reduce((sum, f, j) => sum | (f ? 1 << j : 0), 0);
  const mask = Uint8Array.from({ length: 16 }, (_, i) => {
    if (imm & 0x40) return result[count === 8 ? i >> 1 : i] ? 0xff : 0;
    return (bits >> (8 * i)) & (i < 2 ? 0xff : 0);
  });
  return { packed: (at < 0 ? count : at) | (flags << 16), mask };
}

test('strings compare as the manual says, for every immediate', () => {
  let seed = 7;
  const random = (n: number): number => {
    seed = (Math.imul(seed, 0x41c6_4e6d) + 0x3039) >>> 0;
    return (seed >>> 9) % n;
  };
  // Few different elements, both signs, zeros.
  const text = (): Uint8Array => Uint8Array.from({ length: 16 }, () => [0x61, 0x61, 0x62, 0x7f, 0x80, 0xff, 0x61, 0][random(8)] as number);
  for (let imm = 0; imm < 0x80; imm++) {
    for (let k = 0; k < 4; k++) {
      const [x, y] = [text(), text()];
      const limit = (imm & 1 ? 8 : 16) + 1;
      const [n, m] = k === 0 ? [-1, -1] : [random(limit), random(limit)];
      const args: EvaluatedValue[] = [x, y, BigInt.asUintN(32, BigInt(n)), BigInt.asUintN(32, BigInt(m))];
      const wanted = reference(imm, x, y, n, m);
      const name = `imm ${imm} ${Buffer.from(x).toString('hex')} ${Buffer.from(y).toString('hex')} ${n} ${m}`;
      assert.equal(evaluateRoutine(comparison(imm, false), args, WORLD), BigInt(wanted.packed), name);
      assert.deepEqual(evaluateRoutine(comparison(imm, true), args, WORLD), wanted.mask, `${name}, mask`);
    }
  }
});

test('CRC32 divides by the Castagnoli polynomial', () => {
  const divide = (word: number): number => {
    let crc = word;
    for (let i = 0; i < 32; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0);
    return crc >>> 0;
  };
  for (const word of [0, 1, 0x8000_0000, 0xffff_ffff, 0x1234_5678, 0x00ff_0100, 0xdead_beef]) {
    assert.equal(evaluateRoutine(CRC32C, [BigInt(word)], WORLD), BigInt(divide(word)), word.toString(16));
  }
});
