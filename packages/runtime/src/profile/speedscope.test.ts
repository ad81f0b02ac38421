import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuestProfile } from './guest-profile.ts';
import { speedscopeFile } from './speedscope.ts';
import { SymbolTable } from './symbol-table.ts';

test('stacks from the root to the leaf, with the names of code', () => {
  const profile = new GuestProfile();
  profile.spend(profile.activity(['TypeScript', 'translation']), 1.5);
  profile.spend(profile.code('compiled', 0xffff_ffff_8100_0010n), 2);
  profile.spend(profile.code('compiled', 0x40_1234n), 3);
  const symbols = new SymbolTable([{ address: 0xffff_ffff_8100_0000n, name: 'start_kernel' }]);
  const file = JSON.parse(speedscopeFile(profile, symbols, 'Linux'));
  const [{ samples, weights, unit, endValue, type }] = file.profiles;
  const named = samples.map((stack: number[]) => stack.map((frame) => file.shared.frames[frame].name));
  assert.deepEqual(named, [
    ['TypeScript', 'translation'],
    ['compiled', 'kernel', 'start_kernel', 'start_kernel+0x10'],
    ['compiled', 'lower half', 'page 0x401000', '0x401234'],
  ]);
  assert.deepEqual({ weights, unit, endValue, type }, { weights: [1.5, 2, 3], unit: 'milliseconds', endValue: 6.5, type: 'sampled' });
});
