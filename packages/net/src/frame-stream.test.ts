import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCable } from './cable.ts';
import { FrameStream } from './frame-stream.ts';
import { createRandom } from './testing/random.ts';

test('frames pass a stream cut at any place', () => {
  const random = createRandom(3);
  const sent = Array.from({ length: 200 }, () => Uint8Array.from({ length: 1 + random(3000) }, () => random(256)));
  const stream: number[] = [];
  const [outA, innerA] = createCable();
  const [outB, innerB] = createCable();
  let isFull = false;
  const a = new FrameStream({
    port: innerA,
    write: (bytes) => {
      stream.push(...bytes);
      return !isFull;
    },
    onBroken: assert.fail,
  });
  const b = new FrameStream({ port: innerB, write: () => true, onBroken: assert.fail });
  const got: Uint8Array[] = [];
  outB.receiver = {
    takesWork: true,
    send: (frame) => {
      got.push(frame.slice());
      return true;
    },
  };
  for (const frame of sent) assert.ok(outA.send(frame, undefined));
  for (let at = 0; at < stream.length; ) {
    const count = 1 + random(5000);
    b.push(Uint8Array.from(stream.slice(at, at + count)));
    at += count;
  }
  assert.deepEqual(got, sent);
  isFull = true;
  assert.ok(outA.send(sent[0], undefined));
  assert.ok(!outA.send(sent[0], undefined));
  let told = 0;
  outA.onRoom = () => told++;
  a.onDrain();
  assert.equal(told, 1);
});

test('a length that no frame has ends it', () => {
  const [, inner] = createCable();
  const reasons: string[] = [];
  const stream = new FrameStream({ port: inner, write: () => true, onBroken: (reason) => reasons.push(reason) });
  stream.push(Uint8Array.of(0, 0, 0, 0, 0xff, 0xff, 0xff));
  stream.push(Uint8Array.of(0xff, 1, 2, 3));
  assert.deepEqual(reasons, ['a frame of 4294967295 bytes was announced']);
  stream.push(new Uint8Array(100));
  assert.equal(reasons.length, 1);
});
