// A connection's place in a stack: its addresses and ports, and how its segments become packets.

import type { IpInterface, Transmission } from '../ip/ip-interface.ts';
import type { IpAddress } from '../ip-address.ts';
import { write16 } from '../network-order.ts';
import { IP_PROTOCOLS, TCP_BYTES } from '../protocol-numbers.ts';
import type { TcpConnection } from './tcp-connection.ts';
import type { TcpCarrier } from './tcp-ports.ts';

export interface TcpAddresses {
  /** This side's. */
  readonly local: IpAddress;
  readonly localPort: number;
  readonly peer: IpAddress;
  readonly peerPort: number;
}

/** The longest header with options. */
const LONGEST_HEADER_BYTES = 60;

export class TcpFlow implements TcpCarrier {
  readonly addresses: TcpAddresses;
  readonly key: number;
  /** The next of the same key. */
  next: TcpFlow | undefined;
  connection!: TcpConnection;
  readonly buffer: Uint8Array;
  readonly mss: number;
  readonly #link: IpInterface;
  readonly #transmission: Transmission;
  readonly #start: number;

  constructor(link: IpInterface, addresses: TcpAddresses, key: number) {
    const { family } = addresses.peer;
    this.addresses = addresses;
    this.key = key;
    this.#link = link;
    this.buffer = link.buffer;
    this.#start = link.begin(family);
    this.mss = link.room(family) - TCP_BYTES;
    this.#transmission = {
      source: addresses.local,
      destination: addresses.peer,
      protocol: IP_PROTOCOLS.tcp,
      checksumOffset: 16,
      headerBytes: 0,
      segmentBytes: 0,
    };
  }

  /** An IPv4 packet has 64 KiB with its headers. */
  get largestPayload(): number {
    return this.#link.takesSegments ? 0xffff - 40 - LONGEST_HEADER_BYTES : this.mss;
  }

  begin(): number {
    write16(this.buffer, this.#start, this.addresses.localPort);
    write16(this.buffer, this.#start + 2, this.addresses.peerPort);
    return this.#start;
  }

  send(end: number, headerBytes: number, mss: number): boolean {
    const transmission = this.#transmission;
    transmission.headerBytes = headerBytes;
    transmission.segmentBytes = mss;
    return this.#link.send(end, transmission);
  }

  isBetween(packet: Uint8Array, peerAt: number, localAt: number, peerPort: number, localPort: number): boolean {
    const { addresses } = this;
    return (
      addresses.peerPort === peerPort &&
      addresses.localPort === localPort &&
      addresses.peer.isAt(packet, peerAt) &&
      addresses.local.isAt(packet, localAt)
    );
  }
}
