// VMware's disk images.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import { choiceOption } from '../create-option.ts';
import type { DiskFormat } from '../disk-format.ts';
import { createVmdk } from './create-vmdk.ts';
import { freshStreamBytes, StreamVmdkWriter } from './stream-vmdk.ts';
import { isVmdk, openVmdk } from './vmdk-disk.ts';

const newCid = (): number => Math.floor(Math.random() * 0xffff_fffe);

export const VMDK: DiskFormat = {
  name: 'vmdk',
  probe: isVmdk,
  createOptions: { subformat: 'monolithicSparse (the default), or streamOptimized, which is written once and in order' },

  async open(store, options, host) {
    try {
      const byteCount = options.isReadOnly || store.isReadOnly ? undefined : await freshStreamBytes(store);
      if (byteCount === undefined) return await openVmdk(store, options, host);
      if (host.codecs.zlib === undefined)
        throw new AnilloError('UNSUPPORTED', `${store.name} is to be compressed, and this host has no zlib; choose another subformat.`);
      return new StreamVmdkWriter(store, byteCount, host.codecs.zlib);
    } catch (error) {
      await store.close();
      throw error;
    }
  },

  create(store: ByteStore, byteCount, options) {
    const subformat = choiceOption(options, 'subformat', ['monolithicSparse', 'streamOptimized']);
    return (subformat === 'streamOptimized' ? StreamVmdkWriter.create : createVmdk)(store, { byteCount, cid: newCid() });
  },
};
