// All TCP connections of an IP interface: finds the one that a segment belongs to, answers those that belong to none, and bounds what all of them keep.

import type { Clock } from '../clock.ts';
import { checksumOf, sumBytes } from '../checksum.ts';
import type { IpInterface } from '../ip/ip-interface.ts';
import type { IpPacket } from '../ip/ip-packet.ts';
import { read32, write16, write32 } from '../network-order.ts';
import { IP_PROTOCOLS, TCP_BYTES } from '../protocol-numbers.ts';
import { Deadline, type TimerQueue } from '../timer-queue.ts';
import { seqAdd, seqAfter } from './sequence.ts';
import { TcpConnection } from './tcp-connection.ts';
import { type TcpAddresses, TcpFlow } from './tcp-flow.ts';
import type { TcpEnvironment, TcpHandler } from './tcp-ports.ts';
import { TCP_FLAGS, TcpSegment } from './tcp-segment.ts';

const DEFAULT_CONNECTION_LIMIT = 4096;
const DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024;
const LARGEST_BUFFER_BYTES = 1024 * 1024;
const SMALLEST_BUFFER_BYTES = 32 * 1024;
const CHALLENGES_A_SECOND = 100;
/** Connections that try in vain to send before others are asked again later. */
const REFUSALS_AT_ONCE = 8;
const RETRY_MS = 20;
const FIRST_EPHEMERAL_PORT = 49_152;

export interface TcpStackOptions {
  readonly link: IpInterface;
  readonly clock: Clock;
  readonly timers: TimerQueue;
  /** A peer opens a connection: who has it? Undefined: it is refused. `TcpConnection.answer` answers it, now or later. */
  readonly accept: (flow: TcpFlow) => TcpHandler | undefined;
  readonly connectionLimit?: number;
  /** For what all connections keep, both ways. */
  readonly memoryBytes?: number;
  /** Numbers below 2^32 that peers cannot foresee. */
  readonly random32?: () => number;
}

export class TcpStack implements TcpEnvironment {
  readonly timers: TimerQueue;
  readonly #options: TcpStackOptions;
  readonly #clock: Clock;
  readonly #flows = new Map<number, TcpFlow>();
  readonly #flowOf = new Map<TcpConnection, TcpFlow>();
  readonly #segment = new TcpSegment();
  readonly #connectionLimit: number;
  #settling: TcpConnection[] = [];
  #blocked: TcpConnection[] = [];
  readonly #retry: Deadline;
  #challenges = 0;
  #challengesSinceMs = 0;
  #nextPort = 0;
  /** Connections refused because there were too many. */
  refusedCount = 0;

  constructor(options: TcpStackOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.timers = options.timers;
    this.#connectionLimit = options.connectionLimit ?? DEFAULT_CONNECTION_LIMIT;
    this.#retry = new Deadline(options.timers, () => this.onRoom());
  }

  get connectionCount(): number {
    return this.#flowOf.size;
  }

  get connections(): Iterable<TcpConnection> {
    return this.#flowOf.keys();
  }

  /** Both ways may be full in each connection. */
  get bufferBytes(): number {
    const share = (this.#options.memoryBytes ?? DEFAULT_MEMORY_BYTES) / (2 * Math.max(1, this.#flowOf.size));
    return Math.max(SMALLEST_BUFFER_BYTES, Math.min(LARGEST_BUFFER_BYTES, Math.floor(share)));
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  random32(): number {
    return this.#options.random32?.() ?? Math.floor(Math.random() * 0x1_0000_0000);
  }

  /** Opens a connection; undefined: there are too many, or one of these addresses is there. `localPort` 0: any. */
  connect(addresses: TcpAddresses, handlerOf: (flow: TcpFlow) => TcpHandler): TcpConnection | undefined {
    const localPort = addresses.localPort === 0 ? this.#freePort(addresses) : addresses.localPort;
    const flow = localPort === undefined ? undefined : this.#add({ ...addresses, localPort }, handlerOf);
    flow?.connection.connect();
    return flow?.connection;
  }

  /** Ends all connections, with resets. */
  close(): void {
    for (const connection of [...this.#flowOf.keys()]) connection.abort();
  }

  // Segments

  /** True: that was all; false: it belongs to no connection, and `receiveOther` is to have it if it is from where it says. */
  receive(packet: IpPacket): boolean {
    const segment = this.#segment;
    if (packet.isGroupcast || !segment.read(packet.bytes, packet.start, packet.end) || !this.#isWhole(packet)) return true;
    const flow = this.#find(packet.bytes, packet.sourceAt, packet.destinationAt, packet.family === 4 ? 4 : 16);
    if (flow === undefined || this.#isReopened(flow, segment)) return false;
    flow.connection.receive(segment);
    return true;
  }

  receiveOther(packet: IpPacket): void {
    const segment = this.#segment;
    const { sourcePort, destinationPort } = segment;
    const isOpening = (segment.flags & (TCP_FLAGS.syn | TCP_FLAGS.ack | TCP_FLAGS.rst)) === TCP_FLAGS.syn;
    const addresses = { local: packet.destination, localPort: destinationPort, peer: packet.source, peerPort: sourcePort };
    if (!isOpening || sourcePort === 0 || destinationPort === 0) return this.#refuse(addresses, segment);
    const opened = this.#add(addresses, this.#options.accept);
    if (opened === undefined) this.#refuse(addresses, segment);
    else if (opened.connection.state === 'waiting') opened.connection.listen(segment);
  }

  /** A checksum that is left to do is right by definition. */
  #isWhole(packet: IpPacket): boolean {
    if (packet.work?.checksum !== undefined) return true;
    const addressesEnd = packet.destinationAt + (packet.family === 4 ? 4 : 16);
    const pseudo = IP_PROTOCOLS.tcp + packet.end - packet.start + sumBytes(packet.bytes, packet.sourceAt, addressesEnd);
    return checksumOf(pseudo + sumBytes(packet.bytes, packet.start, packet.end)) === 0;
  }

  /** A new connection in the place of one that waits for its end (RFC 9293, 3.10.7.4; RFC 6191). */
  #isReopened(flow: TcpFlow, segment: TcpSegment): boolean {
    const { connection } = flow;
    if (connection.state !== 'time-wait' || (segment.flags & (TCP_FLAGS.syn | TCP_FLAGS.ack | TCP_FLAGS.rst)) !== TCP_FLAGS.syn)
      return false;
    if (!seqAfter(segment.sequence, connection.receiveNext)) return false;
    connection.abort();
    return true;
  }

  #refuse(addresses: TcpAddresses, segment: TcpSegment): void {
    if (segment.has(TCP_FLAGS.rst) || addresses.peer.isUnspecified || addresses.peer.isMulticast) return;
    const { link } = this.#options;
    const start = link.begin(addresses.peer.family);
    const { buffer } = link;
    const isAck = segment.has(TCP_FLAGS.ack);
    const acknowledged = seqAdd(segment.sequence, segment.length);
    write16(buffer, start, addresses.localPort);
    write16(buffer, start + 2, addresses.peerPort);
    write32(buffer, start + 4, isAck ? segment.acknowledgment : 0);
    write32(buffer, start + 8, isAck ? 0 : acknowledged);
    buffer[start + 12] = 5 << 4;
    buffer[start + 13] = isAck ? TCP_FLAGS.rst : TCP_FLAGS.rst | TCP_FLAGS.ack;
    write32(buffer, start + 14, 0);
    write16(buffer, start + 18, 0);
    link.send(start + TCP_BYTES, { source: addresses.local, destination: addresses.peer, protocol: IP_PROTOCOLS.tcp, checksumOffset: 16 });
  }

  // Flows

  #keyOf(peerWord: number, localWord: number, peerPort: number, localPort: number): number {
    const mixed = Math.imul(peerWord ^ Math.imul(localWord, 0x9e3779b1), 0x85ebca6b) ^ Math.imul((peerPort << 16) | localPort, 0xc2b2ae35);
    return mixed ^ (mixed >>> 15);
  }

  #find(bytes: Uint8Array, peerAt: number, localAt: number, addressBytes: number): TcpFlow | undefined {
    const { sourcePort, destinationPort } = this.#segment;
    const last = addressBytes - 4;
    let flow = this.#flows.get(this.#keyOf(read32(bytes, peerAt + last), read32(bytes, localAt + last), sourcePort, destinationPort));
    while (flow !== undefined) {
      if (flow.addresses.peer.bytes.length === addressBytes && flow.isBetween(bytes, peerAt, localAt, sourcePort, destinationPort))
        return flow;
      flow = flow.next;
    }
    return undefined;
  }

  #keyOfAddresses({ local, localPort, peer, peerPort }: TcpAddresses): number {
    return this.#keyOf(read32(peer.bytes, peer.bytes.length - 4), read32(local.bytes, local.bytes.length - 4), peerPort, localPort);
  }

  #isTaken(addresses: TcpAddresses): boolean {
    const { local, localPort, peer, peerPort } = addresses;
    for (let flow = this.#flows.get(this.#keyOfAddresses(addresses)); flow !== undefined; flow = flow.next) {
      const other = flow.addresses;
      if (other.localPort === localPort && other.peerPort === peerPort && other.local.equals(local) && other.peer.equals(peer)) return true;
    }
    return false;
  }

  #freePort(addresses: TcpAddresses): number | undefined {
    for (let tries = 0; tries < 1000; tries++) {
      this.#nextPort = (this.#nextPort + 1 + (this.random32() & 15)) & 0x3fff;
      const localPort = FIRST_EPHEMERAL_PORT + this.#nextPort;
      if (!this.#isTaken({ ...addresses, localPort })) return localPort;
    }
    return undefined;
  }

  #add(addresses: TcpAddresses, handlerOf: (flow: TcpFlow) => TcpHandler | undefined): TcpFlow | undefined {
    if (this.#flowOf.size >= this.#connectionLimit && !this.#makeRoom()) {
      this.refusedCount++;
      return undefined;
    }
    if (this.#isTaken(addresses)) return undefined;
    const key = this.#keyOfAddresses(addresses);
    const flow = new TcpFlow(this.#options.link, addresses, key);
    const handler = handlerOf(flow);
    if (handler === undefined) return undefined;
    flow.connection = new TcpConnection(this, flow, handler);
    flow.next = this.#flows.get(key);
    this.#flows.set(key, flow);
    this.#flowOf.set(flow.connection, flow);
    return flow;
  }

  /** Whoever has been waiting longest for its end need not. */
  #makeRoom(): boolean {
    for (const connection of this.#flowOf.keys()) {
      if (connection.state !== 'time-wait') continue;
      connection.abort();
      return true;
    }
    return false;
  }

  forget(connection: TcpConnection): void {
    const flow = this.#flowOf.get(connection);
    if (flow === undefined) return;
    this.#flowOf.delete(connection);
    const first = this.#flows.get(flow.key);
    if (first === flow) {
      if (flow.next === undefined) this.#flows.delete(flow.key);
      else this.#flows.set(flow.key, flow.next);
      return;
    }
    for (let before = first; before !== undefined; before = before.next) if (before.next === flow) before.next = flow.next;
  }

  // Turns

  settleSoon(connection: TcpConnection): void {
    connection.isSettling = true;
    this.#settling.push(connection);
    if (this.#settling.length === 1) this.#clock.soon(() => this.#settle());
  }

  #settle(): void {
    const due = this.#settling;
    this.#settling = [];
    for (const connection of due) {
      connection.isSettling = false;
      connection.settle();
    }
  }

  waitForRoom(connection: TcpConnection): void {
    this.#blocked.push(connection);
    if (!this.#retry.isSet) this.#retry.set(this.nowMs() + RETRY_MS);
  }

  /** The link has room again. Who could not send comes last the next time. */
  onRoom(): void {
    const waiting = this.#blocked;
    this.#blocked = [];
    this.#retry.clear();
    let refusals = 0;
    let at = 0;
    for (; at < waiting.length && refusals < REFUSALS_AT_ONCE; at++) {
      waiting[at].onRoom();
      if (waiting[at].isBlocked) refusals++;
    }
    if (at < waiting.length) this.#blocked = [...waiting.slice(at), ...this.#blocked];
    if (this.#blocked.length > 0 && !this.#retry.isSet) this.#retry.set(this.nowMs() + RETRY_MS);
  }

  mayChallenge(): boolean {
    const nowMs = this.nowMs();
    if (nowMs - this.#challengesSinceMs >= 1000) {
      this.#challengesSinceMs = nowMs;
      this.#challenges = 0;
    }
    return this.#challenges++ < CHALLENGES_A_SECOND;
  }
}
