import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nbdUri, parseNbdUri } from './nbd-address.ts';

test('URIs of NBD servers', () => {
  const tcp = (host: string, port: number, exportName: string, usesTls = false) => ({ socket: { host, port }, exportName, usesTls });
  assert.deepEqual(parseNbdUri('nbd://host'), tcp('host', 10809, ''));
  assert.deepEqual(parseNbdUri('nbd://host:99/a%20b/c'), tcp('host', 99, 'a b/c'));
  assert.deepEqual(parseNbdUri('nbds://[::1]:7/x'), tcp('::1', 7, 'x', true));
  assert.deepEqual(parseNbdUri('nbd+unix:///x?socket=/tmp/a%20b'), { socket: { path: '/tmp/a b' }, exportName: 'x', usesTls: false });
  for (const uri of ['nbd://host:10809/', 'nbds://[::1]:7/a%20b/c', 'nbd+unix:///x?socket=/tmp/s'])
    assert.equal(nbdUri(parseNbdUri(uri)), uri);
});

test('what is no URI of an NBD server is told', () => {
  for (const [uri, why] of [
    ['http://host/', /another scheme/],
    ['nbd', /no URI/],
    ['nbd+unix:///x', /names no socket/],
    ['nbd+unix://host/x?socket=/s', /has no host/],
    ['nbd://u@host/', /user names/],
    ['nbd://host/?socket=/s', /nbd\+unix/],
    ['nbd://host/%zz', /spelled/],
  ] as const)
    assert.throws(() => parseNbdUri(uri), { code: 'BAD_OPTION', message: why });
});
