import assert from 'node:assert/strict';
import * as dgram from 'node:dgram';
import * as net from 'node:net';
import { test } from 'node:test';
import type { HostTcpConnection, HostTcpEvents } from '@anillo/net/host-network';
import { isDeepStrictEqual } from 'node:util';
import { loadLinuxLibc } from './linux-libc.ts';
import { NodeNetwork } from './node-network.ts';

/** What comes of a connection, as promises. */
function watch(connection: HostTcpConnection) {
  const parts: Buffer[] = [];
  const connected = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const drained = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<string>();
  const events: HostTcpEvents = {
    onConnected: () => connected.resolve(),
    onData: (bytes) => void parts.push(Buffer.from(bytes)),
    onEnd: () => ended.resolve(),
    onDrain: () => drained.resolve(),
    onClosed: (reason) => closed.resolve(reason),
  };
  connection.events = events;
  return {
    connected: connected.promise,
    ended: ended.promise,
    drained: drained.promise,
    closed: closed.promise,
    bytes: () => Buffer.concat(parts),
  };
}

test('both ends of a TCP connection: data, back-pressure, half-close', async () => {
  const network = new NodeNetwork();
  const accepted = Promise.withResolvers<{ far: HostTcpConnection; sees: ReturnType<typeof watch> }>();
  const listener = await network.listenTcp({ address: '127.0.0.1', port: 0 }, (far) => {
    const sees = watch(far);
    far.pause();
    accepted.resolve({ far, sees });
  });
  const near = network.connectTcp(listener.local);
  const nearSees = watch(near);
  await nearSees.connected;
  const { far, sees } = await accepted.promise;
  const piece = Buffer.alloc(200_000, 'abc');
  let sent = 0;
  while (near.write(piece)) sent += piece.length;
  sent += piece.length;
  assert.ok(sent < 64_000_000);
  assert.equal(sees.bytes().length, 0);
  far.resume();
  await nearSees.drained;
  near.end();
  await sees.ended;
  assert.equal(sees.bytes().length, sent);
  assert.ok(sees.bytes().subarray(-200_000).equals(piece));
  far.write(Buffer.from('late'));
  far.end();
  await nearSees.ended;
  assert.equal(nearSees.bytes().toString(), 'late');
  assert.deepEqual(await Promise.all([nearSees.closed, sees.closed]), ['closed', 'closed']);
  listener.close();
});

test('refusals and resets are told', async () => {
  const network = new NodeNetwork();
  const listener = await network.listenTcp({ address: '127.0.0.1', port: 0 }, (far) => {
    watch(far);
    far.reset();
  });
  assert.equal(await watch(network.connectTcp(listener.local)).closed, 'reset');
  listener.close();
  const free = net.createServer().listen(0, '127.0.0.1');
  await new Promise((then) => free.once('listening', then));
  const { port } = free.address() as net.AddressInfo;
  await assert.rejects(
    network.listenTcp({ address: '127.0.0.1', port }, () => {}),
    { code: 'NETWORK' },
  );
  await new Promise((then) => free.close(then));
  assert.equal(await watch(network.connectTcp({ address: '127.0.0.1', port })).closed, 'refused');
});

test('UDP', async () => {
  const network = new NodeNetwork();
  const server = dgram.createSocket('udp4');
  server.on('message', (bytes, from) => server.send(Buffer.concat([bytes, bytes]), from.port, from.address));
  await new Promise<void>((then) => server.bind(0, '127.0.0.1', then));
  const socket = await network.bindUdp({ address: '0.0.0.0', port: 0 });
  const answer = new Promise<string>((then) => {
    socket.onMessage = (bytes, from) => then(`${Buffer.from(bytes)} ${from.address}`);
  });
  socket.send(Buffer.from('ab'), { address: '127.0.0.1', port: server.address().port });
  assert.equal(await answer, 'abab 127.0.0.1');
  await assert.rejects(network.bindUdp({ address: '127.0.0.1', port: server.address().port }), { code: 'NETWORK' });
  socket.close();
  server.close();
});

test('names and echoes', async () => {
  const network = new NodeNetwork();
  assert.deepEqual(await network.lookup('localhost', 4), ['127.0.0.1']);
  assert.deepEqual(await network.lookup('no-such-name.invalid', 4), []);
  // Where the host does not let us ask, that is the answer.
  assert.ok([true, undefined].includes(await network.ping('127.0.0.1', Buffer.from('hello'), 2000)));
});

/** A port on which nobody listens. */
async function deadPort(): Promise<number> {
  const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
  await new Promise<void>((then) => void socket.once('listening', then));
  const { port } = socket.address();
  await new Promise<void>((then) => void socket.close(then));
  return port;
}

test('a datagram that nobody takes is told, and of which partner it was', {
  skip: loadLinuxLibc() === undefined && 'not to be had here',
}, async () => {
  const network = new NodeNetwork();
  const answering = await network.bindUdp({ address: '127.0.0.1', port: 0 });
  answering.onMessage = (bytes, from) => answering.send(bytes, from);
  const socket = await network.bindUdp({ address: '0.0.0.0', port: 0 });
  const told: unknown[] = [];
  let answers = 0;
  socket.onError = (reason, to) => told.push([reason, to]);
  socket.onMessage = () => answers++;
  const dead = [await deadPort(), await deadPort()];
  for (let turn = 0; turn < 100 && (told.length < 2 || answers < 3); turn++) {
    for (const port of dead) if (turn % 20 === 0) socket.send(Buffer.from('x'), { address: '127.0.0.1', port });
    socket.send(Buffer.from('y'), { address: '127.0.0.1', port: answering.local.port });
    await new Promise((then) => setTimeout(then, 5));
  }
  assert.ok(answers >= 3);
  for (const port of dead)
    assert.ok(
      told.some((one) => isDeepStrictEqual(one, ['refused', { address: '127.0.0.1', port }])),
      JSON.stringify(told),
    );
  // The queue is empty: nothing wakes the event loop again and again.
  const before = process.cpuUsage();
  await new Promise((then) => setTimeout(then, 200));
  assert.ok(process.cpuUsage(before).user < 100_000);
  for (const each of [answering, socket]) each.close();
});
