import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { inputFiles } from './input-files.ts';

test('inputs are the same each time, and of the size that the workloads say', () => {
  const [first, second] = [inputFiles(), inputFiles()];
  assert.deepEqual(first, second);
  const count = (name: string, pattern: RegExp): number => first.get(name)?.match(pattern)?.length ?? 0;
  assert.equal(count('program.c', /\n/g), 2000);
  assert.equal(count('insert.sql', /^INSERT INTO rows /gm), 50_000);
  assert.doesNotMatch(first.get('words.txt') ?? '', /[^a-z0-9 \n]/);
  assert.ok(first.has('rsa.pem') && first.has('objects.py'));
  // Figures of different days are comparable only while this holds.
  const digest = createHash('sha256')
    .update(first.get('words.txt') ?? '')
    .digest('hex');
  assert.equal(digest.slice(0, 16), 'b051df055db5642f');
});
