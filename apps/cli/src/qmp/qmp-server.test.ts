import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { Machine } from 'anillo';
import { JsonObjects } from './json-objects.ts';
import { parseQmpAddress, QmpServer } from './qmp-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'anillo-qmp-'));
after(() => rmSync(folder, { recursive: true }));

/** cli; hlt; jmp to hlt, at the reset vector of a ROM of 64 KiB. */
const FIRMWARE = new Uint8Array(0x10000);
FIRMWARE.set([0xfa, 0xf4, 0xeb, 0xfd], 0xfff0);

type Message = Record<string, unknown>;

class Client {
  readonly #socket: Socket;
  readonly #messages: Message[] = [];
  #wake = (): void => {};
  isClosed = false;

  constructor(path: string) {
    const objects = new JsonObjects();
    this.#socket = connect(path);
    this.#socket.setEncoding('utf8');
    this.#socket.on('data', (text: string) => {
      this.#messages.push(...(objects.push(text) ?? []).map((one) => JSON.parse(one)));
      this.#wake();
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  send(text: string): void {
    this.#socket.write(text);
  }

  async next(): Promise<Message | undefined> {
    while (this.#messages.length === 0 && !this.isClosed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    return this.#messages.shift();
  }

  /** What a command answers; `arguments` in QMP's own spelling. */
  async ask(execute: string, args?: object): Promise<unknown> {
    this.send(JSON.stringify(args === undefined ? { execute } : { execute, arguments: args }));
    const answer = await this.next();
    return answer?.return ?? (answer?.error as { desc?: string })?.desc ?? answer;
  }

  end(): void {
    this.#socket.destroy();
  }
}

async function serve(name: string, use: (client: Client, machine: Machine, path: string) => Promise<void>): Promise<void> {
  const path = join(folder, name);
  let server: QmpServer | undefined;
  await using machine = await Machine.create({
    ...{
      bios: FIRMWARE,
      memory: 16,
      serial: 'none',
      accel: 'interp',
      machine: 'q35',
      devices: [{ model: 'pcie-root-port', id: 'rp1', addr: '4' }],
    },
    onDetached: (device) => server?.event('DEVICE_DELETED', { device }),
  });
  server = await QmpServer.listen({ address: { path }, waits: false }, machine);
  const client = new Client(path);
  try {
    machine.start();
    await use(client, machine, path);
  } finally {
    client.end();
    await server.close(false);
  }
}

const isEvent = (message: Message | undefined, event: string, data?: object): void => {
  assert.equal(message?.event, event);
  if (data !== undefined) assert.deepEqual(message?.data, data);
};

test('greeting, negotiation, status, pause and reset', { timeout: 60_000 }, () =>
  serve('a', async (client) => {
    const greeting = (await client.next()) as { QMP: { version: { qemu: object }; capabilities: unknown[] } };
    assert.deepEqual([Object.keys(greeting.QMP.version.qemu), greeting.QMP.capabilities], [['major', 'minor', 'micro'], []]);
    assert.match(String(await client.ask('query-status')), /Expecting capabilities negotiation/);
    assert.deepEqual(await client.ask('qmp_capabilities'), {});
    assert.deepEqual(await client.ask('query-status'), { running: true, singlestep: false, status: 'running' });
    client.send('{"execute":"stop","id":[1]} {"execute":"query-status"}{"execute":"cont","id":"c"}');
    isEvent(await client.next(), 'STOP');
    assert.deepEqual(await client.next(), { return: {}, id: [1] });
    assert.deepEqual(await client.next(), { return: { running: false, singlestep: false, status: 'paused' } });
    isEvent(await client.next(), 'RESUME');
    assert.deepEqual(await client.next(), { return: {}, id: 'c' });
    isEvent((await client.ask('system_reset')) as Message, 'RESET');
    assert.deepEqual(await client.next(), { return: {} });
    assert.ok(((await client.ask('query-commands')) as { name: string }[]).some(({ name }) => name === 'device_add'));
  }),
);

test('a disk and a network card are plugged in, listed, and leave', { timeout: 60_000 }, () =>
  serve('b', async (client, machine) => {
    const image = join(folder, 'disk.img');
    writeFileSync(image, new Uint8Array(4096));
    await client.next();
    await client.ask('qmp_capabilities');
    const node = { driver: 'raw', 'node-name': 'd1', file: { driver: 'file', filename: image }, 'read-only': true };
    assert.deepEqual(await client.ask('blockdev-add', node), {});
    assert.deepEqual(await client.ask('netdev_add', { type: 'user', id: 'n1', hostfwd: [{ str: 'tcp:127.0.0.1:0-:22' }] }), {});
    assert.deepEqual(await client.ask('device_add', { driver: 'virtio-blk-pci', id: 'disk', drive: 'd1', bus: 'rp1' }), {});
    assert.deepEqual(await client.ask('device_add', { driver: 'virtio-net-pci', id: 'card', netdev: 'n1', addr: '7' }), {});
    const [{ devices }] = (await client.ask('query-pci')) as [
      { devices: { qdev_id: string; slot: number; pci_bridge?: { devices: { qdev_id: string }[] } }[] },
    ];
    assert.deepEqual(devices.find(({ qdev_id: id }) => id === 'card')?.slot, 7);
    assert.deepEqual(
      devices.find(({ qdev_id: id }) => id === 'rp1')?.pci_bridge?.devices.map(({ qdev_id: id }) => id),
      ['disk'],
    );
    assert.match(String(await client.ask('blockdev-del', { 'node-name': 'd1' })), /attached to a device; detach that first/);
    assert.deepEqual(await client.ask('device_del', { id: 'card' }), {});
    // The guest has no driver, but lets go of everything when it resets.
    machine.reset();
    isEvent(await client.next(), 'DEVICE_DELETED', { device: 'card' });
    assert.deepEqual(await client.ask('netdev_del', { id: 'n1' }), {});
    assert.match(String(await client.ask('netdev_del', { id: 'n1' })), /no network "n1"/);
  }),
);

test('what is wrong is answered in one sentence', { timeout: 60_000 }, () =>
  serve('c', async (client, _machine, path) => {
    await client.next();
    await client.ask('qmp_capabilities');
    const answers: readonly (readonly [string, object | undefined, RegExp])[] = [
      ['no-such', undefined, /command no-such has not been found/],
      ['qmp_capabilities', undefined, /has not been found/],
      ['stop', { hard: true }, /'hard' is unexpected/],
      ['device_del', {}, /'id' is missing/],
      ['device_del', { id: 3 }, /'id' of device_del is a text/],
      ['device_del', { id: 'none' }, /no device "none"/],
      ['device_del', { id: 'rp1' }, /no bridges/],
      ['device_add', { id: 'x' }, /'driver' is missing/],
      ['device_add', { driver: 'floppy' }, /no device "floppy"/],
      ['device_add', { driver: 'virtio-rng-pci', addr: {} }, /'addr' of device_add is a text, a number/],
      ['device_add', { driver: 'virtio-blk-pci', drive: 'none' }, /no drive "none"/],
      ['device_add', { driver: 'virtio-rng-pci', bus: 'rp2' }, /no PCI bus "rp2"/],
      ['blockdev-add', { driver: 'raw', 'node-name': 'x' }, /needs a file/],
      ['blockdev-add', { driver: 'raw', 'node-name': 'x', file: { driver: 'nbd', path: 'x' } }, /node of the driver file, not "nbd"/],
      ['blockdev-add', { driver: 'raw', 'node-name': 'x', file: { driver: 'file', filename: join(folder, 'none') } }, /none/],
      ['blockdev-add', { driver: 'raw', 'node-name': '__proto__', file: { driver: 'file', filename: 'x' } }, /no name for a drive/],
      ['netdev_add', { type: 'slirp', id: 'x' }, /slirp/],
      ['netdev_add', { type: 'user' }, /needs the texts type and id/],
      ['netdev_add', { type: 'user', id: 'x', hostfwd: [{ str: 'nonsense' }] }, /no port to forward/],
    ];
    for (const [command, args, says] of answers) assert.match(String(await client.ask(command, args)), says);
    client.send('{"execute": 3}');
    assert.match(JSON.stringify(await client.next()), /'execute' is missing/);
    client.send('{no}');
    assert.match(JSON.stringify(await client.next()), /no JSON/);
    // Another client waits until this one has gone.
    const second = new Client(path);
    client.send('nonsense');
    assert.match(JSON.stringify(await client.next()), /no stream of commands/);
    assert.equal(await client.next(), undefined);
    assert.ok((await second.next())?.QMP);
    second.end();
  }),
);

test('objects are found in a stream however it is cut', () => {
  const text = ' {"a":"}{\\"","b":[{"c":1}]}\n{} {"d":"\\\\"}';
  for (const step of [1, 2, 5, 100]) {
    const objects = new JsonObjects();
    const found: string[] = [];
    for (let at = 0; at < text.length; at += step) found.push(...(objects.push(text.slice(at, at + step)) ?? []));
    assert.deepEqual(found, ['{"a":"}{\\"","b":[{"c":1}]}', '{}', '{"d":"\\\\"}']);
  }
  assert.equal(new JsonObjects().push('x'), undefined);
  assert.equal(new JsonObjects().push('}'), undefined);
  assert.equal(new JsonObjects().push(`{"a":"${'x'.repeat(1024 * 1024)}`), undefined);
});

test('addresses', () => {
  assert.deepEqual(parseQmpAddress('-qmp', 'unix:/x,server=on,wait=off', true), { address: { path: '/x' }, waits: false });
  assert.deepEqual(parseQmpAddress('-qmp', 'unix:/x,server', true), { address: { path: '/x' }, waits: true });
  assert.deepEqual(parseQmpAddress('-qmp', 'tcp:localhost:4444,server,nowait', true), {
    address: { host: 'localhost', port: 4444 },
    waits: false,
  });
  for (const bad of ['stdio', 'unix:', 'unix:/x,server=off', 'unix:/x,abc', 'tcp:x'])
    assert.throws(
      () => parseQmpAddress('--qmp', bad, false),
      (e) => e instanceof AnilloError && e.code === 'BAD_OPTION',
      bad,
    );
});
