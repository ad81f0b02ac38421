// Ports of the host that lead to machines; they come and go while the network runs.

import { AnilloError } from '@anillo/base/anillo-error';
import type { HostEndpoint, HostListener, HostNetwork, HostTcpConnection, HostUdpSocket } from '../host-network.ts';
import { IpAddress } from '../ip-address.ts';

export interface PortForwardOptions {
  readonly protocol: 'tcp' | 'udp';
  /** 127.0.0.1 when absent: only the host itself. */
  readonly hostAddress?: string;
  /** 0: any that is free. */
  readonly hostPort: number;
  /** An address or a machine's name; the first machine's when absent. */
  readonly guest?: string;
  readonly guestPort: number;
}

export interface PortForward {
  readonly options: PortForwardOptions;
  /** Where it listens. */
  readonly local: HostEndpoint;
  close(): void;
}

export interface ForwardTargets {
  readonly network: HostNetwork;
  /** Where a guest is now; undefined: nowhere yet. */
  readonly resolve: (guest: string | undefined) => IpAddress | undefined;
  readonly onConnection: (connection: HostTcpConnection, guest: IpAddress, port: number) => void;
  readonly onDatagram: (socket: HostUdpSocket, bytes: Uint8Array, from: HostEndpoint, guest: IpAddress, port: number) => void;
  readonly onSocketClosed: (socket: HostUdpSocket) => void;
}

function checkPort(port: number, smallest: number): void {
  if (Number.isInteger(port) && port >= smallest && port <= 65_535) return;
  throw new AnilloError('BAD_OPTION', `${port} is no port to forward; give a number from ${smallest} to 65535.`);
}

export class PortForwards {
  readonly #targets: ForwardTargets;
  readonly #forwards = new Set<PortForward>();

  constructor(targets: ForwardTargets) {
    this.#targets = targets;
  }

  get all(): ReadonlySet<PortForward> {
    return this.#forwards;
  }

  /** AnilloError NETWORK if the host's port cannot be had, BAD_OPTION if what is asked for makes no sense. */
  async add(options: PortForwardOptions): Promise<PortForward> {
    checkPort(options.hostPort, 0);
    checkPort(options.guestPort, 1);
    const { guest, hostAddress = '127.0.0.1' } = options;
    if (guest !== undefined && !/^[a-z0-9_.:-]+$/i.test(guest)) {
      throw new AnilloError('BAD_OPTION', `'${guest}' is no machine to forward to; give its address or its name.`);
    }
    if (IpAddress.parse(hostAddress) === undefined) {
      throw new AnilloError('BAD_OPTION', `'${hostAddress}' is no address of the host; give one like 127.0.0.1 or 0.0.0.0.`);
    }
    const at = { address: hostAddress, port: options.hostPort };
    const listener = options.protocol === 'tcp' ? await this.#listen(at, options) : await this.#bind(at, options);
    const forward: PortForward = {
      options,
      local: listener.local,
      close: () => {
        if (this.#forwards.delete(forward)) listener.close();
      },
    };
    this.#forwards.add(forward);
    return forward;
  }

  close(): void {
    for (const forward of [...this.#forwards]) forward.close();
  }

  #listen(at: HostEndpoint, options: PortForwardOptions): Promise<HostListener> {
    return this.#targets.network.listenTcp(at, (connection) => {
      const guest = this.#targets.resolve(options.guest);
      if (guest === undefined) connection.reset();
      else this.#targets.onConnection(connection, guest, options.guestPort);
    });
  }

  async #bind(at: HostEndpoint, options: PortForwardOptions): Promise<HostListener> {
    const socket = await this.#targets.network.bindUdp(at);
    socket.onMessage = (bytes, from) => {
      const guest = this.#targets.resolve(options.guest);
      if (guest !== undefined) this.#targets.onDatagram(socket, bytes, from, guest, options.guestPort);
    };
    return {
      local: socket.local,
      close: () => {
        this.#targets.onSocketClosed(socket);
        socket.close();
      },
    };
  }
}
