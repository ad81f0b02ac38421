// Echo requests by the kernel's ICMP sockets, which need no privilege where net.ipv4.ping_group_range says so, and by raw sockets where we have it.

import { isIPv6 } from 'node:net';
import type { LinuxLibc } from './linux-libc.ts';
import { AF_INET, AF_INET6, socketAddress } from './socket-address.ts';

const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const MSG_DONTWAIT = 0x40;
const ECHO = { 4: 8, 6: 128 } as const;
const ECHO_REPLY = { 4: 0, 6: 129 } as const;
const FIRST_LOOK_MS = 1;
const LONGEST_LOOK_MS = 20;
const LARGEST_BYTES = 0x10000;

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum += (i & 1) === 0 ? bytes[i] << 8 : bytes[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export class NodePing {
  readonly #libc: LinuxLibc | undefined;
  #identifier = (Date.now() ^ process.pid) & 0xffff;

  constructor(libc: LinuxLibc | undefined) {
    this.#libc = libc;
  }

  /** Undefined: the host does not let us ask. */
  async ping(address: string, payload: Uint8Array, timeoutMs: number): Promise<boolean | undefined> {
    const libc = this.#libc;
    if (libc === undefined) return undefined;
    const family = isIPv6(address) ? 6 : 4;
    const open = (type: number): number =>
      libc.socket(family === 4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK_CLOEXEC, family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    let fd = open(SOCK_DGRAM);
    const isRaw = fd < 0;
    if (isRaw) fd = open(SOCK_RAW);
    if (fd < 0) return undefined;
    try {
      this.#identifier = (this.#identifier + 1) & 0xffff;
      const request = new Uint8Array(8 + payload.length);
      request.set([ECHO[family], 0, 0, 0, this.#identifier >>> 8, this.#identifier & 0xff, 0, 1]);
      request.set(payload, 8);
      const sum = checksum(request);
      request.set([sum >>> 8, sum & 0xff], 2);
      if (libc.sendto(fd, request, socketAddress(address, 0)) < 0) return false;
      return await this.#awaitReply(fd, request, { family, isRaw, timeoutMs });
    } finally {
      libc.close(fd);
    }
  }

  /** Node cannot wait for a socket of this kind, so it is looked at now and then. */
  async #awaitReply(fd: number, request: Uint8Array, how: { family: 4 | 6; isRaw: boolean; timeoutMs: number }): Promise<boolean> {
    const into = new Uint8Array(LARGEST_BYTES);
    const untilMs = performance.now() + how.timeoutMs;
    for (let lookMs = FIRST_LOOK_MS; performance.now() < untilMs; lookMs = Math.min(LONGEST_LOOK_MS, lookMs * 2)) {
      await new Promise((then) => setTimeout(then, lookMs));
      for (let byteCount = this.#libc!.recv(fd, into, MSG_DONTWAIT); byteCount > 0; byteCount = this.#libc!.recv(fd, into, MSG_DONTWAIT)) {
        // Raw sockets of IPv4 give the IP header too.
        const start = how.isRaw && how.family === 4 ? (into[0] & 15) * 4 : 0;
        const reply = into.subarray(start, byteCount);
        // The kernel has put an identifier of its own into what came by a datagram socket.
        const from = how.isRaw ? 4 : 6;
        const isOurs = reply[0] === ECHO_REPLY[how.family] && Buffer.compare(reply.subarray(from), request.subarray(from)) === 0;
        if (isOurs) return true;
      }
    }
    return false;
  }
}
