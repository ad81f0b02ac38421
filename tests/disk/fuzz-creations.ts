// The images that fuzzing begins with, by format: options of `create`.

import type { CreateOptions } from '@anillo/disk/disk-format';

export const FUZZ_CREATIONS: Readonly<Record<string, readonly CreateOptions[]>> = {
  vmdk: [{}, { subformat: 'streamOptimized' }],
  vhdx: [{ block_size: '1M' }],
  vdi: [{}, { static: 'on' }],
};
