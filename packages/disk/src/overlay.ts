// A disk over another one that is not written to: what changes goes into a store of its own, in memory or in a file without a name, and is gone with it.

import type { ByteStore } from './byte-store.ts';
import type { Codecs } from './codecs.ts';
import type { Disk } from './disk.ts';
import { createImage } from './qcow2/create.ts';
import { openQcow2 } from './qcow2/qcow2.ts';

/** Large enough for few tables, small enough for single sectors in memory. */
const CLUSTER_BYTES = '65536';

/** The store is empty; closing the overlay closes it and the disk below. */
export async function openOverlay(below: Disk, store: ByteStore, codecs: Codecs): Promise<Disk> {
  await createImage(store, below.byteCount, { cluster_size: CLUSTER_BYTES, extended_l2: 'on' });
  const disk = await openQcow2(store, { isReadOnly: false, backing: below }, { codecs });
  const close = disk.close.bind(disk);
  disk.close = async () => {
    try {
      await close();
    } finally {
      await below.close();
    }
  };
  return disk;
}
