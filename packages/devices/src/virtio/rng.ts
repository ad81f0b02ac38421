// Entropy device (Virtio 1.2, 5.4): fills what the driver offers with the host's cryptographic random numbers.

import { declareVirtio } from './declare-virtio.ts';
import type { KindLink, VirtioKind } from './virtio-device.ts';
import type { Virtqueue } from './virtqueue.ts';

const QUEUE_SIZE = 64;
/** Of a request; a driver takes what it gets. */
const MOST_BYTES = 64 * 1024;

export class Rng implements VirtioKind {
  readonly name = 'virtio-rng';
  readonly deviceId = 4;
  readonly features = [];
  readonly queueSizes = [QUEUE_SIZE];
  readonly config = new Uint8Array(0);
  readonly #fillRandom: (bytes: Uint8Array<ArrayBuffer>) => void;
  #link!: KindLink;

  constructor(fillRandom: (bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#fillRandom = fillRandom;
  }

  attach(link: KindLink): void {
    this.#link = link;
  }

  reset(): void {}

  notified(queue: Virtqueue): void {
    this.#link.serve(queue, (chain) => {
      let left = MOST_BYTES;
      for (const view of chain.writable) {
        // Through a copy: hosts do not fill shared memory.
        const bytes = new Uint8Array(Math.min(left, view.length));
        this.#fillRandom(bytes);
        view.set(bytes);
        left -= bytes.length;
      }
      queue.complete(chain, MOST_BYTES - left);
    });
  }
}

export const virtioRng = declareVirtio({
  name: 'virtio-rng',
  summary: "The host's random numbers",
  classCode: 0x00ff00,
  properties: {},
  create: ({ backends }) => new Rng((bytes) => backends.fillRandom(bytes)),
});
