import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { type ImageMap, MappedDisk } from './mapped-disk.ts';
import { MemoryStore } from './memory-store.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class BrokenStore extends MemoryStore {
  override async read(): Promise<void> {
    throw new AnilloError('FILE', 'broken');
  }

  override async write(): Promise<void> {
    throw new AnilloError('FILE', 'broken');
  }
}

test('what fails while the next run is looked for is told by the request, and by nothing else', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  const store = new BrokenStore();
  const map: ImageMap = {
    locate: async (offset) => {
      await turn();
      await turn();
      return { kind: 'data', byteCount: 512, store, storeOffset: offset };
    },
    fill: async () => {},
    flush: async () => {},
    close: async () => {},
  };
  const disk = new MappedDisk({ format: 'test', byteCount: 4096, map });
  await assert.rejects(disk.read(0, [new Uint8Array(2048)]), { code: 'FILE' });
  await assert.rejects(disk.write(0, [new Uint8Array(2048)]), { code: 'FILE' });
  await turn();
  process.off('unhandledRejection', note);
  assert.deepEqual(unhandled, []);
});
