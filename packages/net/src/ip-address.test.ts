import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddress, IpPrefix } from './ip-address.ts';

test('texts as RFC 5952 writes them', () => {
  const texts: Record<string, string | undefined> = {
    '10.0.2.15': '10.0.2.15',
    '2001:DB8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
    '::': '::',
    '::1': '::1',
    'fe80::1%eth0': 'fe80::1',
    '1:0:3:4:5:6:7:8': '1:0:3:4:5:6:7:8',
    '::ffff:192.0.2.1': '::ffff:c000:201',
    'fec0::': 'fec0::',
    '10.0.2': undefined,
    '10.0.2.256': undefined,
    '1::2::3': undefined,
    '1:2:3:4:5:6:7': undefined,
    '1:2:3:4:5:6:7:8:9': undefined,
    '12345::': undefined,
    '': undefined,
  };
  for (const [text, expected] of Object.entries(texts)) assert.equal(IpAddress.parse(text)?.text, expected, text);
});

test('prefixes', () => {
  const prefix = IpPrefix.parse('10.0.2.99/23')!;
  assert.equal(prefix.text, '10.0.2.0/23');
  assert.equal(prefix.mask.text, '255.255.254.0');
  assert.ok(prefix.contains(IpAddress.parse('10.0.3.255')!));
  assert.ok(!prefix.contains(IpAddress.parse('10.0.4.0')!));
  assert.ok(IpPrefix.parse('0.0.0.0/0')!.contains(IpAddress.parse('1.2.3.4')!));
  assert.ok(!IpPrefix.parse('0.0.0.0/0')!.contains(IpAddress.parse('::1')!));
  assert.ok(IpPrefix.parse('fd00::/8')!.contains(IpAddress.parse('fdff::1')!));
  assert.equal(IpPrefix.parse('10.0.0.0/33'), undefined);
  assert.equal(IpAddress.parse('10.0.2.255')!.plus(1).text, '10.0.3.0');
});
