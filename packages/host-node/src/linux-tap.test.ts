import assert from 'node:assert/strict';
import { accessSync, constants } from 'node:fs';
import { test } from 'node:test';
import { createCable } from '@anillo/net/cable';
import { LinuxTap } from './linux-tap.ts';

function canMakeTaps(): boolean {
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
  } catch {
    return false;
  }
  return process.getuid?.() === 0;
}

test('a name that is none', () => {
  assert.throws(() => LinuxTap.open('no such name', createCable()[0]), { code: /BAD_OPTION|UNSUPPORTED/ });
});

test('an interface comes and goes', { skip: canMakeTaps() ? false : 'needs root and /dev/net/tun' }, () => {
  const [outer, inner] = createCable();
  const tap = LinuxTap.open('anillo-test', inner);
  assert.ok(outer.isUp);
  assert.ok(outer.send(new Uint8Array(60), undefined));
  // Twice the same one cannot be.
  assert.throws(() => LinuxTap.open('anillo-test', createCable()[0]), { code: 'NETWORK', message: /ip tuntap add dev anillo-test/ });
  tap.close();
  assert.ok(!outer.isUp);
});
