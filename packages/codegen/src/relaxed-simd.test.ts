// What the probe says is what the engine does.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostRelaxedSimd, NO_RELAXED_SIMD } from './relaxed-simd.ts';

test('an engine without relaxed SIMD promises nothing', () => {
  const host = hostRelaxedSimd();
  if (!host.isThere) assert.deepEqual(host, NO_RELAXED_SIMD);
  assert.equal(hostRelaxedSimd(), host);
});

test('x86 engines shuffle bytes as PSHUFB does', { skip: process.arch !== 'x64' }, () => {
  assert.ok(hostRelaxedSimd().picks);
});
