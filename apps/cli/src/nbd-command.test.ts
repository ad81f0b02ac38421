import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openNbd } from '@anillo/host-node/nbd-client';

const MAIN = join(import.meta.dirname, 'main.ts');

async function served(args: readonly string[]): Promise<{ readonly child: ChildProcess; readonly uri: string }> {
  const child = spawn(process.execPath, [MAIN, 'nbd', 'serve', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout!, 'data');
  return { child, uri: String(line).trim() };
}

test('an image is served until the process is asked to end', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-nbd-'));
  try {
    const [image, socket] = [join(folder, 'disk.img'), join(folder, 'socket')];
    writeFileSync(image, new Uint8Array(1 << 20).fill(3));
    const { child, uri } = await served([image, '--format', 'raw', '--socket', socket, '--export', 'a disk']);
    assert.equal(uri, `nbd+unix:///a%20disk?socket=${socket}`);
    const store = await openNbd(uri, { isReadOnly: false });
    const bytes = new Uint8Array(4);
    await store.read(1000, [bytes]);
    assert.deepEqual([...bytes], [3, 3, 3, 3]);
    await store.write(512, [Uint8Array.of(7)]);
    await store.close();
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
    assert.equal(readFileSync(image)[512], 7);
    assert.equal(existsSync(socket), false);
    const tcp = await served(['--read-only', '--port', '0', image]);
    await assert.rejects(openNbd(tcp.uri, { isReadOnly: false }), { code: 'NETWORK', message: /for reading only/ });
    tcp.child.kill('SIGINT');
    assert.deepEqual(await once(tcp.child, 'exit'), [0, null]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what the user gets wrong is one sentence', () => {
  for (const [args, why] of [
    [['serve'], /needs the name of an image/],
    [['server', 'x'], /no command "nbd server"/],
    [['serve', '/nowhere/x'], /x/],
    [['serve', 'x', '--socket', 's', '--port', '1'], /leave those out/],
    [['serve', 'x', '--port', '70000'], /up to 65535/],
    [['serve', 'x', '--tls-key', 'k'], /needs both/],
  ] as const) {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, 'nbd', ...args], { encoding: 'utf8' });
    assert.match(stderr, why);
    assert.equal(stderr.trim().split('\n').length, 1);
    assert.equal(status, 2);
  }
});
