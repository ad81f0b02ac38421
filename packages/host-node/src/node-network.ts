// The host's sockets, names and echoes for the NAT.

import { promises as dns } from 'node:dns';
import * as net from 'node:net';
import { AnilloError } from '@anillo/base/anillo-error';
import type { HostEndpoint, HostListener, HostNetwork, HostTcpConnection, HostUdpSocket, IpFamily } from '@anillo/net/host-network';
import { loadLinuxLibc } from './linux-libc.ts';
import { queryNameServers } from './name-server-query.ts';
import { NodePing } from './node-ping.ts';
import { NodeTcpConnection, TcpBuffers } from './node-tcp.ts';
import { bindNodeUdp } from './node-udp.ts';

export class NodeNetwork implements HostNetwork {
  readonly #buffers = new TcpBuffers();
  #ping: NodePing | undefined;

  connectTcp(to: HostEndpoint): HostTcpConnection {
    return NodeTcpConnection.connect(to, this.#buffers);
  }

  listenTcp(at: HostEndpoint, onConnection: (connection: HostTcpConnection) => void): Promise<HostListener> {
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      const connection = NodeTcpConnection.accept(socket, this.#buffers);
      onConnection(connection);
      connection.start();
    });
    return new Promise((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) => {
        reject(
          new AnilloError('NETWORK', `TCP port ${at.port} of ${at.address} cannot be used (${cause.code}); choose another.`, { cause }),
        );
      });
      server.listen({ host: at.address, port: at.port, ipv6Only: net.isIPv6(at.address) }, () => {
        const { address, port } = server.address() as net.AddressInfo;
        resolve({ local: { address, port }, close: () => void server.close() });
      });
    });
  }

  bindUdp(at: HostEndpoint): Promise<HostUdpSocket> {
    return bindNodeUdp(at);
  }

  async lookup(name: string, family: IpFamily): Promise<readonly string[]> {
    try {
      return (await dns.lookup(name, { family, all: true })).map((entry) => entry.address);
    } catch {
      return [];
    }
  }

  query(question: Uint8Array): Promise<Uint8Array | undefined> {
    return queryNameServers(question);
  }

  ping(address: string, payload: Uint8Array, timeoutMs: number): Promise<boolean | undefined> {
    this.#ping ??= new NodePing(loadLinuxLibc());
    return this.#ping.ping(address, payload, timeoutMs);
  }
}
