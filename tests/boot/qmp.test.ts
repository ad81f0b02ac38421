// `-qmp` as scripts use it: the machine waits for a client, which plugs a device behind a root port, sees it on the bus, and ends the machine.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runCli } from './run-cli.ts';
import { GUESTS } from './tiny-firmware.ts';

const folder = mkdtempSync(join(tmpdir(), 'anillo-qmp-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Sends each command when the one before it has been answered; gives everything that came back. */
async function talk(path: string, commands: readonly object[]): Promise<string> {
  for (let turn = 0; turn < 1000; turn++) {
    const socket = connect(path);
    const isThere = await new Promise<boolean>((done) => {
      socket.once('connect', () => done(true));
      socket.once('error', () => done(false));
    });
    if (!isThere) {
      await delay(20);
      continue;
    }
    let text = '';
    let sent = 0;
    socket.setEncoding('utf8').on('data', (more: string) => {
      text += more;
      const answers = text.split('\r\n').filter((line) => /"QMP"|"return"|"error"/.test(line)).length;
      while (sent < answers && sent < commands.length) socket.write(JSON.stringify(commands[sent++]));
    });
    await new Promise((done) => socket.on('close', done));
    return text;
  }
  throw new Error(`nobody listens on ${path}`);
}

test('anillo-qemu serves QMP', { timeout: 120_000 }, async () => {
  const [bios, path] = [join(folder, 'bios'), join(folder, 'qmp')];
  writeFileSync(bios, GUESTS.haltedForGood);
  const port = ['-device', 'pcie-root-port,id=rp1,chassis=1,slot=1,multifunction=on'];
  const running = runCli(['-machine', 'q35', '-bios', bios, ...port, '-nographic', '-qmp', `unix:${path},server=on`], {
    program: 'anillo-qemu',
  });
  const text = await talk(path, [
    { execute: 'qmp_capabilities' },
    { execute: 'device_add', arguments: { driver: 'virtio-rng-pci', id: 'rng', bus: 'rp1', addr: 0 } },
    { execute: 'query-pci' },
    { execute: 'quit' },
  ]);
  const { status, stderr } = await running;
  assert.equal(status, 0, stderr);
  assert.match(text, /"slot":1,"function":0,"class_info":\{"class":1540\}.*"pci_bridge":\{.*"qdev_id":"rng"/);
  assert.match(text, /"event":"SHUTDOWN"/);
  assert.doesNotMatch(text, /"error"/);
});
