// The simple case against softfloat, on pseudo-random normal numbers with close exponents and significands of few or all bits.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { add, multiply } from '../softfloat/arithmetic.ts';
import { compare } from '../softfloat/compare.ts';
import { convert } from '../softfloat/convert.ts';
import { FLAG, FloatEnv } from '../softfloat/float-env.ts';
import { EXT, F64 } from '../softfloat/format.ts';
import { Unpacked } from '../softfloat/unpacked.ts';
import { addWide, compareWide, multiplyWide, narrow64, narrowHigh, narrowLow, newWide, type Wide, widen64, wideOutcome } from './simple-case.ts';

let seed = 12345;
function random(): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return seed >>> 0;
}
const masked = (): number => [0, 0xffff_ffff, random(), (random() << (random() & 31)) >>> 0, 1, 0x7ff, 0x400][random() % 7] as number;

function randomWide(into: Wide): bigint {
  into.sign = random() & 1;
  into.exponent = random() % 8 === 0 ? 1 + (random() % 0x7ffe) : 16383 - 60 + (random() % 120);
  into.high = (masked() | 0x8000_0000) >>> 0;
  into.low = masked();
  return bitsOf(into);
}
const bitsOf = (w: Wide): bigint => (BigInt((w.sign << 15) | w.exponent) << 64n) | (BigInt(w.high) << 32n) | BigInt(w.low);

const CASES = 30000;

test('addition, multiplication, comparison and narrowing are softfloat’s', () => {
  const env = new FloatEnv();
  const [a, b] = [new Unpacked(), new Unpacked()];
  const [x, y, z] = [newWide(), newWide(), newWide()];
  let done = 0;
  const check = (handled: boolean, expected: bigint, got: () => bigint): void => {
    if (!handled) return;
    done++;
    const flags = wideOutcome === 0 ? 0 : FLAG.PE;
    assert.deepEqual([got(), flags, wideOutcome === 2], [expected, env.flags, env.roundedUp]);
  };
  for (let i = 0; i < CASES; i++) {
    a.set(EXT, randomWide(x), env);
    b.set(EXT, randomWide(y), env);
    env.flags = 0;
    check(addWide(x, y, z), add(env, EXT, a, b), () => bitsOf(z));
    env.flags = 0;
    check(multiplyWide(x, y, z), multiply(env, EXT, a, b), () => bitsOf(z));
    assert.equal(compareWide(x, y), compare(env, a, b, false));
    env.flags = 0;
    check(narrow64(x), convert(env, EXT, F64, a), () => (BigInt(narrowHigh) << 32n) | BigInt(narrowLow));
    if (narrow64(x) && wideOutcome === 0) {
      assert.ok(widen64(narrowLow, narrowHigh, z));
      assert.equal(bitsOf(z), bitsOf(x));
    }
  }
  assert.ok(done > CASES * 2.5);
});
