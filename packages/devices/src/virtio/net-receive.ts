// A receive queue of a network device: puts frames into the buffers that the driver has given, one frame over several where that was agreed (Virtio 1.2, 5.1.6.4).

import { type Chain, scatter } from './chain.ts';
import type { FrameWork } from './net-backend.ts';
import { NET_HEADER_BYTES, writeNetHeader } from './net-header.ts';
import type { KindLink } from './virtio-device.ts';
import type { Virtqueue } from './virtqueue.ts';

export class ReceiveQueue {
  /** Frames may go over several chains. */
  isMerging = false;
  readonly #queue: Virtqueue;
  readonly #link: KindLink;
  /** Taken, and not filled yet. */
  #chains: Chain[] = [];

  constructor(queue: Virtqueue, link: KindLink) {
    this.#queue = queue;
    this.#link = link;
  }

  reset(): void {
    this.#chains = [];
    this.isMerging = false;
  }

  /** False: there are not enough buffers. */
  put(frame: Uint8Array, work: FrameWork | undefined): boolean {
    const byteCount = NET_HEADER_BYTES + frame.length;
    let room = 0;
    let count = 0;
    while (room < byteCount && (count === 0 || this.isMerging)) {
      const chain = this.#chains[count] ?? this.#take();
      if (chain === undefined) return false;
      if (count === this.#chains.length) this.#chains.push(chain);
      room += chain.writableBytes;
      count++;
    }
    if (room < byteCount) return true; // too long for its buffer: it is lost, and the buffer waits for the next
    this.#fill(this.#chains.splice(0, count), frame, work);
    return true;
  }

  #take(): Chain | undefined {
    const chain = this.#queue.next();
    if (chain === undefined || chain.writableBytes >= NET_HEADER_BYTES) return chain;
    this.#link.fail('a buffer for frames that has no room for a header');
    return undefined;
  }

  #fill(chains: readonly Chain[], frame: Uint8Array, work: FrameWork | undefined): void {
    const header = writeNetHeader(work, chains.length);
    let from = 0;
    const counts = chains.map((chain, i) => {
      const head = i === 0 ? scatter(chain.writable, 0, header) : 0;
      const count = scatter(chain.writable, head, frame.subarray(from, from + chain.writableBytes - head));
      from += count;
      return head + count;
    });
    // 5.1.6.4.1: the driver may look at the first from another CPU, and expects all of them then.
    this.#queue.giveTogether(chains, counts);
    this.#queue.tell();
  }
}
