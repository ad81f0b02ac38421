// Replays results of real SSE and x87 instructions (tests/vectors/softfloat.txt, recorded on a host CPU). A line is
// `instruction control a b c | result flags`, in hexadecimal: control is MXCSR or the x87 control word; flags are those raised, and of x87 the
// condition bits too (status word & 0x473f: C0 8, C1 9, C2 10, C3 14). A result of `-`: an unmasked exception left the destination alone.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { replay } from './replay.ts';

const lines = readFileSync(new URL('../../../../tests/vectors/softfloat.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && line[0] !== '#');

test('softfloat agrees with the host CPU', () => {
  assert.ok(lines.length > 2000);
  for (const line of lines) {
    const [input, expected] = line.split(' | ') as [string, string];
    const [name, control, a, b, c] = input.split(' ') as [string, string, string, string, string];
    assert.equal(replay(name, Number.parseInt(control, 16), BigInt(`0x${a}`), BigInt(`0x${b}`), BigInt(`0x${c}`)), expected, line);
  }
});
