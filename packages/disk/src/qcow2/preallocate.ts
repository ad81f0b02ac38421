// Gives every cluster of a new image its place.

import type { ClusterWriter } from './cluster-writer.ts';
import { runsOf, DATA } from './lookup.ts';
import type { Tables } from './tables.ts';

const CHUNK = 1 << 20;

export async function preallocateImage(tables: Tables, writer: ClusterWriter, mode: 'metadata' | 'falloc' | 'full'): Promise<void> {
  const { header, geometry, store } = tables;
  await writer.preallocate(0, header.byteCount);
  await tables.settle();
  const step = geometry.l2Span;
  let end = 0;
  for (let at = 0; at < header.byteCount; at += step)
    for (const run of await runsOf(tables, at, Math.min(step, header.byteCount - at))) {
      if (run.kind !== DATA) continue;
      const count = Math.ceil(run.byteCount / geometry.clusterBytes) * geometry.clusterBytes;
      end = Math.max(end, run.host + count);
      if (mode === 'falloc') await store.allocate?.(run.host, count);
      if (mode === 'full')
        for (let done = 0; done < count; done += CHUNK) await store.write(run.host + done, [new Uint8Array(Math.min(CHUNK, count - done))]);
    }
  // What lies there is there to be read.
  if ((await store.size()) < end) await store.resize(end);
  await store.flush();
}
