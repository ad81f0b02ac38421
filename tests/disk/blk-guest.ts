// A guest's view of a disk on files of the host: requests of virtio-blk that take as long as they take, and what the host says meanwhile.

import { BlkRig } from '@anillo/devices/testing/blk-rig';
import type { RigQueue } from '@anillo/devices/testing/virtio-rig';
import { BLK } from '@anillo/devices/virtio/blk-request';
import type { GivenProperty } from '@anillo/devices/device-declaration';
import type { Disk } from '@anillo/disk/disk';

const F_FLUSH = 9;
const LONGEST_MS = 10_000;

export class BlkGuest {
  readonly rig: BlkRig;
  readonly #queue: RigQueue;
  #isOver = false;

  constructor(disk: Disk, given: Record<string, GivenProperty> = {}) {
    this.rig = BlkRig.over(disk, given);
    [this.#queue] = this.rig.start([F_FLUSH], 16);
  }

  /** What the host failed at, as its user is told. */
  get told(): readonly string[] {
    return this.rig.control.log;
  }

  /** The machine pauses. */
  get isHeld(): boolean {
    return this.rig.control.waiting.length > 0;
  }

  /** The host's user has mended it. */
  resume(): void {
    for (const again of this.rig.control.waiting.splice(0)) again();
  }

  /** The machine ends: what waits is answered with -1. */
  end(): void {
    this.#isOver = true;
  }

  write(sector: number, bytes: Uint8Array): Promise<number> {
    return this.#status(BLK.type.write, sector, bytes);
  }

  flush(): Promise<number> {
    return this.#status(BLK.type.flush, 0, new Uint8Array(0));
  }

  async #status(type: number, sector: number, bytes: Uint8Array): Promise<number> {
    return (await this.#perform(type, sector, bytes, 0)).status;
  }

  /** Undefined: an I/O error. */
  async read(sector: number, byteCount: number): Promise<Uint8Array | undefined> {
    const { status, data } = await this.#perform(BLK.type.read, sector, new Uint8Array(0), byteCount);
    return status === BLK.status.ok ? data : undefined;
  }

  async #perform(type: number, sector: number, out: Uint8Array, inBytes: number): Promise<{ status: number; data: Uint8Array }> {
    const answer = this.rig.request(this.#queue, type, sector, out, inBytes);
    this.rig.notify(this.#queue);
    const endMs = performance.now() + LONGEST_MS;
    while (this.#queue.ring.collect().length === 0) {
      if (this.#isOver) return { status: -1, data: new Uint8Array(0) };
      if (performance.now() > endMs) throw new Error('the disk does not answer');
      await new Promise((done) => setImmediate(done));
    }
    return answer();
  }
}
