import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toSet1 } from './scancode-translation.ts';

test('keys everyone knows, F7, SysRq, and answers unchanged', () => {
  const known = [
    [0x1c, 0x1e],
    [0x5a, 0x1c],
    [0x76, 0x01],
    [0x29, 0x39],
    [0x66, 0x0e],
    [0x14, 0x1d],
    [0x78, 0x57],
    [0x07, 0x58],
    [0x77, 0x45],
    [0x83, 0x41],
    [0x84, 0x54],
    [0xfa, 0xfa],
    [0xaa, 0xaa],
  ];
  for (const [set2, set1] of known) assert.equal(toSet1(set2), set1);
  const codes = Array.from({ length: 0x80 }, (_, i) => toSet1(i));
  assert.equal(new Set(codes).size, 0x80, 'no two keys alike');
});
