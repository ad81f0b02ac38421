// Hostile peers of NBD: each case is a connection on which one side keeps to the protocol and what comes from the other is changed on its way, cut, or made up. Nothing but AnilloError may come
// of it; each side comes to an end; the server's disk keeps working for others.

import { AnilloError } from '@anillo/base/anillo-error';
import { MemoryStore } from '@anillo/disk/memory-store';
import { bytePipe } from '@anillo/disk/nbd/byte-pipe';
import type { ByteStream } from '@anillo/disk/nbd/byte-stream';
import { COMMAND, EXTENDED_REQUEST_HEAD, EXTENDED_REQUEST_MAGIC, REQUEST_HEAD, REQUEST_MAGIC } from '@anillo/disk/nbd/nbd-protocol';
import { NbdExport, serveNbd } from '@anillo/disk/nbd/nbd-server';
import { NbdStore } from '@anillo/disk/nbd/nbd-store';
import { RAW } from '@anillo/disk/raw';
import type { Disk } from '@anillo/disk/disk';
import { TEST_HOST } from './qemu-image.ts';
import { randomBytes, seededRandom } from './random.ts';

export interface NbdFuzzReport {
  readonly cases: number;
  /** Cases in which the client came to have a disk. */
  readonly connected: number;
  readonly failures: readonly { readonly seed: number; readonly error: unknown }[];
  readonly slowestMs: number;
}

const SIZE = 1 << 18;
const MAX_MS = 4000;

const INTERESTING = [0, 1, 2, 7, 0x7f, 0x80, 0xff];

/** Changes some of what is read from a stream. */
function changing(stream: ByteStream, random: () => number): ByteStream {
  // Mostly far enough apart for something to come before.
  let left = Math.floor(random() ** 2 * 3000);
  return {
    ...{ peer: stream.peer, write: (from) => stream.write(from), close: () => stream.close() },
    async read(into) {
      const isThere = await stream.read(into);
      if (!isThere) return false;
      for (; left < into.length; left += 1 + Math.floor(random() ** 2 * 3000)) {
        const kind = random();
        if (kind < 0.4) into[left] = random() * 256;
        else if (kind < 0.8) into[left] = INTERESTING[Math.floor(random() * INTERESTING.length)];
        else if (kind < 0.9) into.set(randomBytes(8, random).subarray(0, into.length - left), left);
        else if (kind < 0.93) {
          stream.close();
          return false;
        }
      }
      left -= into.length;
      return true;
    },
  };
}

/** Requests that a client of ours would not make, after a handshake that is right. */
async function madeUpRequests(stream: ByteStream, random: () => number, isExtended: boolean): Promise<void> {
  const layout = isExtended ? EXTENDED_REQUEST_HEAD : REQUEST_HEAD;
  const magic = isExtended ? EXTENDED_REQUEST_MAGIC : REQUEST_MAGIC;
  const commands = [...Object.values(COMMAND).filter((command) => command !== COMMAND.disconnect), 8, 9, 0xffff];
  for (let n = 0; n < 12; n++) {
    const head = new Uint8Array(layout.byteCount);
    const command = commands[Math.floor(random() * commands.length)];
    const byteCount = [0, 1, 512, 4096, 65536, SIZE, 2 ** 31, 2 ** 32 - 1][Math.floor(random() ** 2 * 8)];
    const offset = [0, 1, 511, 4096, SIZE - 512, SIZE, 2 ** 53, 2 ** 64][Math.floor(random() * 8)];
    layout.encodeInto(head, 0, {
      magic,
      command,
      byteCount,
      offset,
      cookie: randomBytes(8, random),
      flags: random() < 0.6 ? 0 : 1 << (random() * 8),
    });
    const payload = command === COMMAND.write && random() < 0.9 ? new Uint8Array(Math.min(byteCount, SIZE)) : new Uint8Array(0);
    await stream.write([head, payload]);
  }
}

async function useStore(store: NbdStore, random: () => number): Promise<void> {
  const work: Promise<unknown>[] = [];
  for (let n = 0; n < 8; n++) {
    const offset = Math.floor(random() * SIZE);
    const byteCount = Math.min(SIZE - offset, Math.floor(random() ** 2 * 20_000));
    const kind = random();
    if (kind < 0.4) work.push(store.read(offset, [new Uint8Array(byteCount)]));
    else if (kind < 0.7) work.push(store.write(offset, [new Uint8Array(byteCount)]));
    else if (kind < 0.8) work.push(store.writeZeroes(offset, byteCount));
    else if (kind < 0.9) work.push(store.stretches(offset, byteCount));
    else work.push(store.flush());
  }
  for (const outcome of await Promise.allSettled(work))
    if (outcome.status === 'rejected' && !(outcome.reason instanceof AnilloError)) throw outcome.reason;
}

async function drain(stream: ByteStream): Promise<void> {
  const piece = new Uint8Array(1);
  try {
    while (await stream.read(piece));
  } catch (error) {
    if (!(error instanceof AnilloError)) throw error;
  }
}

async function oneCase(disk: Disk, random: () => number): Promise<boolean> {
  const [here, there] = bytePipe();
  const changesClient = random() < 0.5;
  const serverStream = changesClient ? changing(there, random) : there;
  const serving = serveNbd(serverStream, { exports: [new NbdExport({ name: 'disk', disk, isReadOnly: random() < 0.2 })] });
  const clientStream = changesClient || random() < 0.1 ? here : changing(here, random);
  let isConnected = false;
  let waiting: (() => void)[] = [];
  try {
    const host = {
      connect: async () => clientStream,
      // Nothing goes on any more when the event loop has come to its end: what waits is told that its time is over.
      sleep: () => new Promise<void>((over) => waiting.push(over)),
    };
    const quiet = setTimeout(() => {
      here.close();
      for (const over of waiting) over();
      waiting = [];
    }, 50);
    try {
      const store = await NbdStore.connect(host, { name: 'nbd', exportName: 'disk', isReadOnly: random() < 0.3, reconnectMs: 0 });
      isConnected = true;
      if (random() < 0.3) await madeUpRequests(here, random, random() < 0.8);
      else await useStore(store, random);
      await store.close();
    } finally {
      clearTimeout(quiet);
      for (const over of waiting) over();
    }
  } catch (error) {
    if (!(error instanceof AnilloError)) throw error;
  }
  here.close();
  await serving;
  await drain(here);
  return isConnected;
}

/** Case n of a seed is the same whatever runs before it. */
export async function fuzzNbd(cases: number, seed: number, onProgress?: (done: number) => void): Promise<NbdFuzzReport> {
  const failures: { seed: number; error: unknown }[] = [];
  let [connected, slowestMs] = [0, 0];
  for (let number = 0; number < cases; number++) {
    const caseSeed = (Math.imul(seed, 0x9e3779b1) + number) >>> 0;
    const store = new MemoryStore('memory');
    await store.resize(SIZE);
    const disk = await RAW.open(store, { isReadOnly: false }, TEST_HOST);
    const begin = performance.now();
    try {
      if (await oneCase(disk, seededRandom(caseSeed))) connected++;
      if ((await store.size()) !== SIZE) throw new Error('the disk has grown');
    } catch (error) {
      failures.push({ seed: caseSeed, error });
    }
    const ms = performance.now() - begin;
    slowestMs = Math.max(slowestMs, ms);
    if (ms > MAX_MS) failures.push({ seed: caseSeed, error: new Error(`took ${Math.round(ms)} ms`) });
    if (number % 1000 === 999) onProgress?.(number + 1);
  }
  return { cases, connected, failures, slowestMs };
}
