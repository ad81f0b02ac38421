// Echo requests by the kernel's ICMP sockets, which need no privilege where net.ipv4.ping_group_range says so, and by raw sockets where we have it.

import type { LinuxLibc } from './linux-libc.ts';
import { isIPv6 } from 'node:net';

const AF_INET = 2;
const AF_INET6 = 10;
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

function bytesOfV4(address: string): number[] {
  return address.split('.').map(Number);
}

function bytesOfV6(address: string): number[] {
  const [head, tail = ''] = address.split('::');
  const groups = (text: string): number[] => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const first = groups(head);
  const last = address.includes('::') ? groups(tail) : [];
  const all = [...first, ...new Array<number>(Math.max(0, 8 - first.length - last.length)).fill(0), ...last];
  return all.flatMap((group) => [group >>> 8, group & 0xff]);
}

/** A sockaddr_in or sockaddr_in6; the family is in the host's byte order. */
function socketAddress(address: string): Uint8Array {
  const isV6 = isIPv6(address);
  const bytes = new Uint8Array(isV6 ? 28 : 16);
  new Uint16Array(bytes.buffer, 0, 1)[0] = isV6 ? AF_INET6 : AF_INET;
  bytes.set(isV6 ? bytesOfV6(address) : bytesOfV4(address), isV6 ? 8 : 4);
  return bytes;
}

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
      if (libc.sendto(fd, request, socketAddress(address)) < 0) return false;
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
