// The images that fuzzing begins with, by format: options of `create`.

import type { CreateOptions } from '@anillo/disk/disk-format';

export const FUZZ_CREATIONS: Readonly<Record<string, readonly CreateOptions[]>> = {
  vmdk: [{}, { subformat: 'streamOptimized' }],
  vhdx: [{ block_size: '1M' }],
  qcow2: [
    {},
    { compat: '0.10' },
    { cluster_size: '512', refcount_bits: '1' },
    { cluster_size: '4096', lazy_refcounts: 'on', compression_type: 'zstd' },
    { cluster_size: '16384', extended_l2: 'on', refcount_bits: '64' },
  ],
  vdi: [{}, { static: 'on' }],
};
