// UDP sockets of the host by node:dgram, as the NAT wants them.

import * as dgram from 'node:dgram';
import { AnilloError } from '@anillo/base/anillo-error';
import type { HostEndpoint, HostUdpSocket } from '@anillo/net/host-network';

/** Addresses are given as such: nothing is looked up. */
function lookup(address: string, _options: unknown, then: (error: null, address: string, family: number) => void): void {
  then(null, address, address.includes(':') ? 6 : 4);
}

class NodeUdpSocket implements HostUdpSocket {
  readonly local: HostEndpoint;
  onMessage: HostUdpSocket['onMessage'];
  onError: HostUdpSocket['onError'];
  readonly #socket: dgram.Socket;
  #isClosed = false;

  constructor(socket: dgram.Socket) {
    const { address, port } = socket.address();
    this.local = { address, port };
    this.#socket = socket;
    socket.on('message', (bytes, from) => this.onMessage?.(bytes, from));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#tell(error));
  }

  send(bytes: Uint8Array, to: HostEndpoint): void {
    if (this.#isClosed) return;
    this.#socket.send(Buffer.from(bytes), to.port, to.address, (error) => {
      if (error !== null) this.#tell(error);
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
  }

  #tell(error: NodeJS.ErrnoException): void {
    if (this.#isClosed) return;
    this.onError?.(error.code === 'ECONNREFUSED' ? 'refused' : error.code === 'EMSGSIZE' ? 'too-long' : 'unreachable');
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
    socket.bind({ address: at.address, port: at.port }, () => {
      socket.removeAllListeners('error');
      resolve(new NodeUdpSocket(socket));
    });
  });
}
