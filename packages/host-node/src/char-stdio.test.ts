import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { CharStdio, type InputStream, type OutputStream } from './char-stdio.ts';

/** A terminal's two streams, without a terminal. */
function terminal(isTTY: boolean) {
  const raw: boolean[] = [];
  const flow: string[] = [];
  const input = Object.assign(new EventEmitter(), {
    isTTY,
    setRawMode: (on: boolean) => raw.push(on),
    pause: () => flow.push('pause'),
    resume: () => flow.push('resume'),
  });
  const written: number[] = [];
  let room = true;
  const output = Object.assign(new EventEmitter(), {
    write: (bytes: Uint8Array, done?: () => void) => {
      written.push(...bytes);
      if (done !== undefined) setImmediate(done);
      return room;
    },
  });
  const setRoom = (has: boolean): void => {
    room = has;
  };
  return { input: input as typeof input & InputStream, output: output as typeof output & OutputStream, raw, flow, written, setRoom };
}

const readAll = (s: CharStdio): string => {
  let text = '';
  while (s.available > 0) text += String.fromCharCode(s.read());
  return text;
};

test('the terminal is raw while open, and given back', async () => {
  const t = terminal(true);
  const stdio = new CharStdio(t);
  stdio.open();
  assert.deepEqual(t.raw, [true]);
  const listeners = process.listenerCount('exit');
  await stdio.close();
  assert.deepEqual(t.raw, [true, false]);
  assert.equal(process.listenerCount('exit'), listeners - 1);
});

test('Ctrl-A is the escape key, also when its two keys arrive apart', () => {
  const t = terminal(true);
  const keys: string[] = [];
  const stdio = new CharStdio({ ...t, onEscape: (key) => keys.push(key) });
  stdio.open();
  let inputs = 0;
  stdio.onInput = () => inputs++;
  t.input.emit('data', Buffer.from('ab\x01Xc\x01'));
  t.input.emit('data', Buffer.from('h\x01a\x01\x01\x01c'));
  assert.equal(readAll(stdio), 'abc\x01\x01');
  assert.deepEqual(keys, ['x', 'h', 'c']);
  assert.equal(inputs, 2);
});

test('a pipe has no escape key, is read to its end, and is held back while the guest does not read', () => {
  const t = terminal(false);
  let ended = false;
  const stdio = new CharStdio({
    ...t,
    onEnd: () => {
      ended = true;
    },
  });
  stdio.open();
  t.input.emit('data', Buffer.from('\x01x'));
  assert.equal(readAll(stdio), '\x01x');
  t.input.emit('data', Buffer.alloc(70_000, 0x61));
  assert.equal(t.flow.at(-1), 'pause');
  assert.equal(readAll(stdio).length, 70_000);
  assert.equal(t.flow.at(-1), 'resume');
  t.input.emit('end');
  assert.ok(ended);
  assert.deepEqual(t.raw, []);
});

test('output leaves in order, all of it by the time close resolves', async () => {
  const t = terminal(false);
  const stdio = new CharStdio(t);
  const sent = Array.from({ length: 50_000 }, (_, i) => i & 0xff);
  for (const byte of sent) assert.ok(stdio.write(byte));
  await stdio.close();
  assert.deepEqual(t.written, sent);
});

test('a full pipe makes the guest wait, a broken one does not', () => {
  const t = terminal(false);
  const stdio = new CharStdio(t);
  t.setRoom(false);
  let taken = 0;
  while (taken < 100_000 && stdio.write(0x62)) taken++;
  assert.ok(taken < 100_000);
  let drained = 0;
  stdio.onDrain = () => drained++;
  t.setRoom(true);
  t.output.emit('drain');
  assert.equal(drained, 1);
  t.output.emit('error', new Error('EPIPE'));
  for (let i = 0; i < 100_000; i++) assert.ok(stdio.write(0x63));
});
