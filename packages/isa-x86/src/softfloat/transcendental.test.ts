// Values with known answers, special operands and the range limit. Ordinary arguments are held against Math within its own error.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { convert } from './convert.ts';
import { FLAG, FloatEnv } from './float-env.ts';
import { EXT, F64 } from './format.ts';
import { arcTangent, cosine, logarithm, logarithmPlusOne, powerMinusOne, sine, tangent } from './transcendental.ts';
import { Unpacked } from './unpacked.ts';

const env = new FloatEnv();
const x = new Unpacked();
const y = new Unpacked();
const result = new Unpacked();
const cell = new DataView(new ArrayBuffer(8));

function load(into: Unpacked, value: number): Unpacked {
  cell.setFloat64(0, value);
  return into.set(F64, cell.getBigUint64(0), env);
}
function toNumber(bits: bigint | undefined): number {
  assert.notEqual(bits, undefined);
  cell.setBigUint64(0, convert(env, EXT, F64, result.set(EXT, bits as bigint, env)));
  return cell.getFloat64(0);
}
const near = (got: number, expected: number): void => assert.ok(Math.abs(got - expected) <= Math.abs(expected) * 2 ** -50, `${got} is not ${expected}`);

test('ordinary arguments', () => {
  for (const v of [1e-30, 1e-10, 0.1, 0.25, 0.5, 0.7853981, 0.9999, 1, 1.5, 2, 3, 4, 10, 100.5]) {
    for (const s of [v, -v]) {
      near(toNumber(sine(env, load(x, s))), Math.sin(s));
      near(toNumber(cosine(env, load(x, s))), Math.cos(s));
      near(toNumber(tangent(env, load(x, s))), Math.tan(s));
      if (v <= 1) near(toNumber(powerMinusOne(env, load(x, s))), Math.expm1(s * Math.LN2));
      if (s > -1) near(toNumber(logarithmPlusOne(env, load(x, s), load(y, -3))), (-3 * Math.log1p(s)) / Math.LN2);
      for (const w of [1e-20, 0.3, 1, 7, 1e25, -1e-20, -0.3, -1, -7, -1e25]) near(toNumber(arcTangent(env, load(x, w), load(y, s))), Math.atan2(s, w));
    }
    near(toNumber(logarithm(env, load(x, v), load(y, 3))), 3 * Math.log2(v));
  }
});

test('64-bit results', () => {
  assert.equal(arcTangent(env, load(x, 1), load(y, 1)), 0x3ffe_c90f_daa2_2168_c235n);
  assert.equal(arcTangent(env, load(x, -Infinity), load(y, Infinity)), 0x4000_96cb_e3f9_990e_91a8n);
  assert.equal(powerMinusOne(env, load(x, 0.5)), 0x3ffd_d413_cccf_e779_9211n);
  assert.equal(powerMinusOne(env, load(x, -1)), 0xbffe_8000_0000_0000_0000n);
  assert.equal(logarithm(env, load(x, 8), load(y, 2)), 0x4001_c000_0000_0000_0000n);
  // The 64-bit pi less the 66-bit one.
  assert.equal(sine(env, x.set(EXT, 0x4000_c90f_daa2_2168_c235n, env)), 0xbfbf_8000_0000_0000_0000n);
  assert.equal(sine(env, load(x, 1e18)), 0xbffe_fe29_3239_d98b_5dc4n);
  assert.equal(sine(env, load(x, 2 ** 62)), 0xbffe_b506_a9dd_559c_f157n);
});

test('range and special operands', () => {
  const flagsOf = (run: () => unknown): number => {
    env.flags = 0;
    run();
    return env.flags;
  };
  assert.equal(sine(env, load(x, 2 ** 63)), undefined);
  assert.equal(cosine(env, load(x, -(2 ** 63))), undefined);
  assert.notEqual(tangent(env, load(x, 2 ** 62)), undefined);
  assert.equal(flagsOf(() => tangent(env, load(x, Infinity))), FLAG.IE);
  assert.equal(flagsOf(() => logarithm(env, load(x, -1), load(y, 1))), FLAG.IE);
  assert.equal(flagsOf(() => logarithm(env, load(x, 0), load(y, 1))), FLAG.ZE);
  assert.equal(flagsOf(() => logarithm(env, load(x, 0), load(y, Infinity))), 0);
  assert.equal(flagsOf(() => logarithm(env, load(x, 1), load(y, Infinity))), FLAG.IE);
  assert.equal(toNumber(logarithm(env, load(x, 0.5), load(y, Infinity))), -Infinity);
  assert.equal(flagsOf(() => sine(env, x.set(EXT, 1n, env))), FLAG.DE | FLAG.UE | FLAG.PE);
  assert.equal(toNumber(arcTangent(env, load(x, 2 ** 1000), load(y, -(2 ** -1000)))), -0);
  assert.equal(toNumber(arcTangent(env, load(x, -0), load(y, -0))), -Math.PI);
});
