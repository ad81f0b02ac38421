// ICMP messages about packets that could not be delivered (RFC 792, RFC 4443), and echoes.

import { ICMPV6_TYPES } from '../ip/address-resolution.ts';
import type { IpInterface } from '../ip/ip-interface.ts';
import type { IpPacket } from '../ip/ip-packet.ts';
import type { IpFamily } from '../host-network.ts';
import { IpAddress } from '../ip-address.ts';
import { write32 } from '../network-order.ts';
import { IP_PROTOCOLS } from '../protocol-numbers.ts';

const ICMP_UNREACHABLE = 3;
const ICMP_TIME_EXCEEDED = 11;
export const ICMP_ECHO = 8;
export const ICMP_ECHO_REPLY = 0;
/** As much of the packet as fits the smallest MTU of each family. */
const QUOTED_BYTES = { 4: 548, 6: 1232 } as const;
const ERRORS_A_SECOND = 200;

export type IcmpProblem = 'host' | 'port' | 'prohibited' | 'time';

const V4_CODES: Record<IcmpProblem, readonly [number, number]> = {
  host: [ICMP_UNREACHABLE, 1],
  port: [ICMP_UNREACHABLE, 3],
  prohibited: [ICMP_UNREACHABLE, 13],
  time: [ICMP_TIME_EXCEEDED, 0],
};

const V6_CODES: Record<IcmpProblem, readonly [number, number]> = {
  host: [ICMPV6_TYPES.unreachable, 3],
  port: [ICMPV6_TYPES.unreachable, 4],
  prohibited: [ICMPV6_TYPES.unreachable, 1],
  time: [ICMPV6_TYPES.timeExceeded, 0],
};

/** The start of a packet, kept to be quoted later. */
export interface QuotedPacket {
  readonly family: IpFamily;
  readonly bytes: Uint8Array;
}

export function quote(packet: IpPacket, most: number = QUOTED_BYTES[packet.family]): QuotedPacket {
  const { family } = packet;
  return { family, bytes: packet.bytes.slice(packet.header, Math.min(packet.end, packet.header + most)) };
}

export class IcmpMessages {
  readonly #link: IpInterface;
  readonly #nowMs: () => number;
  readonly #sourceOf: (family: IpFamily) => IpAddress | undefined;
  #sent = 0;
  #sinceMs = 0;

  /** `sourceOf`: who tells of problems. */
  constructor(link: IpInterface, nowMs: () => number, sourceOf: (family: IpFamily) => IpAddress | undefined) {
    this.#link = link;
    this.#nowMs = nowMs;
    this.#sourceOf = sourceOf;
  }

  /** Tells the sender of a packet what became of it. */
  tell(problem: IcmpProblem, about: QuotedPacket): void {
    const { family, bytes } = about;
    const source = this.#sourceOf(family);
    const destination = IpAddress.at(bytes, family === 4 ? 12 : 8, family);
    if (source === undefined || destination.isUnspecified || destination.isMulticast || !this.#maySend()) return;
    const [type, code] = (family === 4 ? V4_CODES : V6_CODES)[problem];
    this.#send({ source, destination, type, code, rest: 0, body: bytes });
  }

  /** `rest`: identifier and sequence number. */
  answerEcho(source: IpAddress, destination: IpAddress, rest: number, body: Uint8Array): void {
    const type = destination.family === 4 ? ICMP_ECHO_REPLY : ICMPV6_TYPES.echoReply;
    this.#send({ source, destination, type, code: 0, rest, body });
  }

  #send(message: { source: IpAddress; destination: IpAddress; type: number; code: number; rest: number; body: Uint8Array }): void {
    const { source, destination, body } = message;
    const { buffer } = this.#link;
    const start = this.#link.begin(destination.family);
    write32(buffer, start, (message.type << 24) | (message.code << 16));
    write32(buffer, start + 4, message.rest);
    buffer.set(body, start + 8);
    const protocol = destination.family === 4 ? IP_PROTOCOLS.icmp : IP_PROTOCOLS.icmpv6;
    this.#link.send(start + 8 + body.length, { source, destination, protocol, checksumOffset: 2 });
  }

  #maySend(): boolean {
    const nowMs = this.#nowMs();
    if (nowMs - this.#sinceMs >= 1000) {
      this.#sinceMs = nowMs;
      this.#sent = 0;
    }
    return this.#sent++ < ERRORS_A_SECOND;
  }
}
