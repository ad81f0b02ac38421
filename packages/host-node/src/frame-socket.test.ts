import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createCable } from '@anillo/net/cable';
import type { FramePort } from '@anillo/net/frame-port';
import { Switch } from '@anillo/net/switch';
import { bindFrameDatagrams, connectFrameSocket, listenForFrames } from './frame-socket.ts';
import { networkClock } from './network-clock.ts';

/** A machine's end: what has come to it, and a promise of the next. */
function station(port: FramePort) {
  const got: string[] = [];
  let wake: () => void = () => {};
  port.receiver = {
    takesWork: true,
    send: (frame) => {
      got.push(Buffer.from(frame.subarray(14)).toString());
      wake();
      return true;
    },
  };
  const next = async (): Promise<string> => {
    while (got.length === 0) await new Promise<void>((then) => (wake = then));
    return got.shift()!;
  };
  return {
    next,
    send: (text: string) =>
      port.send(Buffer.concat([Buffer.alloc(6, 0xff), Buffer.from([2, 0, 0, 0, 0, 1, 0x88, 0xb5]), Buffer.from(text)]), undefined),
  };
}

test('two switches over a Unix socket', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-frames-'));
  try {
    const [first, second] = [new Switch({ clock: networkClock }), new Switch({ clock: networkClock })];
    const a = station(first.addPort().outer);
    const b = station(second.addPort().outer);
    const trunks = new Map<FramePort, ReturnType<Switch['addPort']>>();
    const place = { path: join(folder, 'net') };
    const gone = Promise.withResolvers<void>();
    const server = await listenForFrames(
      place,
      () => {
        const port = first.addPort();
        trunks.set(port.outer, port);
        return port.outer;
      },
      (port) => {
        first.removePort(trunks.get(port)!);
        gone.resolve();
      },
    );
    const link = await connectFrameSocket(place, second.addPort().outer);
    b.send('hello');
    assert.equal(await a.next(), 'hello');
    a.send('x'.repeat(30_000));
    assert.equal((await b.next()).length, 30_000);
    link.close();
    await gone.promise;
    assert.equal(first.ports.size, 1);
    server.close();
    await assert.rejects(connectFrameSocket({ path: join(folder, 'nobody') }, createCable()[0]), { code: 'NETWORK' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('frames as datagrams', async () => {
  const [outerA, innerA] = createCable();
  const [outerB, innerB] = createCable();
  const places = [
    { address: '127.0.0.1', port: 20_000 + (process.pid % 20_000) },
    { address: '127.0.0.1', port: 40_001 + (process.pid % 20_000) },
  ];
  const a = await bindFrameDatagrams(places[0], places[1], innerA);
  const b = await bindFrameDatagrams(places[1], places[0], innerB);
  const [left, right] = [station(outerA), station(outerB)];
  left.send('to the right');
  assert.equal(await right.next(), 'to the right');
  right.send('to the left');
  assert.equal(await left.next(), 'to the left');
  a.close();
  b.close();
  await Promise.all([a.ended, b.ended]);
});
