// Memory balloon (Virtio 1.2, 5.5): the guest gives pages that it can do without, and takes them back; it reports pages that it does not use, and tells how its memory
// is. Pages that are given or reported hold nothing any more, so the host need not keep them (GuestMemory.discard).

import { struct } from '@anillo/base/struct';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import { DeviceState } from '../device-state.ts';
import type { BalloonControl, BalloonDevice, BalloonStatistics } from './balloon-control.ts';
import { type Chain, gather } from './chain.ts';
import { declareVirtio } from './declare-virtio.ts';
import type { KindLink, VirtioKind } from './virtio-device.ts';
import type { Virtqueue } from './virtqueue.ts';

const F = { mustTellHost: 0, statistics: 1, deflateOnOom: 2, reporting: 5 } as const;
const CONFIG_BYTES = 16;
const AT = { target: 0, actual: 4 } as const;
const QUEUE = { inflate: 0, deflate: 1, statistics: 2 } as const;
const QUEUE_SIZE = 128;
const PAGE_BYTES = 4096;
/** Page numbers of one chain; drivers send 256. */
const MOST_PAGES = 16_384;
const STATISTIC_BYTES = 10;
const MOST_STATISTICS = 64;
const TAGS: readonly (keyof BalloonStatistics)[] = [
  'swappedIn',
  'swappedOut',
  'majorFaults',
  'minorFaults',
  'freeBytes',
  'totalBytes',
  'availableBytes',
  'cacheBytes',
  'hugePages',
  'hugePageFailures',
];
const STATE = struct({ actual: 'u32' });

export interface BalloonOptions {
  readonly memory: GuestMemory;
  readonly control: BalloonControl | undefined;
  readonly deflatesOnOom: boolean;
  readonly reports: boolean;
}

export class Balloon implements VirtioKind, BalloonDevice {
  readonly name = 'virtio-balloon';
  readonly deviceId = 5;
  readonly features: readonly number[];
  readonly queueSizes: readonly number[];
  readonly config = new Uint8Array(CONFIG_BYTES);
  readonly state = new DeviceState(STATE);
  readonly #view = new DataView(this.config.buffer);
  readonly #o: BalloonOptions;
  #link!: KindLink;
  /** The driver's buffer for statistics, until they are asked for. */
  #statistics: Chain | undefined;
  #wanting: ((statistics: BalloonStatistics) => void)[] = [];

  constructor(options: BalloonOptions) {
    this.#o = options;
    const { deflatesOnOom, reports } = options;
    this.features = [F.statistics, ...(deflatesOnOom ? [F.deflateOnOom] : []), ...(reports ? [F.reporting] : [])];
    this.queueSizes = new Array<number>(reports ? 4 : 3).fill(QUEUE_SIZE);
  }

  attach(link: KindLink): void {
    this.#link = link;
    this.#o.control?.connect(this);
  }

  dispose(): void {
    this.#o.control?.connect(undefined);
  }

  reset(): void {
    this.#statistics = undefined;
    this.#answer({});
    this.#view.setUint32(AT.actual, 0, true);
    this.state.clear();
  }

  // --- The host's side ---

  setTarget(byteCount: number): void {
    const most = Math.floor(this.#o.memory.ramBytes / PAGE_BYTES);
    this.#view.setUint32(AT.target, Math.min(most, Math.floor(byteCount / PAGE_BYTES)), true);
    this.#link.configChanged();
  }

  get heldBytes(): number {
    return this.#view.getUint32(AT.actual, true) * PAGE_BYTES;
  }

  askStatistics(then: (statistics: BalloonStatistics) => void): boolean {
    if (!this.#link.isRunning || !this.#link.accepts(F.statistics)) return false;
    this.#wanting.push(then);
    const chain = this.#statistics;
    this.#statistics = undefined;
    // Giving the buffer back is the question (5.5.6.3).
    if (chain !== undefined) this.#link.queues[QUEUE.statistics].complete(chain, 0);
    return true;
  }

  #answer(statistics: BalloonStatistics): void {
    const wanting = this.#wanting;
    this.#wanting = [];
    for (const then of wanting) then(statistics);
  }

  // --- The driver's side ---

  /** The driver says how many pages it has given. */
  writeConfig(offset: number, byteCount: number, value: number): void {
    if (offset !== AT.actual || byteCount !== 4) return;
    this.#view.setUint32(AT.actual, value, true);
    this.state.view.actual = value;
    this.#o.control?.onChange?.(this.heldBytes);
  }

  start(): void {
    this.#view.setUint32(AT.actual, this.state.view.actual, true);
  }

  notified(queue: Virtqueue): void {
    if (queue.index === QUEUE.statistics && this.#link.accepts(F.statistics)) this.#takeStatistics(queue);
    else
      this.#link.serve(queue, (chain) => {
        if (queue.index === QUEUE.inflate) this.#discardPages(chain);
        else if (queue.index !== QUEUE.deflate) this.#discardBuffers(chain);
        queue.complete(chain, 0);
      });
  }

  /** Numbers of pages of 4 KiB. */
  #discardPages(chain: Chain): void {
    const bytes = new Uint8Array(Math.min(chain.readableBytes & ~3, MOST_PAGES * 4));
    gather(chain.readable, 0, bytes);
    const pages = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length; at += 4) this.#discard(pages.getUint32(at, true) * PAGE_BYTES, PAGE_BYTES);
  }

  #discard(address: number, byteCount: number): void {
    const { memory } = this.#o;
    const offset = memory.offsetOf(address, byteCount, true);
    if (offset >= 0) memory.discard(offset, byteCount);
  }

  /** Reported pages: the buffers are the memory itself. */
  #discardBuffers(chain: Chain): void {
    for (const view of chain.writable) this.#o.memory.discard(view.byteOffset, view.length);
  }

  #takeStatistics(queue: Virtqueue): void {
    this.#link.serve(queue, (chain) => {
      // A driver has one buffer; another one takes its place.
      if (this.#statistics !== undefined) queue.complete(this.#statistics, 0);
      this.#statistics = chain;
      if (this.#wanting.length > 0) this.#answer(readStatistics(chain));
    });
  }
}

function readStatistics(chain: Chain): BalloonStatistics {
  const bytes = new Uint8Array(Math.min(chain.readableBytes, MOST_STATISTICS * STATISTIC_BYTES));
  gather(chain.readable, 0, bytes);
  const view = new DataView(bytes.buffer);
  const found: { -readonly [K in keyof BalloonStatistics]: number } = {};
  for (let at = 0; at + STATISTIC_BYTES <= bytes.length; at += STATISTIC_BYTES) {
    const tag = TAGS[view.getUint16(at, true)];
    if (tag !== undefined) found[tag] = view.getUint32(at + 2, true) + view.getUint32(at + 6, true) * 2 ** 32;
  }
  return found;
}

export const virtioBalloon = declareVirtio({
  name: 'virtio-balloon',
  summary: 'Memory balloon',
  classCode: 0x00ff00,
  properties: {
    control: {
      kind: 'backend',
      of: 'balloon',
      summary: "The host's end of it, by name; without: only free pages are reported",
      default: undefined,
    },
    'deflate-on-oom': { kind: 'switch', summary: 'A guest that runs out of memory takes its pages back', default: false },
    'free-page-reporting': { kind: 'switch', summary: 'The guest tells which pages it does not use', default: true },
  },
  create: ({ memory, backends }, p) =>
    new Balloon({
      memory,
      control: p.control === undefined ? undefined : backends.balloon(p.control, 'virtio-balloon'),
      deflatesOnOom: p['deflate-on-oom'],
      reports: p['free-page-reporting'],
    }),
});
