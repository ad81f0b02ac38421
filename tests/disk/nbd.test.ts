import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ByteStream } from '@anillo/disk/nbd/byte-stream';
import { bytePipe } from '@anillo/disk/nbd/byte-pipe';
import { ClientHandshake } from '@anillo/disk/nbd/client-handshake';
import { NbdConnection } from '@anillo/disk/nbd/nbd-connection';
import { COMMAND, COMMAND_FLAG, EXPORT_FLAG, OPTION, OPTION_REPLY_HEAD } from '@anillo/disk/nbd/nbd-protocol';
import { NbdExport, serveNbd } from '@anillo/disk/nbd/nbd-server';
import type { NbdStore } from '@anillo/disk/nbd/nbd-store';
import type { Disk } from '@anillo/disk/disk';
import { MemoryStore } from '@anillo/disk/memory-store';
import { RAW } from '@anillo/disk/raw';
import { connectToDisk, pipeHost } from './nbd-pair.ts';
import { TEST_HOST } from './qemu-image.ts';
import { randomBytes, seededRandom } from './random.ts';

const SIZE = 1 << 20;

const rawDisk = async (byteCount = SIZE): Promise<Disk> => {
  const store = new MemoryStore('memory');
  await store.resize(byteCount);
  return RAW.open(store, { isReadOnly: false }, TEST_HOST);
};

/** Random requests of any place and length, several at once, compared with an array. */
async function compareStore(store: NbdStore, steps: number, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const model = new Uint8Array(SIZE);
  for (let step = 0; step < steps; step++) {
    // Quarters of the disk, so that what is under way at once does not overlap.
    await Promise.all(
      [0, 1, 2, 3].map(async (quarter) => {
        const offset = (quarter * SIZE) / 4 + Math.floor(random() * (SIZE / 4));
        const byteCount = Math.min(((quarter + 1) * SIZE) / 4 - offset, Math.floor(random() ** 3 * 50_000));
        const kind = random();
        if (kind < 0.4) {
          const bytes = randomBytes(4 * Math.ceil(byteCount / 4), random).subarray(0, byteCount);
          model.set(bytes, offset);
          await store.write(offset, [bytes.subarray(0, 7), bytes.subarray(7)]);
        } else if (kind < 0.5) {
          model.fill(0, offset, offset + byteCount);
          await store.writeZeroes(offset, byteCount);
        } else if (kind < 0.6) {
          for (const stretch of await store.stretches(offset, byteCount))
            assert.ok(!stretch.isHole || model.subarray(stretch.offset, stretch.offset + stretch.byteCount).every((byte) => byte === 0));
        } else {
          const bytes = new Uint8Array(byteCount).fill(0xaa);
          await store.read(offset, [bytes.subarray(0, 5), bytes.subarray(5)]);
          assert.equal(Buffer.compare(bytes, model.subarray(offset, offset + byteCount)), 0);
        }
      }),
    );
    if (step % 20 === 0) await store.flush();
  }
}

/** In an option's number: nobody knows it. */
const STRANGE = 0x7f;

/** Answers an option as unknown, which leaves the client with less. */
function refusing(stream: ByteStream, refused: readonly number[]): ByteStream {
  let left = true;
  return {
    ...{ peer: stream.peer, close: () => stream.close() },
    async read(into) {
      const isThere = await stream.read(into);
      if (left && into.length === OPTION_REPLY_HEAD.byteCount && into[8] === STRANGE) into[8] = 0;
      return isThere;
    },
    write(from) {
      const [head] = from;
      if (left && head.length === 16) {
        const view = new DataView(head.buffer, head.byteOffset, 16);
        if (refused.includes(view.getUint32(8)))
          return stream.write([
            head.slice(0, 8),
            Uint8Array.of(STRANGE, 0, 0, view.getUint32(8)),
            ...from.map((b, i) => (i === 0 ? b.subarray(12) : b)),
          ]);
        if (view.getUint32(8) === OPTION.go) left = false;
      }
      return stream.write(from);
    },
  };
}

test('any reads and writes give what an array would', async () => {
  const host = pipeHost(await rawDisk());
  const store = await connectToDisk(host);
  assert.equal(await store.size(), SIZE);
  await compareStore(store, 150, 1);
  await store.close();
  assert.equal(host.connections, 1);
});

test('reads behind the end give zeros, writes there are refused', async () => {
  const store = await connectToDisk(pipeHost(await rawDisk()));
  await store.write(SIZE - 4, [Uint8Array.of(1, 2, 3, 4)]);
  const bytes = new Uint8Array(8).fill(9);
  await store.read(SIZE - 4, [bytes]);
  assert.deepEqual([...bytes], [1, 2, 3, 4, 0, 0, 0, 0]);
  await assert.rejects(store.write(SIZE - 4, [bytes]), { code: 'NETWORK', message: /does not grow/ });
  await assert.rejects(store.resize(2 * SIZE), { code: 'UNSUPPORTED' });
});

test('exports for reading only', async () => {
  const host = pipeHost(await rawDisk(), undefined, true);
  await assert.rejects(connectToDisk(host), { code: 'NETWORK', message: /for reading only/ });
  const store = await connectToDisk(host, true);
  await assert.rejects(store.write(0, [new Uint8Array(1)]), { code: 'NETWORK' });
});

test('a connection that is lost is made again, and requests under way with it', async () => {
  let left = 40;
  const host = pipeHost(await rawDisk(), (stream) => ({
    ...{ peer: stream.peer, read: (into) => stream.read(into), close: () => stream.close() },
    async write(from) {
      if (--left === 0) {
        left = 60;
        stream.close();
      }
      await stream.write(from);
    },
  }));
  const store = await connectToDisk(host);
  await compareStore(store, 40, 2);
  assert.ok(host.connections > 2, `${host.connections} connections`);
});

test('a connection that does not come back fails what waits for it', async () => {
  const host = pipeHost(await rawDisk());
  let stream: ByteStream | undefined;
  let isGone = false;
  const { NbdStore } = await import('@anillo/disk/nbd/nbd-store');
  const failing = {
    connect: async () => {
      if (isGone) throw new (await import('@anillo/base/anillo-error')).AnilloError('NETWORK', 'refused');
      stream = await host.connect();
      return stream;
    },
    sleep: host.sleep,
  };
  const store = await NbdStore.connect(failing, { name: 'nbd:test', exportName: 'disk', isReadOnly: false, reconnectMs: 300 });
  isGone = true;
  stream!.close();
  await assert.rejects(store.read(0, [new Uint8Array(1)]), { code: 'NETWORK', message: /does not come back/ });
});

interface Raw {
  readonly connection: NbdConnection;
  readonly done: Promise<void>;
}

async function rawConnection(disk: Disk, wrap: (stream: ByteStream) => ByteStream = (stream) => stream): Promise<Raw> {
  const [here, there] = bytePipe();
  const done = serveNbd(there, { exports: [new NbdExport({ name: '', disk })] });
  const stream = wrap(here);
  const handshake = new ClientHandshake(stream);
  await handshake.begin(false);
  return { connection: new NbdConnection(stream, await handshake.choose('')), done };
}

test('servers that know less: without extended headers, structured replies, GO', async () => {
  const { extendedHeaders, structuredReply, go } = OPTION;
  for (const refused of [[], [extendedHeaders], [extendedHeaders, structuredReply], [extendedHeaders, structuredReply, go]]) {
    const host = pipeHost(await rawDisk(), (stream) => refusing(stream, refused));
    const store = await connectToDisk(host);
    await compareStore(store, 20, 3);
    await store.close();
    const { connection, done } = await rawConnection(await rawDisk(), (stream) => refusing(stream, refused));
    const { hasExtendedHeaders, hasStructuredReplies, flags } = connection.terms;
    assert.deepEqual([hasExtendedHeaders, hasStructuredReplies], [refused.length < 1, refused.length < 2]);
    assert.equal((flags & EXPORT_FLAG.dontFragment) !== 0, hasStructuredReplies);
    connection.close();
    await done;
  }
});

test('requests that no server has to do are refused, and the connection lives on', async () => {
  const { connection, done } = await rawConnection(await rawDisk());
  const refuse = (request: Parameters<NbdConnection['request']>[0], name: RegExp) =>
    assert.rejects(connection.request(request), { code: 'NETWORK', message: name });
  const none = new Uint8Array(512);
  await refuse({ command: COMMAND.read, offset: SIZE - 256, byteCount: 512, into: none }, /EINVAL/);
  await refuse({ command: COMMAND.write, offset: SIZE, byteCount: 512, payload: [none] }, /ENOSPC/);
  await refuse({ command: COMMAND.read, offset: 2 ** 60, byteCount: 512, into: none }, /EINVAL/);
  await refuse({ command: 77, offset: 0, byteCount: 0 }, /EINVAL/);
  await refuse({ command: COMMAND.trim, flags: COMMAND_FLAG.dontFragment, offset: 0, byteCount: 512 }, /EINVAL/);
  await refuse({ command: COMMAND.blockStatus, offset: 0, byteCount: 0 }, /EINVAL/);
  await connection.request({ command: COMMAND.write, flags: COMMAND_FLAG.fua, offset: 3, byteCount: 2, payload: [Uint8Array.of(7, 8)] });
  await refuse({ command: COMMAND.writeZeroes, flags: COMMAND_FLAG.fastZero | COMMAND_FLAG.noHole, offset: 0, byteCount: 512 }, /ENOTSUP/);
  await connection.request({ command: COMMAND.trim, offset: 1, byteCount: 700 });
  await connection.request({ command: COMMAND.cache, offset: 0, byteCount: SIZE });
  await connection.request({ command: COMMAND.read, flags: COMMAND_FLAG.dontFragment, offset: 2, byteCount: 512, into: none });
  assert.deepEqual([...none.subarray(0, 4)], [0, 7, 8, 0]);
  connection.close();
  await done;
});

test('what the host fails at is an error of the request', async () => {
  const { AnilloError } = await import('@anillo/base/anillo-error');
  const disk = await rawDisk();
  const full = Object.assign(new Error('full'), { code: 'ENOSPC' });
  disk.write = () => Promise.reject(new AnilloError('FILE', 'The disk is full.', { cause: full }));
  disk.read = () => Promise.reject(new AnilloError('BAD_IMAGE', 'The image is damaged.'));
  const store = await connectToDisk(pipeHost(disk));
  await assert.rejects(store.write(0, [new Uint8Array(512)]), { message: /ENOSPC: The disk is full/ });
  await assert.rejects(store.read(0, [new Uint8Array(512)]), { message: /EIO: The image is damaged/ });
});
