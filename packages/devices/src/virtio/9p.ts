// 9P transport device (Virtio 1.2 names it 9; its configuration is the mount tag, its one queue carries a message and room for its answer in each chain).

import { AnilloError } from '@anillo/base/anillo-error';
import type { DeviceContext } from '../device.ts';
import type { FileTree } from './9p/file-tree.ts';
import { NinePServer } from './9p/server.ts';
import type { Chain } from './chain.ts';
import { declareVirtio } from './declare-virtio.ts';
import type { KindLink, VirtioKind } from './virtio-device.ts';
import type { Virtqueue } from './virtqueue.ts';

const QUEUE_SIZE = 128;
const MOUNT_TAG = 0;
/** Linux takes no longer ones. */
const LONGEST_TAG = 31;
const TAG = /^[!-~]{1,31}$/;

export class NinePDevice implements VirtioKind {
  readonly name = 'virtio-9p';
  readonly deviceId = 9;
  readonly features = [MOUNT_TAG];
  readonly queueSizes = [QUEUE_SIZE];
  readonly config: Uint8Array;
  readonly #server: NinePServer;
  readonly #host: Pick<DeviceContext, 'expectHost'>;
  #link!: KindLink;

  constructor(tag: string, tree: FileTree, host: Pick<DeviceContext, 'expectHost'>) {
    this.config = Uint8Array.of(tag.length, 0, ...Array.from(tag, (character) => character.charCodeAt(0)));
    this.#server = new NinePServer(tree);
    this.#host = host;
  }

  attach(link: KindLink): void {
    this.#link = link;
  }

  reset(): void {
    void this.#server.reset();
  }

  dispose(): void {
    void this.#server.reset();
  }

  notified(queue: Virtqueue): void {
    this.#link.serve(queue, (chain) => void this.#serve(queue, chain));
  }

  async #serve(queue: Virtqueue, chain: Chain): Promise<void> {
    const { work } = this.#link;
    work.begin();
    this.#host.expectHost();
    const written = await this.#server.serve(chain.readable, chain.writable);
    this.#host.expectHost();
    // One of before a reset breaks nothing.
    if (written > 0) queue.complete(chain, written);
    else if (queue.owns(chain)) this.#link.fail('a 9P request without room for an answer');
    work.end();
  }
}

export const virtio9p = declareVirtio({
  name: 'virtio-9p',
  summary: 'Shared folder',
  classCode: 0x018000,
  properties: {
    fsdev: { kind: 'backend', of: 'folder', summary: 'The folder, by the name that it was given', default: undefined },
    mount_tag: { kind: 'text', summary: 'What the guest mounts', default: '', longest: LONGEST_TAG },
  },
  create: (context, p) => {
    const tag = p.mount_tag === '' ? (p.fsdev ?? '') : p.mount_tag;
    if (!TAG.test(tag))
      throw new AnilloError('BAD_OPTION', `"${tag}" is no mount tag; give mount_tag=NAME, up to ${LONGEST_TAG} letters of ASCII.`);
    return new NinePDevice(tag, context.backends.folder(p.fsdev, 'virtio-9p'), context);
  },
});
