import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRandom } from '../testing/random.ts';
import { type LinkFaults, type TcpEndpoint, TcpPair } from '../testing/tcp-pair.ts';
import { TCP_FLAGS } from './tcp-segment.ts';

function randomBytes(byteCount: number, seed: number): Uint8Array {
  const random = createRandom(seed);
  return Uint8Array.from({ length: byteCount }, () => random(256));
}

/** A difference of large arrays takes minutes to be shown. */
function assertSame(actual: Uint8Array, expected: Uint8Array): void {
  assert.ok(Buffer.compare(actual, expected) === 0, `${actual.length} bytes, ${expected.length} expected`);
}

/** Writes all of it as there is room, in pieces of random sizes; ends afterwards. */
function pump(pair: TcpPair, from: TcpEndpoint, bytes: Uint8Array, isEnded = true): void {
  let at = 0;
  const go = (): void => {
    while (from.hasRoom && at < bytes.length) {
      const piece = bytes.subarray(at, at + 1 + pair.random(6000));
      at += piece.length;
      from.hasRoom = from.connection.write(piece);
    }
    if (at < bytes.length) pair.clock.after(1, go);
    else if (isEnded) from.connection.end();
  };
  go();
}

function connected(faults: LinkFaults = {}): TcpPair {
  const pair = new TcpPair(faults);
  pair.connect();
  assert.ok(pair.clock.runUntil(() => pair.a.isConnected && pair.b.isConnected, 100_000));
  return pair;
}

/** Sends random data both ways over a bad link and looks at what came, and at how it ended. */
function exchange(faults: LinkFaults, byteCount: number): TcpPair {
  const pair = connected(faults);
  const toB = randomBytes(byteCount, 1 + (faults.seed ?? 0));
  const toA = randomBytes(byteCount >> 1, 2 + (faults.seed ?? 0));
  pump(pair, pair.a, toB);
  pump(pair, pair.b, toA);
  const isDone = pair.clock.runUntil(() => pair.a.isForgotten && pair.b.isForgotten, 3_600_000);
  assert.ok(isDone, `a ${pair.a.connection.state} ${pair.a.receivedBytes}, b ${pair.b.connection.state} ${pair.b.receivedBytes}`);
  assertSame(pair.b.bytes, toB);
  assertSame(pair.a.bytes, toA);
  for (const end of [pair.a, pair.b]) {
    assert.ok(end.isEnded);
    assert.equal(end.closed, 'closed');
    assert.equal(end.closedCount, 1);
    assert.equal(end.connection.bufferedBytes, 0);
  }
  return pair;
}

describe('data arrives whole and in order', () => {
  test('over a good link, without a segment more than needed', () => {
    const pair = exchange({ seed: 1 }, 400_000);
    assert.equal(pair.sentPayloadBytes, 600_000);
  });
  const links: Record<string, LinkFaults> = {
    'that loses': { loss: 5 },
    'that loses much': { loss: 25 },
    'that reorders': { reorder: 30 },
    'that repeats': { repeat: 30 },
    'that does all of it': { loss: 5, reorder: 20, repeat: 10, refusal: 10 },
    'with large segments': { loss: 3, reorder: 5, largestPayload: 60_000 },
    'with small buffers': { loss: 3, reorder: 5, bufferBytes: 3000 },
    'with tiny segments': { loss: 3, mss: 88, largestPayload: 76 },
    'that is long': { loss: 1, delayMs: 200 },
  };
  for (const [name, faults] of Object.entries(links)) {
    test(`over a link ${name}`, () => {
      for (let seed = 10; seed < 14; seed++) exchange({ ...faults, seed }, 150_000);
    });
  }
  test('with a peer without options', () => {
    for (let seed = 20; seed < 24; seed++) exchange({ seed, loss: 5, reorder: 10, strip: withoutOptions }, 150_000);
  });
});

/** Cuts the options off a SYN. */
function withoutOptions(segment: Uint8Array): Uint8Array {
  if ((segment[13] & TCP_FLAGS.syn) === 0) return segment;
  const plain = segment.slice(0, 20);
  plain[12] = 5 << 4;
  return plain;
}

test('the loss of one segment costs one retransmission and no timeout', () => {
  const pair = connected();
  let dropped = 0;
  let sent = 0;
  pair.onSegment = (from, segment) => {
    if (from !== 'a' || segment.payloadBytes === 0) return true;
    return !(++sent === 20 && dropped++ === 0);
  };
  const startMs = pair.clock.nowMs();
  pump(pair, pair.a, randomBytes(300_000, 3), false);
  assert.ok(pair.clock.runUntil(() => pair.b.receivedBytes === 300_000, 10_000));
  assert.equal(dropped, 1);
  assert.ok(pair.sentPayloadBytes <= 300_000 + 1448);
  assert.ok(pair.clock.nowMs() - startMs < 100);
});

test('a reader that stops closes the window, and opens it when it goes on', () => {
  const pair = connected();
  const bytes = randomBytes(1_000_000, 4);
  pair.b.pauseAfter = 100_000;
  pump(pair, pair.a, bytes);
  pair.clock.advance(300_000);
  assert.ok(pair.b.receivedBytes < 105_000);
  assert.ok(pair.b.connection.bufferedBytes <= 256 * 1024);
  assert.ok(pair.a.connection.bufferedBytes <= 256 * 1024 + 6000);
  assert.equal(pair.a.closed, undefined);
  pair.b.pauseAfter = Number.POSITIVE_INFINITY;
  pair.b.connection.resume();
  assert.ok(pair.clock.runUntil(() => pair.b.isEnded, 10_000));
  assertSame(pair.b.bytes, bytes);
});

test('a window update that is lost is asked for', () => {
  const pair = connected();
  pair.b.pauseAfter = 1;
  pump(pair, pair.a, randomBytes(600_000, 5), false);
  pair.clock.advance(5000);
  pair.onSegment = (from) => from !== 'b';
  pair.b.pauseAfter = Number.POSITIVE_INFINITY;
  pair.b.connection.resume();
  pair.clock.advance(10);
  pair.onSegment = undefined;
  assert.ok(pair.clock.runUntil(() => pair.b.receivedBytes === 600_000, 60_000));
});

test('half-close: the other way goes on', () => {
  const pair = connected();
  pair.a.connection.end();
  assert.ok(pair.clock.runUntil(() => pair.b.isEnded, 1000));
  assert.equal(pair.b.connection.state, 'close-wait');
  pair.clock.advance(50_000);
  assert.equal(pair.a.connection.state, 'fin-wait-2');
  const late = randomBytes(100_000, 6);
  pump(pair, pair.b, late);
  assert.ok(pair.clock.runUntil(() => pair.a.isEnded, 1000));
  assertSame(pair.a.bytes, late);
  assert.equal(pair.a.connection.state, 'time-wait');
  pair.clock.advance(20_000);
  assert.ok(pair.a.isForgotten && pair.b.isForgotten);
});

test('both end at the same time', () => {
  const pair = connected();
  pair.a.connection.end();
  pair.b.connection.end();
  pair.clock.advance(1);
  assert.deepEqual([pair.a.connection.state, pair.b.connection.state], ['closing', 'closing']);
  pair.clock.advance(1);
  assert.deepEqual([pair.a.connection.state, pair.b.connection.state], ['time-wait', 'time-wait']);
});

test('both open at the same time', () => {
  const pair = new TcpPair();
  pair.a.connection.connect();
  pair.b.connection.connect();
  assert.ok(pair.clock.runUntil(() => pair.a.isConnected && pair.b.isConnected, 5000));
  pump(pair, pair.a, randomBytes(10_000, 7));
  pump(pair, pair.b, randomBytes(10_000, 8));
  assert.ok(pair.clock.runUntil(() => pair.a.isEnded && pair.b.isEnded, 5000));
});

test('a peer that has gone is noticed', () => {
  const idle = connected();
  idle.setFaults({ loss: 100 });
  idle.clock.advance(600_000);
  assert.equal(idle.a.closed, 'timeout');
  const sending = connected();
  sending.setFaults({ loss: 100 });
  sending.a.connection.write(new Uint8Array(10));
  sending.clock.advance(600_000);
  assert.equal(sending.a.closed, 'timeout');
  const opening = new TcpPair({ loss: 100 });
  opening.connect();
  opening.clock.advance(600_000);
  assert.equal(opening.a.closed, 'timeout');
});

test('an idle connection stays', () => {
  const pair = connected();
  pair.clock.advance(7_200_000);
  assert.deepEqual([pair.a.connection.state, pair.b.connection.state], ['established', 'established']);
});

test('an abort resets the other side', () => {
  const pair = connected();
  pair.a.connection.abort();
  pair.clock.advance(10);
  assert.deepEqual([pair.a.closed, pair.b.closed], ['closed', 'reset']);
});

test('what the slow user has not taken yet survives the end of the connection', () => {
  const pair = connected();
  const bytes = randomBytes(50_000, 9);
  pair.b.pauseAfter = 1;
  pump(pair, pair.a, bytes);
  pair.b.connection.end();
  pair.clock.advance(100_000);
  assert.equal(pair.b.closed, undefined);
  pair.b.pauseAfter = Number.POSITIVE_INFINITY;
  pair.b.connection.resume();
  pair.clock.advance(100_000);
  assertSame(pair.b.bytes, bytes);
  assert.equal(pair.b.closed, 'closed');
});

describe('blind attacks (RFC 5961)', () => {
  /** A segment for A with B's next sequence number plus `offset`. */
  function forged(pair: TcpPair, flags: number, offset: number): { bytes: Uint8Array; answers: number } {
    let next = 0;
    let acknowledgment = 0;
    pair.onSegment = (from, segment) => {
      if (from === 'a') {
        next = segment.acknowledgment;
        acknowledgment = segment.sequence;
      }
      return true;
    };
    pair.b.connection.write(new Uint8Array(3000));
    pair.clock.advance(1000);
    const bytes = new Uint8Array(20);
    const view = new DataView(bytes.buffer);
    view.setUint32(4, next + offset);
    view.setUint32(8, acknowledgment);
    bytes[12] = 5 << 4;
    bytes[13] = flags;
    view.setUint16(14, 1000);
    const before = pair.sentCount;
    pair.inject('a', bytes);
    return { bytes, answers: pair.sentCount - before };
  }
  test('a reset counts only at the very next byte', () => {
    const inside = connected();
    assert.equal(forged(inside, TCP_FLAGS.rst, 100).answers, 1);
    assert.equal(inside.a.closed, undefined);
    const outside = connected();
    assert.equal(forged(outside, TCP_FLAGS.rst, -10).answers, 0);
    assert.equal(outside.a.closed, undefined);
    const exact = connected();
    forged(exact, TCP_FLAGS.rst, 0);
    assert.equal(exact.a.closed, 'reset');
  });
  test('a SYN changes nothing', () => {
    const pair = connected();
    assert.equal(forged(pair, TCP_FLAGS.syn, 5).answers, 1);
    assert.equal(pair.a.connection.state, 'established');
  });
  test('an acknowledgment of what was never sent is not believed', () => {
    const pair = connected();
    forged(pair, TCP_FLAGS.ack, 0);
    pair.b.connection.write(new Uint8Array(10));
    pair.clock.advance(100);
    assert.equal(pair.a.connection.state, 'established');
  });
});
