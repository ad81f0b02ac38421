import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SharedSwitch } from '@anillo/host-node/shared-switch';
import { createCable } from '@anillo/net/cable';
import { ethernet } from '@anillo/net/testing/frames';

const MAIN = join(import.meta.dirname, 'main.ts');

test('a switch with a router, which answers a machine of another process', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-switch-'));
  const [path, pcap] = [join(folder, 'net'), join(folder, 'all.pcapng')];
  const child = spawn(process.execPath, [MAIN, 'switch', path, '--net', 'user', '--pcap', pcap], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    const [outer, inner] = createCable();
    const answer = Promise.withResolvers<Uint8Array>();
    outer.receiver = {
      takesWork: true,
      send: (frame) => {
        if (frame[13] === 6) answer.resolve(frame.slice());
        return true;
      },
    };
    const shared = await SharedSwitch.join({ path, port: inner, wanted: [0x5254_0000_0001] });
    const request = [0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0, 0, 1, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2];
    outer.send(ethernet('ff:ff:ff:ff:ff:ff', '52:54:00:00:00:01', 0x0806, Uint8Array.from(request)), undefined);
    const frame = await answer.promise;
    assert.deepEqual([...frame.subarray(28, 32)], [10, 0, 2, 2]);
    shared.close();
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
    assert.equal(existsSync(path), false);
    assert.ok(readFileSync(pcap).includes(frame));
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  }
});

test('what the user gets wrong is one sentence', () => {
  for (const [args, why] of [
    [['--net', 'user'], /needs the path of the switch/],
    [['/tmp/x', '--net', 'user,queues=2'], /has no setting "queues"/],
    [['/nowhere/at/all'], /cannot be joined/],
  ] as const) {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, 'switch', ...args], { encoding: 'utf8' });
    assert.match(stderr, why);
    assert.equal(status, 2);
  }
});
