// A host's network in memory: servers by address and port, names, and connections whose readers may be slow. All on a clock of the test's.

import type { Clock } from '../clock.ts';
import type {
  HostEndpoint,
  HostListener,
  HostNetwork,
  HostTcpConnection,
  HostTcpEvents,
  HostUdpSocket,
  IpFamily,
} from '../host-network.ts';

type EndReason = Parameters<HostTcpEvents['onClosed']>[0];

const keyOf = ({ address, port }: HostEndpoint): string => `${address} ${port}`;

/** One end of a connection in memory. */
export class MemoryConnection implements HostTcpConnection {
  readonly remote: HostEndpoint;
  readonly local: HostEndpoint;
  events: HostTcpEvents | undefined;
  peer!: MemoryConnection;
  /** What has come and waits, and its end. */
  readonly #inbox: Uint8Array[] = [];
  inboxBytes = 0;
  #isPaused = false;
  #isEndDue = false;
  #isEndTold = false;
  #isEnded = false;
  #isClosed = false;
  #isFull = false;
  readonly #clock: Clock;
  readonly #limit: number;

  constructor(clock: Clock, local: HostEndpoint, remote: HostEndpoint, limit: number) {
    this.#clock = clock;
    this.local = local;
    this.remote = remote;
    this.#limit = limit;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isEnded || this.#isClosed) return true;
    const { peer } = this;
    peer.#inbox.push(bytes.slice());
    peer.inboxBytes += bytes.length;
    this.#clock.soon(() => peer.#deliver());
    this.#isFull = peer.inboxBytes >= this.#limit;
    return !this.#isFull;
  }

  end(): void {
    this.#isEnded = true;
    this.peer.#isEndDue = true;
    this.#clock.soon(() => this.peer.#deliver());
  }

  reset(): void {
    this.close('closed');
    this.peer.close('reset');
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#clock.soon(() => this.#deliver());
  }

  close(reason: EndReason): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#clock.soon(() => this.events?.onClosed(reason));
  }

  #deliver(): void {
    while (!this.#isPaused && !this.#isClosed && this.#inbox.length > 0) {
      const bytes = this.#inbox.shift()!;
      this.inboxBytes -= bytes.length;
      this.events?.onData(bytes);
    }
    if (this.peer.#isFull && this.inboxBytes <= this.#limit / 2) {
      this.peer.#isFull = false;
      this.peer.events?.onDrain();
    }
    if (this.#isPaused || this.#isClosed || !this.#isEndDue || this.#isEndTold || this.#inbox.length > 0) return;
    this.#isEndTold = true;
    this.events?.onEnd();
    if (this.#isEnded) this.close('closed');
    if (this.peer.#isEndTold) this.peer.close('closed');
  }
}

export class MemoryNetwork implements HostNetwork {
  readonly servers = new Map<string, (connection: MemoryConnection) => void>();
  readonly udpServers = new Map<string, (bytes: Uint8Array, reply: (bytes: Uint8Array) => void, from: HostEndpoint) => void>();
  readonly sockets = new Map<string, HostUdpSocket>();
  readonly names = new Map<string, readonly string[]>();
  answer: ((question: Uint8Array) => Uint8Array | undefined) | undefined;
  pingable = new Set<string>();
  readonly connected: HostEndpoint[] = [];
  readonly #clock: Clock;
  readonly #limit: number;
  #nextPort = 40_000;

  /** `limit`: bytes that may wait in a connection. */
  constructor(clock: Clock, limit = 65_536) {
    this.#clock = clock;
    this.#limit = limit;
  }

  connectTcp(to: HostEndpoint): MemoryConnection {
    this.connected.push(to);
    const [near, far] = this.#pair({ address: '127.0.0.1', port: this.#nextPort++ }, to);
    const serve = this.servers.get(keyOf(to));
    this.#clock.after(1, () => {
      if (serve === undefined) return near.close(to.address.startsWith('192.0.2.') ? 'unreachable' : 'refused');
      serve(far);
      near.events?.onConnected();
    });
    return near;
  }

  /** Somebody of the host's world connects to a port that is listened at. */
  dial(to: HostEndpoint, from: HostEndpoint): MemoryConnection {
    const [near, far] = this.#pair(from, to);
    this.#clock.soon(() => {
      const serve = this.servers.get(keyOf(to));
      if (serve === undefined) near.close('refused');
      else {
        serve(far);
        near.events?.onConnected();
      }
    });
    return near;
  }

  #pair(local: HostEndpoint, remote: HostEndpoint): [MemoryConnection, MemoryConnection] {
    const near = new MemoryConnection(this.#clock, local, remote, this.#limit);
    const far = new MemoryConnection(this.#clock, remote, local, this.#limit);
    near.peer = far;
    far.peer = near;
    return [near, far];
  }

  listenTcp(at: HostEndpoint, onConnection: (connection: HostTcpConnection) => void): Promise<HostListener> {
    this.servers.set(keyOf(at), onConnection);
    return Promise.resolve({ local: at, close: () => void this.servers.delete(keyOf(at)) });
  }

  bindUdp(at: HostEndpoint): Promise<HostUdpSocket> {
    const local = at.port === 0 ? { address: at.address, port: this.#nextPort++ } : at;
    const socket: HostUdpSocket = {
      local,
      onMessage: undefined,
      onError: undefined,
      send: (bytes, to) => {
        const kept = bytes.slice();
        this.#clock.soon(() => this.udpServers.get(keyOf(to))?.(kept, (answer) => socket.onMessage?.(answer, to), local));
      },
      close: () => void this.sockets.delete(keyOf(local)),
    };
    this.sockets.set(keyOf(local), socket);
    return Promise.resolve(socket);
  }

  lookup(name: string, family: IpFamily): Promise<readonly string[]> {
    return Promise.resolve((this.names.get(name) ?? []).filter((address) => address.includes(':') === (family === 6)));
  }

  query(question: Uint8Array): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.answer?.(question));
  }

  ping(address: string): Promise<boolean | undefined> {
    return Promise.resolve(this.pingable.has(address));
  }
}
