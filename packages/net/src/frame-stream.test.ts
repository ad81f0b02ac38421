import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCable } from './cable.ts';
import type { FrameWork } from './frame-port.ts';
import { FrameStream } from './frame-stream.ts';
import { ethernet, ip, MAC_A, MAC_B, tcp } from './testing/frames.ts';
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

/** Two streams that are joined, with the machines' ends of their cables and what the processes said to each other. */
function pair(isOurs: boolean) {
  const [outA, innerA] = createCable();
  const [outB, innerB] = createCable();
  const texts: string[] = [];
  const onText = isOurs ? (text: string): void => void texts.push(text) : undefined;
  const sent: Uint8Array[] = [];
  const a: FrameStream = new FrameStream({
    port: innerA,
    write: (bytes) => (b.push(bytes), sent.push(bytes.slice()), true),
    onBroken: assert.fail,
    onText,
  });
  const b: FrameStream = new FrameStream({ port: innerB, write: (bytes) => (a.push(bytes), true), onBroken: assert.fail, onText });
  return { outA, outB, a, b, texts, sent };
}

test('between our own processes work is left to do, and texts are no frames', () => {
  const { outA, outB, a, b, texts, sent } = pair(true);
  const got: [number, FrameWork | undefined][] = [];
  let takesWork = true;
  outB.receiver = {
    get takesWork() {
      return takesWork;
    },
    send: (frame, work) => (got.push([frame.length, work]), true),
  };
  const payload = new Uint8Array(20 + 3000);
  payload.set(tcp({ fromPort: 1, toPort: 2, sequence: 1, flags: 16, payload: new Uint8Array(3000) }));
  const frame = ethernet(MAC_B, MAC_A, 0x800, ip({ from: '10.0.2.15', to: '10.0.2.2', protocol: 6, payload }));
  const work: FrameWork = {
    checksum: { start: 34, offset: 16 },
    segments: { kind: 'tcp4', segmentBytes: 1460, headerBytes: 54, hasEcn: false },
  };
  assert.equal(outA.takesWork, false);
  outA.send(frame, work);
  assert.deepEqual(
    got.splice(0).map(([byteCount]) => byteCount),
    [1514, 1514, 134],
  );
  b.say('hello');
  a.say('you');
  assert.deepEqual(texts, ['hello', 'you']);
  assert.equal(outA.takesWork, true);
  outA.send(frame, work);
  assert.deepEqual(got.splice(0), [[frame.length, work]]);
  takesWork = false;
  outA.send(frame, work);
  assert.equal(got.splice(0).length, 3);
  // Work that does not fit its frame is rubbish.
  const wrong = sent.at(-1)!;
  wrong[4 + 6] = 0xff;
  b.push(wrong);
  b.push(Uint8Array.of(0x80, 0, 0, 2, 1, 1));
  assert.equal(got.length, 0);
});

test("QEMU's peers get and send nothing of that", () => {
  const reasons: string[] = [];
  const stream = new FrameStream({ port: createCable()[0], write: () => true, onBroken: (reason) => reasons.push(reason) });
  stream.push(Uint8Array.of(0xc0, 0, 0, 1, 65));
  assert.equal(reasons.length, 1);
});
