// Hyper-V's disk images.

import { choiceOption, sizeOption } from '../create-option.ts';
import type { DiskFormat } from '../disk-format.ts';
import { createVhdx } from './create-vhdx.ts';
import { openVhdx } from './vhdx-disk.ts';
import { isVhdx } from './vhdx-header.ts';
import { MIB } from './vhdx-layout.ts';

export const VHDX: DiskFormat = {
  name: 'vhdx',
  probe: isVhdx,
  createOptions: { subformat: 'dynamic (the default) or fixed', block_size: 'Size of blocks, a power of two from 1M to 256M' },

  async open(store, options) {
    try {
      return await openVhdx(store, options);
    } catch (error) {
      await store.close();
      throw error;
    }
  },

  create(store, byteCount, options) {
    const isFixed = choiceOption(options, 'subformat', ['dynamic', 'fixed']) === 'fixed';
    return createVhdx(store, { byteCount, isFixed, blockBytes: sizeOption(options, 'block_size') ?? 2 * MIB });
  },
};
