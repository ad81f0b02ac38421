// Block device (Virtio 1.2, 5.2). Requests are checked and started when the driver notifies, and given back when the back end has done them, in whatever order.

import { AnilloError } from '@anillo/base/anillo-error';
import type { DeviceContext } from '../device.ts';
import type { BlockBackend } from './block-backend.ts';
import { BLK, type BlkRequest, checkRequest, readRequest } from './blk-request.ts';
import type { Chain } from './chain.ts';
import { scatter } from './chain.ts';
import { declareVirtio } from './declare-virtio.ts';
import type { KindLink, VirtioKind } from './virtio-device.ts';
import type { Virtqueue } from './virtqueue.ts';

const F = {
  segMax: 2,
  readOnly: 5,
  blockSize: 6,
  flush: 9,
  topology: 10,
  writeCache: 11,
  severalQueues: 12,
  discard: 13,
  writeZeroes: 14,
} as const;
const CONFIG_BYTES = 60;
/** 5.2.4. */
const AT = {
  capacity: 0,
  segMax: 12,
  blockSize: 20,
  physicalExponent: 24,
  minimumIo: 26,
  optimalIo: 28,
  writeCache: 32,
  queueCount: 34,
  discard: 36,
  writeZeroes: 48,
  writeZeroesMayUnmap: 56,
} as const;
const MOST_QUEUES = 64;
/** What one doorbell may have done at once, so that it does not wait for the device. */
const MOST_BYTES_NOW = 1 << 20;
const ID_BYTES = 20;

/** What becomes of a request that the host fails at: the guest sees an I/O error, or the machine pauses and it is tried again. */
export type ErrorPolicy = 'report' | 'stop' | 'enospc';

export interface BlkOptions {
  readonly backend: BlockBackend;
  readonly serial: string;
  readonly queueCount: number;
  readonly queueSize: number;
  readonly blockBytes: number;
  readonly physicalBlockBytes: number;
  readonly discards: boolean;
  readonly writesZeroes: boolean;
  readonly readErrors: ErrorPolicy;
  readonly writeErrors: ErrorPolicy;
  /** For messages. */
  readonly label: string;
}

interface Held {
  readonly queue: Virtqueue;
  readonly chain: Chain;
  readonly request: BlkRequest;
}

export class Blk implements VirtioKind {
  readonly name = 'virtio-blk';
  readonly deviceId = 2;
  readonly features: readonly number[];
  readonly queueSizes: readonly number[];
  readonly config = new Uint8Array(CONFIG_BYTES);
  readonly #o: BlkOptions;
  readonly #host: Pick<DeviceContext, 'control' | 'expectHost'>;
  readonly #view = new DataView(this.config.buffer);
  #link!: KindLink;
  /** Requests that the host failed at, until the machine goes on. */
  #held: Held[] = [];
  #bytesNow = 0;

  constructor(options: BlkOptions, host: Pick<DeviceContext, 'control' | 'expectHost'>) {
    this.#o = options;
    this.#host = host;
    const { backend, queueCount, queueSize, discards, writesZeroes } = options;
    const { isReadOnly } = backend;
    this.queueSizes = new Array<number>(queueCount).fill(queueSize);
    const has: readonly (readonly [number, boolean])[] = [
      [F.readOnly, isReadOnly],
      [F.severalQueues, queueCount > 1],
      [F.discard, discards && !isReadOnly],
      [F.writeZeroes, writesZeroes && !isReadOnly],
    ];
    this.features = [F.segMax, F.blockSize, F.flush, F.topology, F.writeCache, ...has.flatMap(([bit, is]) => (is ? [bit] : []))];
    this.#fillConfig();
  }

  #fillConfig(): void {
    const { queueCount, queueSize, blockBytes, physicalBlockBytes } = this.#o;
    const view = this.#view;
    this.#setCapacity();
    view.setUint32(AT.segMax, queueSize - 2, true);
    view.setUint32(AT.blockSize, blockBytes, true);
    view.setUint8(AT.physicalExponent, Math.log2(physicalBlockBytes / blockBytes));
    view.setUint16(AT.minimumIo, 1, true);
    view.setUint8(AT.writeCache, 1);
    view.setUint16(AT.queueCount, queueCount, true);
    const { mostRangeSectors, mostRanges } = BLK;
    [AT.discard, AT.writeZeroes].forEach((at) => {
      view.setUint32(at, mostRangeSectors, true);
      view.setUint32(at + 4, mostRanges, true);
    });
    view.setUint32(AT.discard + 8, blockBytes / BLK.sectorBytes, true);
    view.setUint8(AT.writeZeroesMayUnmap, 1);
  }

  #setCapacity(): void {
    const sectors = Math.floor(this.#o.backend.byteCount / BLK.sectorBytes);
    this.#view.setUint32(AT.capacity, sectors % 2 ** 32, true);
    this.#view.setUint32(AT.capacity + 4, Math.floor(sectors / 2 ** 32), true);
  }

  /** The back end's size has changed. */
  resized(): void {
    this.#setCapacity();
    this.#link.configChanged();
  }

  attach(link: KindLink): void {
    this.#link = link;
  }

  /** Only the cache mode may be written. */
  writeConfig(offset: number, _byteCount: number, value: number): void {
    if (offset === AT.writeCache && this.#link.accepts(F.writeCache)) this.config[AT.writeCache] = value & 1;
  }

  reset(): void {
    this.#held = [];
    this.config[AT.writeCache] = 1;
  }

  notified(queue: Virtqueue): void {
    this.#bytesNow = MOST_BYTES_NOW;
    this.#link.serve(queue, (chain) => this.#take(queue, chain));
  }

  #take(queue: Virtqueue, chain: Chain): void {
    const request = readRequest(chain);
    if (typeof request === 'string') {
      this.#link.fail(request);
      return;
    }
    const { isReadOnly, byteCount } = this.#o.backend;
    const wrong = checkRequest(request, {
      ...{ isReadOnly, byteCount, blockBytes: this.#o.blockBytes },
      canDiscard: this.#link.accepts(F.discard),
      canWriteZeroes: this.#link.accepts(F.writeZeroes),
    });
    if (wrong !== undefined) this.#finish(queue, chain, request, wrong);
    else if (request.type === BLK.type.id) this.#giveId(queue, chain, request);
    else if (this.#doNow(request)) this.#finish(queue, chain, request, BLK.status.ok);
    else this.#start({ queue, chain, request });
  }

  /** What the host has in memory costs less to copy than to have copied. */
  #doNow(request: BlkRequest): boolean {
    const { backend } = this.#o;
    const { type, offset, data, dataBytes } = request;
    if (dataBytes === 0 || dataBytes > this.#bytesNow) return false;
    const isDone =
      type === BLK.type.read
        ? backend.readNow?.(offset, data) === true
        : type === BLK.type.write && this.#hasWriteCache && backend.writeNow?.(offset, data) === true;
    if (isDone) this.#bytesNow -= dataBytes;
    return isDone;
  }

  /** Without one, what is written is on stable storage (5.2.5.1). */
  get #hasWriteCache(): boolean {
    return this.config[AT.writeCache] !== 0 && this.#link.accepts(F.flush);
  }

  /** 5.2.6: as many bytes as the driver has room for, at most 20. */
  #giveId(queue: Virtqueue, chain: Chain, request: BlkRequest): void {
    const id = new Uint8Array(ID_BYTES);
    id.set(Array.from(this.#o.serial.slice(0, ID_BYTES), (character) => character.charCodeAt(0)));
    scatter(request.data, 0, id.subarray(0, Math.min(ID_BYTES, request.dataBytes)));
    this.#finish(queue, chain, request, BLK.status.ok);
  }

  #start(held: Held): void {
    const { work } = this.#link;
    const { queue, chain, request } = held;
    this.#host.expectHost();
    work.begin();
    this.#run(request).then(
      () => {
        this.#host.expectHost();
        this.#finish(queue, chain, request, BLK.status.ok);
        work.end();
      },
      (error: unknown) => {
        this.#failed(held, error);
        work.end();
      },
    );
  }

  async #run(request: BlkRequest): Promise<void> {
    const { backend } = this.#o;
    const { type } = BLK;
    switch (request.type) {
      case type.read:
        await backend.read(request.offset, request.data);
        break;
      case type.write:
        await backend.write(request.offset, request.data);
        if (!this.#hasWriteCache) await backend.flush();
        break;
      case type.flush:
        await backend.flush();
        break;
      default:
        await this.#runRanges(request);
    }
  }

  /** Told when all have ended, the failed ones too: the guest may write there at once. */
  async #runRanges({ type, ranges }: BlkRequest): Promise<void> {
    const { backend } = this.#o;
    const outcomes = await Promise.allSettled(
      ranges.map((range) =>
        type === BLK.type.discard
          ? backend.discard(range.offset, range.byteCount)
          : backend.writeZeroes(range.offset, range.byteCount, range.mayUnmap),
      ),
    );
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  /** The host failed: the guest is told, or the machine waits for somebody to mend it. */
  #failed(held: Held, error: unknown): void {
    const { queue, chain, request } = held;
    if (!queue.owns(chain)) return;
    const { readErrors, writeErrors, label } = this.#o;
    const policy = request.type === BLK.type.read ? readErrors : writeErrors;
    const isHeld = policy === 'stop' || (policy === 'enospc' && isFull(error));
    const reason = error instanceof Error ? error.message : String(error);
    if (isHeld) this.#held.push(held);
    else this.#finish(queue, chain, request, BLK.status.ioError);
    this.#host.control.hostFailed(`${label}: ${reason}`, isHeld ? () => this.#tryAgain() : undefined);
  }

  #tryAgain(): void {
    const held = this.#held;
    this.#held = [];
    for (const one of held) if (one.queue.owns(one.chain)) this.#start(one);
  }

  #finish(queue: Virtqueue, chain: Chain, request: BlkRequest, status: number): void {
    if (!queue.owns(chain)) return;
    request.status[0] = status;
    const isRead = request.type === BLK.type.read || request.type === BLK.type.id;
    queue.complete(chain, 1 + (isRead && status === BLK.status.ok ? request.dataBytes : 0));
  }
}

/** Is it for lack of room? */
function isFull(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = 'code' in cause ? cause.code : undefined;
    if (code === 'ENOSPC' || code === 'EDQUOT') return true;
  }
  return false;
}

const POLICIES = ['report', 'stop', 'enospc'] as const;

export const virtioBlk = declareVirtio({
  name: 'virtio-blk',
  summary: 'Disk',
  classCode: 0x010000,
  properties: {
    drive: { kind: 'backend', of: 'drive', summary: 'The disk, by the name that it was given', default: undefined },
    serial: { kind: 'text', summary: 'Serial number, up to 20 characters', default: '', longest: ID_BYTES },
    'num-queues': { kind: 'number', summary: 'Queues', default: 1, minimum: 1, maximum: MOST_QUEUES },
    'queue-size': { kind: 'number', summary: 'Entries of a queue, a power of two', default: 256, minimum: 4, maximum: 1024 },
    logical_block_size: { kind: 'choice', summary: 'Smallest unit of requests', default: '512', choices: ['512', '1024', '2048', '4096'] },
    physical_block_size: {
      kind: 'choice',
      summary: 'Best unit of requests',
      default: '512',
      choices: ['512', '1024', '2048', '4096', '8192', '16384'],
    },
    discard: { kind: 'switch', summary: 'The guest may give room back', default: true },
    'write-zeroes': { kind: 'switch', summary: 'The guest may ask for zeros without sending them', default: true },
    rerror: {
      kind: 'choice',
      summary: 'When the host cannot read: tell the guest, or pause',
      default: 'report',
      choices: ['report', 'stop'],
    },
    werror: {
      kind: 'choice',
      summary: 'When the host cannot write; enospc: pause where it has no room',
      default: 'enospc',
      choices: POLICIES,
    },
  },
  create: (context, p) => {
    const blockBytes = Number(p.logical_block_size);
    const queueSize = p['queue-size'];
    if ((queueSize & (queueSize - 1)) !== 0)
      throw new AnilloError('BAD_OPTION', `Device virtio-blk has a queue-size of ${queueSize}; give a power of two from 4 to 1024.`);
    return new Blk(
      {
        backend: context.backends.drive(p.drive, 'virtio-blk'),
        serial: p.serial,
        queueCount: p['num-queues'],
        queueSize,
        blockBytes,
        physicalBlockBytes: Math.max(blockBytes, Number(p.physical_block_size)),
        discards: p.discard,
        writesZeroes: p['write-zeroes'],
        readErrors: p.rerror,
        writeErrors: p.werror,
        label: p.drive ?? 'disk',
      },
      context,
    );
  },
});
