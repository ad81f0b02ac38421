import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TcpFlow } from '../tcp/tcp-flow.ts';
import type { DnsForwarder } from './dns-forwarder.ts';
import { DnsOverTcp } from './dns-over-tcp.ts';

/** A connection that takes `room` bytes. */
function dns(room: number, ask: (question: Uint8Array, answer: (bytes: Uint8Array) => void) => void) {
  const seen = { asked: 0, written: 0, aborted: 0, isPaused: false };
  const connection = {
    state: 'established',
    write: (bytes: Uint8Array) => {
      seen.written += bytes.length;
      return seen.written < room;
    },
    pause: () => (seen.isPaused = true),
    resume: () => (seen.isPaused = false),
    abort: () => seen.aborted++,
    end: () => {},
  };
  const forwarder = {
    ask: (question: Uint8Array, _isTcp: boolean, answer: (bytes: Uint8Array) => void) => {
      seen.asked++;
      ask(question, answer);
    },
  };
  const handler = new DnsOverTcp({ connection } as unknown as TcpFlow, forwarder as unknown as DnsForwarder);
  return { seen, handler };
}

/** Questions of `byteCount` bytes each, with their lengths. */
const questions = (count: number, byteCount: number): Uint8Array =>
  Uint8Array.from({ length: count * (2 + byteCount) }, (_, i) => (i % (2 + byteCount) === 1 ? byteCount : 0));

test('thousands of questions that are answered at once', () => {
  const { seen, handler } = dns(Number.POSITIVE_INFINITY, (question, answer) => answer(question.slice()));
  handler.onData(questions(4600, 12));
  assert.deepEqual(seen, { asked: 4600, written: 4600 * 14, aborted: 0, isPaused: false });
});

test('nothing is asked for somebody who does not take the answers', () => {
  const { seen, handler } = dns(3000, (_, answer) => answer(new Uint8Array(998)));
  handler.onData(questions(100, 20));
  assert.deepEqual([seen.asked, seen.written, seen.isPaused], [3, 3000, true]);
  seen.written = 0;
  handler.onRoom();
  assert.deepEqual([seen.asked, seen.written], [6, 3000]);
});
