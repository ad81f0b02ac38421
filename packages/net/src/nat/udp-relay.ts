// UDP between machines and the host's world: a socket of the host for each port that a machine sends from. Only who has been sent to may answer. Bounded in ports, in partners of
// each, and in what waits for a socket; a port that is silent for long is forgotten.

import type { Clock } from '../clock.ts';
import type { HostEndpoint, HostNetwork, HostUdpSocket } from '../host-network.ts';
import type { IpInterface } from '../ip/ip-interface.ts';
import type { IpPacket } from '../ip/ip-packet.ts';
import { IpAddress } from '../ip-address.ts';
import { read16, write16 } from '../network-order.ts';
import { IP_PROTOCOLS, UDP_BYTES } from '../protocol-numbers.ts';
import { Deadline, type TimerQueue } from '../timer-queue.ts';
import type { TokenBucket } from '../token-bucket.ts';
import type { NatAddresses } from './nat-addresses.ts';
import type { NatCounts } from './nat-counts.ts';
import { type QuotedPacket, quote } from './icmp-messages.ts';

export interface UdpRelayOptions {
  readonly network: HostNetwork;
  readonly link: IpInterface;
  readonly clock: Clock;
  readonly timers: TimerQueue;
  readonly addresses: NatAddresses;
  readonly upLimit: TokenBucket;
  readonly downLimit: TokenBucket;
  readonly counts: NatCounts;
  /** May a machine send there? */
  readonly allows: (destination: IpAddress, port: number) => boolean;
  /** Tells a machine what became of its packet. */
  readonly tell: (problem: 'port' | 'host' | 'prohibited', about: QuotedPacket) => void;
  readonly portLimit?: number;
}

const DEFAULT_PORT_LIMIT = 1024;
const PARTNER_LIMIT = 256;
const WAITING_LIMIT = 16;
/** Headers, and what tells one datagram from another. */
const QUOTED_BYTES = 96;
const SILENCE_MS = 120_000;
const SWEEP_MS = 15_000;

interface Partner {
  /** As the machine sees it. */
  readonly address: IpAddress;
  readonly port: number;
  readonly endpoint: HostEndpoint;
  /** The socket of a forward; undefined: the port's own. */
  readonly socket: HostUdpSocket | undefined;
  /** The start of the first packet to it; undefined: it was the first to speak. */
  readonly quoted: QuotedPacket | undefined;
}

/** One port of one machine. */
interface Port {
  readonly guest: IpAddress;
  readonly port: number;
  readonly partners: Map<string, Partner>;
  socket: HostUdpSocket | undefined;
  /** What is to be sent once there is a socket; undefined: none has been asked for. */
  waiting: { readonly bytes: Uint8Array; readonly to: HostEndpoint }[] | undefined;
  usedMs: number;
  lastPacket: QuotedPacket | undefined;
  lastPartner: Partner | undefined;
}

export class UdpRelay {
  readonly #options: UdpRelayOptions;
  readonly #ports = new Map<string, Port>();
  readonly #sweep: Deadline;
  /** The port that sent last. */
  #lastPort: Port | undefined;

  constructor(options: UdpRelayOptions) {
    this.#options = options;
    this.#sweep = new Deadline(options.timers, () => this.#forgetSilent());
  }

  get portCount(): number {
    return this.#ports.size;
  }

  /** A datagram that leaves the network; its checksum has been looked at. */
  receive(packet: IpPacket): void {
    const { bytes, start } = packet;
    const guestPort = read16(bytes, start);
    const known = this.#lastPort;
    const isKnown = known?.port === guestPort && known.guest.family === packet.family && known.guest.isAt(bytes, packet.sourceAt);
    const port = isKnown ? known : this.#portOf(packet.source, guestPort);
    this.#lastPort = port;
    const partner = this.#partnerOf(port, packet, read16(bytes, start + 2));
    if (partner === undefined) return;
    const nowMs = this.#options.clock.nowMs();
    port.usedMs = nowMs;
    const end = Math.min(packet.end, start + Math.max(UDP_BYTES, read16(bytes, start + 4)));
    const { segments } = packet.work ?? {};
    const pieceBytes = segments?.kind === 'udp' && segments.segmentBytes > 0 ? Math.max(64, segments.segmentBytes) : 0x10000;
    // The length field of segments not cut yet counts all of them, or none.
    const last = segments === undefined ? end : packet.end;
    for (let at = start + UDP_BYTES; at === start + UDP_BYTES || at < last; at += pieceBytes) {
      this.#sendOut(port, partner, bytes.subarray(at, Math.min(last, at + pieceBytes)), packet, nowMs);
    }
  }

  #sendOut(port: Port, partner: Partner, payload: Uint8Array, packet: IpPacket, nowMs: number): void {
    const { upLimit, counts } = this.#options;
    if (upLimit.waitMs(nowMs) > 0) {
      counts.udpDropped++;
      return;
    }
    upLimit.take(payload.length, nowMs);
    counts.udpDatagramsUp++;
    counts.bytesUp += payload.length;
    const socket = partner.socket ?? port.socket;
    if (socket !== undefined) return socket.send(payload, partner.endpoint);
    if (port.waiting === undefined) this.#bind(port, packet);
    if (port.waiting!.length < WAITING_LIMIT) port.waiting!.push({ bytes: payload.slice(), to: partner.endpoint });
    else counts.udpDropped++;
  }

  /** A datagram for a port of the host that is forwarded. */
  deliverForwarded(socket: HostUdpSocket, bytes: Uint8Array, from: HostEndpoint, guest: IpAddress, guestPort: number): void {
    const address = this.#options.addresses.guestAddressOf(from.address, guest.family);
    if (address === undefined) return;
    const port = this.#portOf(guest, guestPort);
    const key = `${address.text} ${from.port}`;
    const known = port.partners.get(key);
    if (known?.socket !== socket || known.endpoint.address !== from.address)
      this.#remember(port, key, { address, port: from.port, endpoint: from, socket, quoted: undefined });
    this.#deliver(port, address, from.port, bytes);
  }

  /** Rules have changed: nobody is to be reached through a partner that is not allowed any more. */
  recheck(): void {
    for (const port of this.#ports.values()) {
      port.lastPartner = undefined;
      for (const [key, partner] of port.partners) {
        if (partner.socket === undefined && !this.#options.allows(partner.address, partner.port)) port.partners.delete(key);
      }
    }
  }

  /** A forward has ended. */
  forgetSocket(socket: HostUdpSocket): void {
    for (const port of this.#ports.values()) {
      port.lastPartner = undefined;
      for (const [key, partner] of port.partners) if (partner.socket === socket) port.partners.delete(key);
    }
  }

  close(): void {
    for (const port of this.#ports.values()) port.socket?.close();
    this.#ports.clear();
    this.#lastPort = undefined;
    this.#sweep.clear();
  }

  #portOf(guest: IpAddress, number: number): Port {
    const key = `${guest.text} ${number}`;
    const known = this.#ports.get(key);
    if (known !== undefined) return known;
    if (this.#ports.size >= (this.#options.portLimit ?? DEFAULT_PORT_LIMIT)) this.#forgetOldest();
    const usedMs = this.#options.clock.nowMs();
    const port: Port = {
      guest,
      port: number,
      partners: new Map(),
      socket: undefined,
      waiting: undefined,
      usedMs,
      lastPacket: undefined,
      lastPartner: undefined,
    };
    this.#ports.set(key, port);
    if (!this.#sweep.isSet) this.#sweep.set(usedMs + SWEEP_MS);
    return port;
  }

  #partnerOf(port: Port, packet: IpPacket, number: number): Partner | undefined {
    const last = port.lastPartner;
    if (
      last !== undefined &&
      last.port === number &&
      last.address.family === packet.family &&
      last.address.isAt(packet.bytes, packet.destinationAt)
    )
      return last;
    const address = packet.destination;
    const key = `${address.text} ${number}`;
    let partner = port.partners.get(key);
    port.lastPacket = quote(packet, QUOTED_BYTES);
    if (partner === undefined) {
      const hostAddress = this.#options.addresses.hostAddressOf(address);
      if (hostAddress === undefined || number === 0) {
        this.#options.tell('host', port.lastPacket);
        return undefined;
      }
      if (!this.#options.allows(address, number)) {
        this.#options.counts.denied++;
        this.#options.tell('prohibited', port.lastPacket);
        return undefined;
      }
      partner = { address, port: number, endpoint: { address: hostAddress, port: number }, socket: undefined, quoted: port.lastPacket };
      this.#remember(port, key, partner);
    }
    port.lastPartner = partner;
    return partner;
  }

  #partnerAt(port: Port, { address, port: number }: HostEndpoint): Partner | undefined {
    const text = IpAddress.parse(address)?.text;
    for (const partner of port.partners.values()) if (partner.endpoint.port === number && partner.endpoint.address === text) return partner;
    return undefined;
  }

  #remember(port: Port, key: string, partner: Partner): void {
    port.lastPartner = undefined;
    port.partners.delete(key);
    if (port.partners.size >= PARTNER_LIMIT) {
      const [oldest] = port.partners.keys();
      port.partners.delete(oldest);
    }
    port.partners.set(key, partner);
  }

  #bind(port: Port, packet: IpPacket): void {
    port.waiting = [];
    const { network } = this.#options;
    network.bindUdp({ address: packet.family === 4 ? '0.0.0.0' : '::', port: 0 }).then(
      (socket) => this.#useSocket(port, socket),
      () => {
        port.waiting = undefined;
        if (port.lastPacket !== undefined) this.#options.tell('host', port.lastPacket);
      },
    );
  }

  #useSocket(port: Port, socket: HostUdpSocket): void {
    if (this.#ports.get(`${port.guest.text} ${port.port}`) !== port) return socket.close();
    port.socket = socket;
    socket.onMessage = (bytes, from) => {
      const address = this.#options.addresses.guestAddressOf(from.address, port.guest.family);
      if (address !== undefined && port.partners.has(`${address.text} ${from.port}`)) this.#deliver(port, address, from.port, bytes);
    };
    socket.onError = (reason, to) => {
      const about = to === undefined ? port.lastPacket : this.#partnerAt(port, to)?.quoted;
      if (about !== undefined && reason !== 'too-long') this.#options.tell(reason === 'refused' ? 'port' : 'host', about);
    };
    const waiting = port.waiting ?? [];
    port.waiting = undefined;
    for (const { bytes, to } of waiting) socket.send(bytes, to);
  }

  #deliver(port: Port, from: IpAddress, fromPort: number, bytes: Uint8Array): void {
    const { link, counts, downLimit, clock } = this.#options;
    const nowMs = clock.nowMs();
    port.usedMs = nowMs;
    if (downLimit.waitMs(nowMs) > 0 || bytes.length > 0xffff - 48) {
      counts.udpDropped++;
      return;
    }
    downLimit.take(bytes.length, nowMs);
    if (!sendUdp(link, { source: from, sourcePort: fromPort, destination: port.guest, destinationPort: port.port, bytes })) {
      counts.udpDropped++;
      return;
    }
    counts.udpDatagramsDown++;
    counts.bytesDown += bytes.length;
  }

  #forgetSilent(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const [key, port] of this.#ports) if (nowMs - port.usedMs >= SILENCE_MS) this.#forget(key, port);
    if (this.#ports.size > 0) this.#sweep.set(nowMs + SWEEP_MS);
  }

  #forgetOldest(): void {
    let oldest: [string, Port] | undefined;
    for (const entry of this.#ports) if (oldest === undefined || entry[1].usedMs < oldest[1].usedMs) oldest = entry;
    if (oldest !== undefined) this.#forget(...oldest);
  }

  #forget(key: string, port: Port): void {
    this.#ports.delete(key);
    this.#lastPort = undefined;
    port.socket?.close();
  }
}

/** Sends a datagram to a machine. False: no room now. */
export function sendUdp(
  link: IpInterface,
  datagram: { source: IpAddress; sourcePort: number; destination: IpAddress; destinationPort: number; bytes: Uint8Array; mac?: number },
): boolean {
  const { buffer } = link;
  const { source, destination, bytes, mac } = datagram;
  const start = link.begin(destination.family);
  write16(buffer, start, datagram.sourcePort);
  write16(buffer, start + 2, datagram.destinationPort);
  write16(buffer, start + 4, UDP_BYTES + bytes.length);
  buffer.set(bytes, start + UDP_BYTES);
  return link.send(start + UDP_BYTES + bytes.length, { source, destination, protocol: IP_PROTOCOLS.udp, checksumOffset: 6, mac });
}
