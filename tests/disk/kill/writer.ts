// node writer.ts IMAGE FORMAT HASTE NEXT...: puts load on an image until it is killed, and says on its output, a line each, without waiting for anybody:
//   b LANE NUMBER   an operation begins
//   f LANE NUMBER   it and those before it in its lane are flushed
// NEXT: the first number of each lane. HASTE: milliseconds by which writes are said to be done too early, to see whether anybody notices.

import { writeSync } from 'node:fs';
import { setTimeout as later } from 'node:timers/promises';
import type { ByteStore } from '@anillo/disk/byte-store';
import type { Disk } from '@anillo/disk/disk';
import { openImage } from '@anillo/disk/open-image';
import { imageFiles } from '@anillo/host-node/image-files';
import { isFlushed, LANES, operationOf, sectorsOf } from './load.ts';

const [path, format, haste, ...next] = process.argv.slice(2);
const files = imageFiles();

/** Says that it has written what it is still to write. */
function hasty(store: ByteStore): ByteStore {
  return new Proxy(store, {
    get(target, name) {
      if (name === 'readNow' || name === 'writeNow') return undefined;
      if (name === 'write')
        return async (offset: number, from: readonly Uint8Array[]) => {
          const copy = from.map((part) => part.slice());
          void later(Number(haste)).then(() => target.write(offset, copy));
        };
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const disk = await openImage(
  path,
  { isReadOnly: false, format },
  haste === '0' ? files : { ...files, openStore: async (...args) => hasty(await files.openStore(...args)) },
);

async function perform(one: Disk, lane: number, number: number): Promise<void> {
  const operation = operationOf(lane, number);
  const [offset, byteCount] = [operation.first * 512, operation.count * 512];
  if (operation.kind === 'discard') return one.discard(offset, byteCount);
  if (operation.kind === 'zero') return one.writeZeroes(offset, byteCount, number % 2 === 0);
  const bytes = [sectorsOf(lane, number, operation)];
  if (one.writeNow?.(offset, bytes) !== true) await one.write(offset, bytes);
}

async function run(lane: number): Promise<never> {
  for (let number = Number(next[lane]); ; number++) {
    writeSync(1, `b ${lane} ${number}\n`);
    await perform(disk, lane, number);
    if (!isFlushed(lane, number)) continue;
    await disk.flush();
    writeSync(1, `f ${lane} ${number}\n`);
  }
}

await Promise.all(Array.from({ length: LANES }, (_, lane) => run(lane)));
