// VirtualBox's disk images.

import { switchOption } from '../create-option.ts';
import type { DiskFormat } from '../disk-format.ts';
import { randomId } from '../random-id.ts';
import { createVdi } from './create-vdi.ts';
import { openVdi } from './vdi-disk.ts';
import { isVdi } from './vdi-header.ts';

export const VDI: DiskFormat = {
  name: 'vdi',
  probe: isVdi,
  createOptions: { static: 'All blocks have their place from the beginning (on/off)' },

  async open(store, options) {
    try {
      return await openVdi(store, options.isReadOnly || store.isReadOnly);
    } catch (error) {
      await store.close();
      throw error;
    }
  },

  create(store, byteCount, options) {
    return createVdi(store, { byteCount, isStatic: switchOption(options, 'static'), imageId: randomId(), snapshotId: randomId() });
  },
};
