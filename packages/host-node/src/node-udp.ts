// UDP sockets of the host by node:dgram, as the NAT wants them. What ICMP said of their datagrams is asked for where Node lets us (IP_RECVERR of ip(7)): the kernel keeps it in a queue beside the
// socket, which is emptied whenever the socket has an error, for until then the socket is ready for ever.

import * as dgram from 'node:dgram';
import { AnilloError } from '@anillo/base/anillo-error';
import type { HostEndpoint, HostUdpSocket } from '@anillo/net/host-network';
import { type LinuxLibc, loadLinuxLibc } from './linux-libc.ts';
import { AF_INET, AF_INET6, endpointOf, SOCKET_ADDRESS_BYTES, socketAddress } from './socket-address.ts';

let known: { readonly libc: LinuxLibc | undefined } | undefined;

/** Loaded with the first socket. */
function linuxLibc(): LinuxLibc | undefined {
  known ??= { libc: loadLinuxLibc() };
  return known.libc;
}

/** Addresses are given as such: nothing is looked up. */
function lookup(address: string, _options: unknown, then: (error: null, address: string, family: number) => void): void {
  then(null, address, address.includes(':') ? 6 : 4);
}

const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;
/** Level and name of the option. */
const RECEIVE_ERRORS: Readonly<Record<4 | 6, readonly [number, number]>> = { 4: [0, 11], 6: [41, 25] };
const ONLY_V6 = [41, 26] as const;
const ERROR_QUEUE_DONTWAIT = 0x2000 | 0x40;
/** Then the rest waits for the next error. */
const MOST_AT_ONCE = 64;

/** A socket that tells of errors: Node takes it over, but has no way to make it. Undefined where that cannot be. */
function openTelling(at: HostEndpoint): number | undefined {
  const libc = linuxLibc();
  if (libc === undefined) return undefined;
  const isV6 = at.address.includes(':');
  const descriptor = libc.socket(isV6 ? AF_INET6 : AF_INET, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0);
  if (descriptor < 0) return undefined;
  const isMade =
    libc.setsockopt(descriptor, ...RECEIVE_ERRORS[isV6 ? 6 : 4], 1) === 0 &&
    (!isV6 || libc.setsockopt(descriptor, ...ONLY_V6, 1) === 0) &&
    libc.bind(descriptor, socketAddress(at.address, at.port)) === 0;
  if (isMade) return descriptor;
  libc.close(descriptor);
  return undefined;
}

class NodeUdpSocket implements HostUdpSocket {
  readonly local: HostEndpoint;
  onMessage: HostUdpSocket['onMessage'];
  onError: HostUdpSocket['onError'];
  readonly #socket: dgram.Socket;
  /** Where errors can be asked for. */
  readonly #descriptor: number | undefined;
  #isClosed = false;

  constructor(socket: dgram.Socket, descriptor: number | undefined) {
    const { address, port } = socket.address();
    this.local = { address, port };
    this.#socket = socket;
    this.#descriptor = descriptor;
    socket.on('message', (bytes, from) => this.onMessage?.(bytes, from));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#tell(error));
  }

  send(bytes: Uint8Array, to: HostEndpoint): void {
    if (this.#isClosed) return;
    const copy = Buffer.from(bytes);
    this.#socket.send(copy, to.port, to.address, (error) => {
      // What the kernel tells here may be of datagrams before this one, which has not been sent then.
      if (error !== null && this.#tell(error) && !this.#isClosed) this.#socket.send(copy, to.port, to.address, () => {});
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
  }

  /** True: it was about datagrams that were sent. */
  #tell(error: NodeJS.ErrnoException): boolean {
    if (this.#isClosed) return false;
    const reason = error.code === 'ECONNREFUSED' ? 'refused' : error.code === 'EMSGSIZE' ? 'too-long' : 'unreachable';
    const about = this.#takeErrors();
    if (about.length === 0) this.onError?.(reason);
    for (const to of about) this.onError?.(reason, to);
    return about.length > 0 && reason !== 'too-long';
  }

  /** Whom the datagrams were for that the queue tells of. */
  #takeErrors(): HostEndpoint[] {
    const about: HostEndpoint[] = [];
    if (this.#descriptor === undefined) return about;
    const address = new Uint8Array(SOCKET_ADDRESS_BYTES);
    const start = new Uint8Array(1);
    while (about.length < MOST_AT_ONCE && (linuxLibc()?.recvfrom(this.#descriptor, start, ERROR_QUEUE_DONTWAIT, address) ?? -1) >= 0)
      about.push(endpointOf(address));
    return about;
  }
}

/** AnilloError NETWORK if the address cannot be had. */
export function bindNodeUdp(at: HostEndpoint): Promise<HostUdpSocket> {
  const isV6 = at.address.includes(':');
  const socket = dgram.createSocket({ type: isV6 ? 'udp6' : 'udp4', ipv6Only: isV6, lookup: lookup as never });
  return new Promise((resolve, reject) => {
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      socket.close();
      reject(new AnilloError('NETWORK', `UDP port ${at.port} of ${at.address} cannot be used (${cause.code}); choose another.`, { cause }));
    });
    const descriptor = openTelling(at);
    socket.bind(descriptor === undefined ? { address: at.address, port: at.port } : { fd: descriptor }, () => {
      socket.removeAllListeners('error');
      resolve(new NodeUdpSocket(socket, descriptor));
    });
  });
}
