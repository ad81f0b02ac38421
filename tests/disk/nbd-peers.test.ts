// Other programs' clients against our server, and our client against other programs' servers, where they are installed.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Disk } from '@anillo/disk/disk';
import { MemoryStore } from '@anillo/disk/memory-store';
import { NbdExport } from '@anillo/disk/nbd/nbd-server';
import { RAW } from '@anillo/disk/raw';
import { openNbd } from '@anillo/host-node/nbd-client';
import { NbdListener } from '@anillo/host-node/nbd-listener';
import { compareWithModel, readWhole } from './disk-model.ts';
import { scratchFolder, TEST_HOST, testContent } from './qemu-image.ts';
import { seededRandom } from './random.ts';

const SIZE = 3 * 1048576 + 512;

const without = (...programs: string[]): string | false => {
  const missing = programs.filter((name) => !existsSync(`/usr/bin/${name}`) && !existsSync(`/usr/sbin/${name}`));
  return missing.length === 0 ? false : `${missing.join(', ')} not installed`;
};

async function run(program: string, ...args: string[]): Promise<string> {
  return (await promisify(execFile)(program, args, { timeout: 60_000 })).stdout;
}

interface Served {
  readonly disk: Disk;
  readonly content: Uint8Array;
  readonly uri: string;
  [Symbol.asyncDispose](): Promise<void>;
}

async function serve(path: string, isReadOnly = false): Promise<Served> {
  const content = testContent(SIZE, seededRandom(11));
  // The second MiB is a hole.
  content.fill(0, 1 << 20, 2 << 20);
  const store = new MemoryStore('memory');
  for (const [from, to] of [
    [0, 1 << 20],
    [2 << 20, SIZE],
  ])
    await store.write(from, [content.subarray(from, to)]);
  const disk = await RAW.open(store, { isReadOnly: false }, TEST_HOST);
  const exports = [new NbdExport({ name: 'disk', description: 'A disk for tests', disk, isReadOnly }), new NbdExport({ name: '', disk })];
  const listener = await NbdListener.listen({ exports, address: { path } });
  return { disk, content, uri: `nbd+unix:///disk?socket=${path}`, [Symbol.asyncDispose]: () => listener.close() };
}

test('nbdinfo sees what is served', { skip: without('nbdinfo') }, async () => {
  using folder = scratchFolder();
  await using served = await serve(`${folder.path}/s`);
  const info = JSON.parse(await run('nbdinfo', '--json', served.uri));
  assert.equal(info.protocol, 'newstyle-fixed');
  assert.equal(info.structured, true);
  const [{ 'export-name': name, 'export-size': size, ...rest }] = info.exports;
  assert.deepEqual([name, size], ['disk', SIZE]);
  const can = ['can_cache', 'can_df', 'can_fast_zero', 'can_flush', 'can_fua', 'can_multi_conn', 'can_trim', 'can_zero'];
  assert.deepEqual(
    can.filter((word) => rest[word] !== true),
    [],
  );
  assert.deepEqual(rest.contexts, ['base:allocation', 'qemu:allocation-depth']);
  assert.deepEqual([rest.block_size_minimum, rest.block_size_maximum], [1, 32 << 20]);
  assert.equal(rest.description, 'A disk for tests');
  const list = JSON.parse(await run('nbdinfo', '--list', '--json', served.uri));
  assert.deepEqual(
    list.exports.map((entry: { 'export-name': string }) => entry['export-name']),
    ['disk', ''],
  );
  const map = JSON.parse(await run('nbdinfo', '--map', '--json', served.uri));
  const hole = map.find((entry: { type: number }) => entry.type === 3);
  assert.deepEqual([hole.offset, hole.length], [1 << 20, 1 << 20]);
});

test('nbdcopy reads and writes, over several connections', { skip: without('nbdcopy') }, async () => {
  using folder = scratchFolder();
  await using served = await serve(`${folder.path}/s`);
  await run('nbdcopy', served.uri, `${folder.path}/out`);
  assert.equal(Buffer.compare(readFileSync(`${folder.path}/out`), served.content), 0);
  const content = testContent(SIZE, seededRandom(12));
  writeFileSync(`${folder.path}/in`, content);
  await run('nbdcopy', '--connections=4', '--flush', `${folder.path}/in`, served.uri);
  assert.equal(Buffer.compare(await readWhole(served.disk), content), 0);
});

test('qemu-img and qemu-io read, write, map, and are refused what is read-only', { skip: without('qemu-img', 'qemu-io') }, async () => {
  using folder = scratchFolder();
  {
    await using served = await serve(`${folder.path}/s`);
    await run('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', served.uri, `${folder.path}/out`);
    assert.equal(Buffer.compare(readFileSync(`${folder.path}/out`), served.content), 0);
    const map = JSON.parse(await run('qemu-img', 'map', '--output=json', '-f', 'raw', served.uri));
    assert.ok(map.some((entry: { start: number; zero: boolean; data: boolean }) => entry.start === 1 << 20 && entry.zero && !entry.data));
    const commands = [
      'write -P 5 1000 3000',
      'write -f -P 6 512k 64k',
      'write -z -u 0 4096',
      'write -z 8k 4k',
      'discard 600k 100k',
      'flush',
    ];
    await run('qemu-io', '-f', 'raw', ...commands.flatMap((command) => ['-c', command]), served.uri);
    const { content } = served;
    content
      .fill(5, 1000, 4000)
      .fill(6, 512 << 10, 576 << 10)
      .fill(0, 0, 4096)
      .fill(0, 8192, 12288)
      .fill(0, 600 << 10, 700 << 10);
    assert.equal(Buffer.compare(await readWhole(served.disk), content), 0);
  }
  await using served = await serve(`${folder.path}/r`, true);
  await assert.rejects(run('qemu-io', '-f', 'raw', '-c', 'write 0 512', served.uri));
});

/** Another program's server until it is let go. */
async function foreign(socket: string, program: string, ...args: string[]): Promise<{ [Symbol.asyncDispose](): Promise<void> }> {
  const child = spawn(program, args, { stdio: 'ignore' });
  for (let tries = 0; !existsSync(socket) && tries < 200; tries++) await sleep(20);
  return {
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return;
      child.kill();
      await once(child, 'exit');
    },
  };
}

async function compareForeign(uri: string, content: Uint8Array, seed: number): Promise<void> {
  const store = await openNbd(uri, { isReadOnly: false });
  const disk = await RAW.open(store, { isReadOnly: false }, TEST_HOST);
  assert.equal(Buffer.compare(await readWhole(disk), content), 0);
  await compareWithModel({ disk, model: content, random: seededRandom(seed), steps: 40 });
  assert.equal(Buffer.compare(await readWhole(disk), content), 0);
  await disk.close();
}

test('qemu-nbd as the server', { skip: without('qemu-nbd') }, async () => {
  using folder = scratchFolder();
  const [image, socket] = [`${folder.path}/image`, `${folder.path}/s`];
  const content = testContent(SIZE, seededRandom(13));
  writeFileSync(image, content);
  await using _server = await foreign(socket, 'qemu-nbd', '-f', 'raw', '-k', socket, '-x', 'name', '-t', image);
  await compareForeign(`nbd+unix:///name?socket=${socket}`, content, 1);
  await assert.rejects(openNbd(`nbd+unix:///other?socket=${socket}`, { isReadOnly: true }), { code: 'NETWORK', message: /other/ });
});

test('nbdkit as the server: blocks of 4 KiB, no zeros, errors, delays', { skip: without('nbdkit') }, async () => {
  using folder = scratchFolder();
  const content = testContent(SIZE - 512, seededRandom(14));
  const image = `${folder.path}/image`;
  for (const [seed, args] of [
    ['--filter=blocksize-policy', 'file', image, 'blocksize-minimum=4096', 'blocksize-maximum=64k', 'blocksize-error-policy=error'],
    ['--filter=nozero', 'file', image],
    ['--no-sr', 'file', image],
    ['--filter=delay', 'file', image, 'delay-read=1ms', 'delay-write=1ms'],
  ].entries()) {
    writeFileSync(image, content);
    const socket = `${folder.path}/s${seed}`;
    await using _server = await foreign(socket, 'nbdkit', '-f', '-U', socket, ...args);
    await compareForeign(`nbd+unix:///?socket=${socket}`, content, 20 + seed);
  }
});

test('a server that is stopped and started again is waited for', { skip: without('qemu-nbd') }, async () => {
  using folder = scratchFolder();
  const [image, socket] = [`${folder.path}/image`, `${folder.path}/s`];
  writeFileSync(image, new Uint8Array(SIZE));
  const args = ['-f', 'raw', '-k', socket, '-t', image];
  const first = await foreign(socket, 'qemu-nbd', ...args);
  const store = await openNbd(`nbd+unix:///?socket=${socket}`, { isReadOnly: false });
  await store.write(0, [Uint8Array.of(1, 2, 3)]);
  await first[Symbol.asyncDispose]();
  const bytes = new Uint8Array(3);
  const reading = store.read(0, [bytes]);
  await sleep(100);
  await using _second = await foreign(socket, 'qemu-nbd', ...args);
  await reading;
  assert.deepEqual([...bytes], [1, 2, 3]);
  await store.close();
});

test('TLS, by choice of the client and by demand of the server', { skip: without('openssl') }, async () => {
  using folder = scratchFolder();
  const [key, cert] = [`${folder.path}/key`, `${folder.path}/cert`];
  await run(
    'openssl',
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    key,
    '-out',
    cert,
    '-days',
    '1',
    '-subj',
    '/CN=localhost',
  );
  const disk = await RAW.open(new MemoryStore('memory', new Uint8Array(SIZE).fill(7)), { isReadOnly: false }, TEST_HOST);
  const tls = { key: readFileSync(key), cert: readFileSync(cert) };
  const exports = [new NbdExport({ name: 'disk', disk })];
  const listener = await NbdListener.listen({ exports, address: { host: '127.0.0.1', port: 0 }, tls, requiresTls: true });
  const at = `127.0.0.1:${listener.port}/disk`;
  await assert.rejects(openNbd(`nbd://${at}`, { isReadOnly: true }), { code: 'NETWORK', message: /tlsRequired/ });
  await assert.rejects(openNbd(`nbds://${at}`, { isReadOnly: true }), { code: 'NETWORK', message: /is lost/ });
  const store = await openNbd(`nbds://${at}`, { isReadOnly: true, tls: { ca: tls.cert, servername: 'localhost' } });
  const bytes = new Uint8Array(SIZE);
  await store.read(0, [bytes]);
  assert.ok(bytes.every((byte) => byte === 7));
  await store.close();
  await listener.close();
  await assert.rejects(openNbd(`nbd://${at}`, { isReadOnly: true }), { code: 'NETWORK', message: /nobody listens/ });
});
