import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { parseMemory } from './machine-memory.ts';

const MIB = 1024 * 1024;

test('sizes are read as people write them', () => {
  for (const [text, mib] of [
    ['512M', 512],
    ['1G', 1024],
    ['1.5g', 1536],
    ['64', 64],
    [128, 128],
    ['2048K', 2],
    ['256 MiB', 256],
    ['512mb', 512],
    ['3584M', 3584],
    ['1M', 1],
  ] as const) {
    assert.equal(parseMemory(text), mib * MIB, String(text));
  }
});

test('what is no size, or too small or large, is said in a sentence', () => {
  for (const [text, says] of [
    ['0', /needs memory/],
    ['0G', /needs memory/],
    ['512K', /too small/],
    ['64G', /too large.*3584M/],
    ['3585M', /too large/],
    ['1T', /too large/],
    ['lots', /no memory size/],
    ['', /no memory size/],
    ['-5M', /no memory size/],
    ['1e9', /no memory size/],
    ['1.3M', /whole number/],
    [Number.NaN, /no memory size/],
  ] as const) {
    assert.throws(
      () => parseMemory(text),
      (e) => e instanceof AnilloError && e.code === 'BAD_MEMORY' && says.test(e.message),
      String(text),
    );
  }
});
