// A driver of a virtio disk, as tests need it.

import { gpa } from '@anillo/base/gpa';
import { Backends } from '../backends.ts';
import { createDevice } from '../catalog.ts';
import type { GivenProperty } from '../device-declaration.ts';
import type { BlockBackend } from '../virtio/block-backend.ts';
import { type RigQueue, VirtioRig } from './virtio-rig.ts';

export interface BlkAnswer {
  readonly status: number;
  readonly data: Uint8Array;
}

export class BlkRig extends VirtioRig {
  /** On the rig's own disk in memory. */
  static make(given: Record<string, GivenProperty> = {}, prepare: (rig: BlkRig) => void = () => {}): BlkRig {
    const rig = new BlkRig();
    prepare(rig);
    createDevice({ model: 'virtio-blk-pci', drive: 'disk', ...given }, rig.context);
    rig.find();
    return rig;
  }

  static over(disk: BlockBackend, given: Record<string, GivenProperty> = {}): BlkRig {
    const rig = new BlkRig();
    const context = { ...rig.context, backends: new Backends({ drives: { disk } }) };
    createDevice({ model: 'virtio-blk-pci', drive: 'disk', ...given }, context);
    rig.find();
    return rig;
  }

  /** Offers a request; the answer is there once it was used. */
  request(queue: RigQueue, type: number, sector: number, out: Uint8Array, inBytes: number): () => BlkAnswer {
    const head = this.allocate(16);
    this.put(head, type, 0, sector % 2 ** 32, Math.floor(sector / 2 ** 32));
    const data = this.allocate(Math.max(out.length, inBytes, 1));
    this.ram.write(gpa(data), out);
    const status = this.allocate(1);
    this.ram.write8(gpa(status), 0xee);
    queue.ring.offer([
      { address: head, byteCount: 16, isWritable: false },
      ...(out.length + inBytes > 0 ? [{ address: data, byteCount: out.length + inBytes, isWritable: inBytes > 0 }] : []),
      { address: status, byteCount: 1, isWritable: true },
    ]);
    return () => ({ status: this.ram.read8(gpa(status)), data: this.bytes(data, inBytes) });
  }

  /** One request of a disk that waits for nothing but promises. */
  async perform(
    queue: RigQueue,
    type: number,
    sector: number,
    out: Uint8Array = new Uint8Array(0),
    inBytes = 0,
  ): Promise<BlkAnswer & { readonly used: number }> {
    const answer = this.request(queue, type, sector, out, inBytes);
    this.notify(queue);
    for (let turns = 0; turns < 50; turns++) await undefined;
    const used = queue.ring.collect();
    if (used.length !== 1) throw new Error(`${used.length} chains were given back`);
    return { ...answer(), used: used[0].writtenBytes };
  }
}
