// What `image info` tells of a qcow2 image beyond its size, in QEMU's words (QAPI, ImageInfoSpecificQCow2).

import { COMPATIBLE, type Header, INCOMPATIBLE } from './header.ts';

export function imageFacts(header: Header, bitmaps: readonly unknown[] = []): Readonly<Record<string, unknown>> {
  const refcountBits = 2 ** header.refcountOrder;
  if (header.version === 2) return { compat: '0.10', 'compression-type': header.compression, 'refcount-bits': refcountBits };
  return {
    compat: '1.1',
    'compression-type': header.compression,
    'lazy-refcounts': (header.compatible & COMPATIBLE.lazyRefcounts) !== 0n,
    'refcount-bits': refcountBits,
    corrupt: (header.incompatible & INCOMPATIBLE.corrupt) !== 0n,
    'extended-l2': (header.incompatible & INCOMPATIBLE.extendedL2) !== 0n,
    ...(bitmaps.length > 0 ? { bitmaps } : {}),
  };
}
