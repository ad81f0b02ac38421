import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareOutputs } from './compare-outputs.ts';

test('equal outputs have no difference', () => {
  const output = '== one\na\nb\n== end\n';
  assert.deepEqual(
    compareOutputs(output, output).map(({ name, differing }) => [name, differing]),
    [
      ['one', 0],
      ['end', 0],
    ],
  );
});

test('a changed line is told with both sides', () => {
  const [item] = compareOutputs('== one\na\nb\nc\n== end\n', '== one\na\nx\ny\n== end\n');
  assert.equal(item.differing, 2);
  assert.deepEqual(item.first, { line: 2, host: 'b', guest: 'x' });
});

test('an item or an end that one side lacks is a difference', () => {
  const results = compareOutputs('== one\na\n== two\n== end\n', '== one\na\n');
  assert.deepEqual(
    results.map(({ name, differing }) => [name, differing > 0]),
    [
      ['one', true],
      ['two', true],
      ['end', true],
    ],
  );
  assert.ok(compareOutputs('', '').every(({ differing }) => differing > 0));
});
