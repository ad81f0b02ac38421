// Network device (Virtio 1.2, 5.1). Queues come in pairs, receive and transmit, the control queue last. A frame is copied once each way; what a driver left undone
// to a frame (checksum, segments) goes along, and comes along for drivers that take it.

import { AnilloError } from '@anillo/base/anillo-error';
import { struct } from '@anillo/base/struct';
import { DeviceState } from '../device-state.ts';
import { StateList, type StatePart } from '../state-list.ts';
import { type Chain, gather } from './chain.ts';
import { declareVirtio } from './declare-virtio.ts';
import type { FrameSink, FrameWork, NetBackend } from './net-backend.ts';
import { answerCommand, type NetCommands } from './net-control.ts';
import { NetFilter } from './net-filter.ts';
import { NET_HEADER_BYTES, readNetHeader } from './net-header.ts';
import { ReceiveQueue } from './net-receive.ts';
import type { KindLink, VirtioKind } from './virtio-device.ts';
import type { Virtqueue } from './virtqueue.ts';

const F = {
  checksum: 0,
  guestChecksum: 1,
  guestOffloads: 2,
  mtu: 3,
  mac: 5,
  guestTso4: 7,
  guestTso6: 8,
  guestEcn: 9,
  hostTso4: 11,
  hostTso6: 12,
  hostEcn: 13,
  mergedBuffers: 15,
  status: 16,
  control: 17,
  receiveMode: 18,
  vlan: 19,
  moreReceiveModes: 20,
  announce: 21,
  severalQueues: 22,
  setMac: 23,
  guestUso4: 54,
  guestUso6: 55,
  hostUso: 56,
} as const;
const OFFLOADS = [F.guestChecksum, F.guestTso4, F.guestTso6, F.guestEcn, F.guestUso4, F.guestUso6] as const;
const CONFIG_BYTES = 12;
/** 5.1.4. */
const AT = { mac: 0, status: 6, pairCount: 8, mtu: 10 } as const;
const STATUS = { up: 1, announce: 2 } as const;
const MOST_PAIRS = 8;
const CONTROL_QUEUE_SIZE = 64;
/** An Ethernet header with a tag, and as much as IP can have. */
const LONGEST_FRAME = 18 + 65_535;
const SHORTEST_FRAME = 14;
const STATE = struct({ pairCount: 'u32', offloadsOff: ['u32', 2], announces: 'u32' });

export interface NetOptions {
  readonly backend: NetBackend;
  readonly mac: Uint8Array;
  /** 0: not told. */
  readonly mtu: number;
  readonly pairCount: number;
  readonly queueSize: number;
  readonly expectHost: () => void;
}

export class Net implements VirtioKind, FrameSink {
  readonly name = 'virtio-net';
  readonly deviceId = 1;
  readonly features: readonly number[];
  readonly queueSizes: readonly number[];
  readonly config = new Uint8Array(CONFIG_BYTES);
  readonly state: StatePart;
  readonly #o: NetOptions;
  readonly #filter = new NetFilter();
  readonly #state = new DeviceState(STATE);
  readonly #frame = new Uint8Array(LONGEST_FRAME);
  readonly #header = new Uint8Array(NET_HEADER_BYTES);
  readonly #commands: NetCommands;
  #link!: KindLink;
  #receivers: readonly ReceiveQueue[] = [];
  /** Transmit queues that wait for room at the other end. */
  readonly #blocked = new Map<Virtqueue, Chain>();
  /** A frame is on its way out: whoever answers within the call waits. */
  #isSending = false;
  /** A frame did not fit: the sender waits for buffers. */
  #isFull = false;

  constructor(options: NetOptions) {
    this.#o = options;
    const { backend, mac, mtu, pairCount, queueSize } = options;
    const pairs = new Array<number>(pairCount * 2).fill(queueSize);
    this.queueSizes = [...pairs, CONTROL_QUEUE_SIZE];
    const host = backend.takesWork ? [F.checksum, F.hostTso4, F.hostTso6, F.hostEcn] : [];
    this.features = [
      ...[F.mac, F.mergedBuffers, F.status, F.control, F.receiveMode, F.vlan, F.moreReceiveModes, F.announce, F.setMac],
      ...OFFLOADS,
      F.guestOffloads,
      ...host,
      ...(backend.takesWork && backend.takesUdpSegments === true ? [F.hostUso] : []),
      ...(mtu > 0 ? [F.mtu] : []),
      ...(pairCount > 1 ? [F.severalQueues] : []),
    ];
    this.state = new StateList(this.#filter, this.#state);
    this.config.set(mac, AT.mac);
    const view = new DataView(this.config.buffer);
    view.setUint16(AT.pairCount, pairCount, true);
    view.setUint16(AT.mtu, mtu, true);
    this.#commands = {
      filter: this.#filter,
      macChanged: () => this.config.set(this.#filter.mac, AT.mac),
      announced: () => this.#setAnnounce(false),
      setPairs: (count) => this.#setPairs(count),
      setOffloads: (low, high) => this.#setOffloads(low, high),
    };
    backend.receiver = this;
    backend.onRoom = () => this.#goOn();
    backend.onUp = () => this.#linkChanged();
  }

  attach(link: KindLink): void {
    this.#link = link;
    this.#receivers = link.queues
      .slice(0, -1)
      .filter((_, i) => i % 2 === 0)
      .map((queue) => new ReceiveQueue(queue, link));
  }

  dispose(): void {
    const { backend } = this.#o;
    backend.receiver = undefined;
    backend.onRoom = undefined;
    backend.onUp = undefined;
  }

  reset(): void {
    this.#blocked.clear();
    this.#isFull = false;
    for (const receiver of this.#receivers) receiver.reset();
    this.#filter.reset(this.#o.mac);
    this.#state.clear();
    this.#state.view.pairCount = 1;
    this.config.set(this.#o.mac, AT.mac);
    this.#showStatus();
    this.#o.backend.hasRoom();
  }

  start(): void {
    this.#filter.filtersVlans = this.#link.accepts(F.vlan);
    for (const receiver of this.#receivers) receiver.isMerging = this.#link.accepts(F.mergedBuffers);
    this.config.set(this.#filter.mac, AT.mac);
    this.#showStatus();
  }

  // --- Link and announcements ---

  #setAnnounce(announces: boolean): void {
    this.#state.view.announces = announces ? 1 : 0;
    this.#showStatus();
  }

  #showStatus(): void {
    const status = (this.#o.backend.isUp ? STATUS.up : 0) | (this.#state.view.announces !== 0 ? STATUS.announce : 0);
    this.config[AT.status] = status;
  }

  /** Who is plugged in again tells the network where it is (5.1.6.5.4). */
  #linkChanged(): void {
    this.#setAnnounce(this.#o.backend.isUp && this.#link.isRunning && this.#link.accepts(F.announce));
    this.#link.configChanged();
  }

  // --- Control ---

  get #controlIndex(): number {
    return this.#link.accepts(F.severalQueues) ? this.#o.pairCount * 2 : 2;
  }

  #setPairs(count: number): boolean {
    if (!this.#link.accepts(F.severalQueues) || count < 1 || count > this.#o.pairCount) return false;
    this.#state.view.pairCount = count;
    return true;
  }

  #setOffloads(low: number, high: number): boolean {
    const wanted = [low, high];
    const known = [0, 0];
    for (const bit of OFFLOADS) if (this.#link.accepts(bit)) known[bit >> 5] |= 1 << (bit & 31);
    if (wanted.some((word, i) => (word & ~known[i]) !== 0)) return false;
    wanted.forEach((word, i) => {
      this.#state.view.offloadsOff[i] = known[i] & ~word;
    });
    return true;
  }

  /** Does the driver take frames with that left to do? */
  #takes(offload: number): boolean {
    return this.#link.accepts(offload) && (this.#state.view.offloadsOff[offload >> 5] & (1 << (offload & 31))) === 0;
  }

  notified(queue: Virtqueue): void {
    if (queue.index === this.#controlIndex && this.#link.accepts(F.control)) this.#control(queue);
    else if (queue.index % 2 === 1) this.#transmit(queue);
    else if (this.#isFull) {
      this.#isFull = false;
      this.#o.backend.hasRoom();
    }
  }

  #control(queue: Virtqueue): void {
    this.#link.serve(queue, (chain) => {
      const wrong = answerCommand(chain, this.#commands);
      if (wrong !== undefined) this.#link.fail(wrong);
      else queue.complete(chain, 1);
    });
  }

  // --- Guest to network ---

  #transmit(queue: Virtqueue): void {
    if (this.#blocked.has(queue) || this.#isSending) return;
    this.#o.expectHost();
    this.#link.serve(queue, (chain) => this.#sendChain(queue, chain));
    queue.tell();
  }

  /** False: the other end has no room, and the queue waits. */
  #sendChain(queue: Virtqueue, chain: Chain): boolean {
    const byteCount = chain.readableBytes - NET_HEADER_BYTES;
    if (byteCount < 0) {
      this.#link.fail('a frame without a header');
      return false;
    }
    gather(chain.readable, 0, this.#header);
    const frame = this.#frame.subarray(0, Math.min(byteCount, LONGEST_FRAME));
    gather(chain.readable, NET_HEADER_BYTES, frame);
    const work = readNetHeader(this.#header, frame);
    const isGood = work !== 'bad' && byteCount <= LONGEST_FRAME && byteCount >= SHORTEST_FRAME && this.#mayLeave(work);
    if (isGood && !this.#send(frame, work)) {
      this.#blocked.set(queue, chain);
      return false;
    }
    queue.give(chain, 0);
    return true;
  }

  /** Is what was left undone what was agreed on, and does the other end do it? */
  #mayLeave(work: FrameWork | undefined): boolean {
    if (work === undefined) return true;
    const { accepts } = this.#link;
    const feature = work.segments === undefined ? F.checksum : { tcp4: F.hostTso4, tcp6: F.hostTso6, udp: F.hostUso }[work.segments.kind];
    return accepts(F.checksum) && accepts(feature) && this.#o.backend.takesWork;
  }

  #send(frame: Uint8Array, work: FrameWork | undefined): boolean {
    this.#isSending = true;
    try {
      return this.#o.backend.send(frame, work);
    } finally {
      this.#isSending = false;
    }
  }

  /** There is room again at the other end. */
  #goOn(): void {
    if (this.#isSending) return;
    const blocked = [...this.#blocked];
    this.#blocked.clear();
    for (const [queue, chain] of blocked) {
      if (!queue.owns(chain)) continue;
      if (this.#sendChain(queue, chain)) this.#transmit(queue);
      else queue.tell();
    }
  }

  // --- Network to guest ---

  get takesWork(): boolean {
    return [F.guestChecksum, F.guestTso4, F.guestTso6, F.guestEcn].every((offload) => this.#takes(offload));
  }

  get takesUdpSegments(): boolean {
    return this.takesWork && this.#takes(F.guestUso4) && this.#takes(F.guestUso6);
  }

  /** A frame arrives. What the driver does not want, or nobody is there to take, is lost. */
  send(frame: Uint8Array, work: FrameWork | undefined): boolean {
    if (!this.#link.isRunning || frame.length < SHORTEST_FRAME || frame.length > LONGEST_FRAME || !this.#filter.wants(frame)) return true;
    if (work !== undefined && !(work.segments?.kind === 'udp' ? this.takesUdpSegments : this.takesWork)) return true;
    this.#o.expectHost();
    const { pairCount } = this.#state.view;
    const receiver = this.#receivers[pairCount === 1 ? 0 : flowOf(frame) % pairCount];
    if (receiver.put(frame, work)) return true;
    this.#isFull = true;
    return false;
  }
}

const IP_PROTOCOL_AT = { 4: 23, 6: 20 } as const;
const ADDRESSES = { 4: [26, 34], 6: [22, 54] } as const;

/** A number by which frames of one flow stay together: addresses, and ports of TCP and UDP. */
function flowOf(frame: Uint8Array): number {
  const type = (frame[12] << 8) | frame[13];
  const version = type === 0x0800 ? 4 : type === 0x86dd ? 6 : undefined;
  if (version === undefined) return 0;
  const [from, to] = ADDRESSES[version];
  const protocol = frame[IP_PROTOCOL_AT[version]];
  const hasPorts = (protocol === 6 || protocol === 17) && (version === 6 || (frame[14] & 15) === 5);
  let hash = protocol;
  for (let at = from; at < Math.min(frame.length, hasPorts ? to + 4 : to); at++) hash = (Math.imul(hash, 31) + frame[at]) | 0;
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** "52:54:00:12:34:56"; undefined: that is no address of one card. */
function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) return undefined;
  const mac = Uint8Array.from(text.split(/[:-]/), (byte) => Number.parseInt(byte, 16));
  return (mac[0] & 1) === 0 && mac.some((byte) => byte !== 0) ? mac : undefined;
}

/** QEMU's first, and those after it: each card of a machine has its own, the same at every start. */
function usualMac(index: number): Uint8Array {
  return Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, (0x56 + index) & 0xff);
}

export const virtioNet = declareVirtio({
  name: 'virtio-net',
  summary: 'Network card',
  classCode: 0x020000,
  properties: {
    netdev: { kind: 'backend', of: 'network', summary: 'The network, by the name that it was given', default: undefined },
    mac: { kind: 'text', summary: "Address; without: the network's for it, or 52:54:00:12:34:56 and on", default: '', longest: 17 },
    host_mtu: { kind: 'number', summary: 'Largest packet, told to the guest; 0: not told', default: 0, minimum: 0, maximum: 65_535 },
    queues: { kind: 'number', summary: 'Pairs of queues', default: 1, minimum: 1, maximum: MOST_PAIRS },
    'queue-size': { kind: 'number', summary: 'Entries of a queue, a power of two', default: 256, minimum: 16, maximum: 1024 },
  },
  create: (context, p) => {
    const queueSize = p['queue-size'];
    if ((queueSize & (queueSize - 1)) !== 0)
      throw new AnilloError('BAD_OPTION', `Device virtio-net has a queue-size of ${queueSize}; give a power of two from 16 to 1024.`);
    const given = p.mac === '' ? undefined : parseMac(p.mac);
    if (p.mac !== '' && given === undefined)
      throw new AnilloError('BAD_OPTION', `"${p.mac}" is no address of a network card; give one such as 52:54:00:12:34:56.`);
    const { freeCard } = context.backends;
    const backend = context.backends.network(p.netdev, 'virtio-net');
    const mac = given ?? backend.mac ?? usualMac(freeCard);
    return new Net({ backend, mac, mtu: p.host_mtu, pairCount: p.queues, queueSize, expectHost: () => context.expectHost() });
  },
});
