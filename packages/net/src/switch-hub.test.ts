import assert from 'node:assert/strict';
import { test } from 'node:test';
import { derivedMac, formatMac } from './mac-address.ts';
import { askFor, grant, readText, SwitchHub } from './switch-hub.ts';
import { VirtualClock } from './testing/virtual-clock.ts';

test('derived addresses are the same each time, and differ', () => {
  assert.equal(derivedMac('a', 0), derivedMac('a', 0));
  const all = Array.from({ length: 1000 }, (_, i) => derivedMac(`machine ${i >> 2}`, i & 3));
  assert.equal(new Set(all).size, 1000);
  for (const mac of all) assert.match(formatMac(mac), /^52:54:00:/);
});

test('each gets the first of its wishes that nobody else has', () => {
  const hub = new SwitchHub(new VirtualClock());
  const [a, b, c] = [{}, {}, {}];
  assert.equal(hub.claim(a, [1, 2]), 1);
  assert.equal(hub.claim(b, [1, 2]), 2);
  assert.equal(hub.claim(a, [1, 2]), 1);
  assert.equal(hub.claim(c, [1, 2]), 1);
  hub.release(a);
  assert.equal(hub.claim(c, [1, 2]), 1);
  assert.equal(hub.claim(a, [1, 3]), 3);
});

test('what other processes say is not believed', () => {
  assert.deepEqual(readText(askFor([1, 0x5254_0012_3456])), { wanted: [1, 0x5254_0012_3456] });
  assert.deepEqual(readText(grant(7)), { granted: 7 });
  for (const text of [
    '',
    '{',
    'null',
    '[]',
    '{"wanted":5}',
    '{"wanted":[1,"x"]}',
    '{"granted":"ff:ff:ff:ff:ff:ff"}',
    '{"wanted":["01:00:5e:00:00:01"]}',
  ])
    assert.equal(readText(text), undefined, text);
});
