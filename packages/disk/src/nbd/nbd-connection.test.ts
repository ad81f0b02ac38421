import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NbdConnection } from './nbd-connection.ts';
import { CHUNK, CHUNK_HEAD, COMMAND, STRUCTURED_REPLY_MAGIC } from './nbd-protocol.ts';

test('a server that tells of the same blocks again and again is let go', async () => {
  const cookie = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1);
  const payload = Uint8Array.from({ length: 4 + 8 * 1024 }, (_, i) => (i === 3 || i % 8 === 7 ? 1 : 0));
  const head = CHUNK_HEAD.encode({ magic: STRUCTURED_REPLY_MAGIC, flags: 0, type: CHUNK.blockStatus, cookie, byteCount: payload.length });
  const answer = Buffer.concat([head, payload, head, payload]);
  let at = 0;
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const stream = {
    peer: 'the server',
    read: async (into: Uint8Array) => {
      await asked;
      if (at + into.length > answer.length) return false;
      into.set(answer.subarray(at, at + into.length));
      at += into.length;
      return true;
    },
    write: async () => ask(),
    close: () => {},
  };
  const terms = { hasStructuredReplies: true, hasExtendedHeaders: false, allocationId: 1 };
  const exported = { byteCount: 1 << 30, flags: 0, minBlockBytes: 1, maxPayloadBytes: 1 << 20 };
  const connection = new NbdConnection(stream, { ...terms, ...exported });
  await assert.rejects(connection.request({ command: COMMAND.blockStatus, offset: 0, byteCount: 1 << 30 }), { message: /twice/ });
});
