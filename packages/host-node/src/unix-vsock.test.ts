import assert from 'node:assert/strict';
import { existsSync, linkSync, lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import type { VsockSocket } from '@anillo/devices/virtio/vsock/vsock-backend';
import { UnixVsock } from './unix-vsock.ts';

const folder = mkdtempSync(join(tmpdir(), 'anillo-vsock-'));
after(() => rmSync(folder, { recursive: true }));
let count = 0;
const newPath = (): string => join(folder, `v${count++}`);

/** A device that is not there: it notes what happens to a socket. */
class Watched {
  readonly socket: VsockSocket;
  readonly log: string[] = [];
  #wake: (() => void) | undefined;
  read = '';

  constructor(socket: VsockSocket) {
    this.socket = socket;
    const note = (what: string): void => {
      this.log.push(what);
      this.#wake?.();
    };
    socket.events = {
      onConnected: () => note('connected'),
      onTaken: (byteCount) => note(`taken ${byteCount}`),
      onReadable: () => {
        const into = new Uint8Array(100_000);
        this.read += Buffer.from(into.subarray(0, socket.read(into))).toString('latin1');
        note(socket.isEnded ? 'end' : 'data');
      },
      onClosed: (isBroken) => note(isBroken ? 'broken' : 'closed'),
    };
  }

  async until(what: string): Promise<void> {
    while (!this.log.includes(what))
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
  }
}

/** A client of a path, with all that it has read. */
async function client(path: string): Promise<{ socket: Socket; text(): string; until(end: string): Promise<void>; closed: Promise<void> }> {
  const socket = connect({ path, allowHalfOpen: true });
  let text = '';
  let wake: (() => void) | undefined;
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    wake?.();
  });
  socket.on('error', () => {});
  const closed = new Promise<void>((done) => {
    socket.once('close', () => done());
    socket.once('end', () => done());
  });
  await new Promise((done) => socket.once('connect', done));
  const until = async (end: string): Promise<void> => {
    while (!text.endsWith(end))
      await new Promise<void>((done) => {
        wake = done;
      });
  };
  return { socket, text: () => text, until, closed };
}

test('a client says where to, is told when the guest has taken it, and loses nothing that it said at once', {
  timeout: 20_000,
}, async () => {
  const path = newPath();
  using vsock = await UnixVsock.open(path);
  assert.equal(lstatSync(path).mode & 0o777, 0o600);
  const asked = new Promise<[number, Watched]>((done) => {
    vsock.onConnection = (port, socket) => {
      done([port, new Watched(socket)]);
      return true;
    };
  });
  const peer = await client(path);
  peer.socket.write('CONN');
  await new Promise((done) => setTimeout(done, 5));
  peer.socket.write('ECT 1234\nhello\nmore');
  const [port, watched] = await asked;
  assert.equal(port, 1234);
  watched.socket.accepted(77);
  await peer.until('OK 77\n');
  while (!watched.read.endsWith('more')) await new Promise((done) => setTimeout(done, 2));
  assert.equal(watched.read, 'hello\nmore');
  watched.socket.write(Buffer.from('answer'));
  await watched.until('taken 6');
  await peer.until('answer');
  watched.socket.end();
  await peer.closed;
  peer.socket.end('bye');
  await watched.until('closed');
  assert.ok(watched.read.endsWith('bye'));
});

test('lines that say nothing, ports that nobody listens on, and a machine without a guest', { timeout: 20_000 }, async () => {
  const path = newPath();
  using vsock = await UnixVsock.open(path);
  const ports: number[] = [];
  vsock.onConnection = (port) => {
    ports.push(port);
    return false;
  };
  for (const line of ['CONNECT\n', 'connect 1\n', 'CONNECT 4294967296\n', 'CONNECT 1 2\n', 'x'.repeat(100), '\n', 'CONNECT 5\r\n']) {
    const peer = await client(path);
    peer.socket.write(line);
    await peer.closed;
    assert.equal(peer.text(), '');
    peer.socket.destroy();
  }
  assert.deepEqual(ports, [5]);
  const nobody = new Watched(vsock.connect(99));
  await nobody.until('broken');
  assert.ok(!nobody.log.includes('connected'));
});

test('the guest connects to PATH_PORT; what its peer sends waits in bounds, and what it does not read too', {
  timeout: 20_000,
}, async () => {
  const path = newPath();
  using vsock = await UnixVsock.open(path);
  let served: Socket | undefined;
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    served = socket;
    socket.on('error', () => {});
  }).listen(`${path}_80`);
  await new Promise((done) => server.once('listening', done));
  const watched = new Watched(vsock.connect(80));
  (watched.socket.events as { onReadable: () => void }).onReadable = () => {};
  await watched.until('connected');
  const total = 4 << 20;
  while (served === undefined) await new Promise((done) => setTimeout(done, 2));
  served.write(Buffer.alloc(total, 1));
  for (let n = 0; n < 20; n++) {
    await new Promise((done) => setTimeout(done, 2));
    assert.ok(watched.socket.available <= 256 * 1024, `${watched.socket.available}`);
  }
  const into = new Uint8Array(50_000);
  let read = 0;
  while (read < total) {
    read += watched.socket.read(into);
    await new Promise((done) => setImmediate(done));
  }
  assert.equal(read, total);
  // It does not read: at some time nothing is taken any more.
  for (let n = 0; n < 40; n++) watched.socket.write(new Uint8Array(64 * 1024));
  await new Promise((done) => setTimeout(done, 20));
  const taken = watched.log.filter((what) => what.startsWith('taken')).length;
  assert.ok(taken < 40, `${taken}`);
  served.destroy();
  await watched.until('broken');
  server.close();
});

test('files: what an earlier run left goes, what somebody uses or what is no socket stays, and nothing is left at the end', async () => {
  const path = newPath();
  const server = createServer();
  await new Promise<void>((done) => server.listen(`${path}.old`, done));
  const says =
    (pattern: RegExp) =>
    (error: unknown): boolean =>
      error instanceof AnilloError && error.code === 'FILE' && pattern.test(error.message);
  await assert.rejects(UnixVsock.open(`${path}.old`), says(/in use by another machine/));
  server.close();
  writeFileSync(path, 'mine');
  await assert.rejects(UnixVsock.open(path), says(/is no socket/));
  rmSync(path);
  await assert.rejects(UnixVsock.open(join(folder, 'missing', 'v')), says(/cannot be listened on \(ENOENT\)/));
  await assert.rejects(UnixVsock.open(join(folder, 'x'.repeat(100))), says(/too long/));
  const first = await UnixVsock.open(path);
  await assert.rejects(UnixVsock.open(path), says(/in use/));
  // As a process that is killed leaves it.
  linkSync(path, `${path}.kept`);
  first[Symbol.dispose]();
  assert.equal(existsSync(path), false);
  const second = await UnixVsock.open(`${path}.kept`);
  rmSync(`${path}.kept`);
  writeFileSync(`${path}.kept`, 'of somebody else');
  second[Symbol.dispose]();
  assert.equal(existsSync(`${path}.kept`), true);
  rmSync(`${path}.kept`);
  assert.deepEqual(
    readdirSync(folder).filter((name) => !/^v\d+_80$/.test(name)),
    [],
  );
});
