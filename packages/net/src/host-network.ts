// What the NAT needs of its host: sockets, names, echoes. Addresses are text ('10.0.0.1', '::1'). All callbacks come on the machine's thread, never from within the call.

export type IpFamily = 4 | 6;

export interface HostEndpoint {
  readonly address: string;
  readonly port: number;
}

export interface HostTcpEvents {
  /** The connection stands. */
  onConnected(): void;
  /** Bytes from the peer, lent for the call. */
  onData(bytes: Uint8Array): void;
  /** The peer sends no more. */
  onEnd(): void;
  /** Room to send, after `write` has said false. */
  onDrain(): void;
  /** All is over. */
  onClosed(reason: 'closed' | 'refused' | 'reset' | 'unreachable' | 'timeout'): void;
}

export interface HostTcpConnection {
  readonly remote: HostEndpoint;
  readonly local: HostEndpoint;
  events: HostTcpEvents | undefined;
  /** Copies the bytes. False: taken, but no more until `onDrain`. */
  write(bytes: Uint8Array): boolean;
  /** Sends no more. */
  end(): void;
  /** Ends both ways at once, with a reset. */
  reset(): void;
  /** No more `onData` until `resume`. */
  pause(): void;
  resume(): void;
}

export interface HostUdpSocket {
  readonly local: HostEndpoint;
  onMessage: ((bytes: Uint8Array, from: HostEndpoint) => void) | undefined;
  /** Unreachable and the like. `to`: whom the datagram was for; undefined: not known. */
  onError: ((reason: 'refused' | 'unreachable' | 'too-long', to?: HostEndpoint) => void) | undefined;
  send(bytes: Uint8Array, to: HostEndpoint): void;
  close(): void;
}

export interface HostListener {
  readonly local: HostEndpoint;
  close(): void;
}

export interface HostNetwork {
  connectTcp(to: HostEndpoint): HostTcpConnection;
  /** AnilloError NETWORK if the address cannot be had. */
  listenTcp(at: HostEndpoint, onConnection: (connection: HostTcpConnection) => void): Promise<HostListener>;
  /** AnilloError NETWORK if the address cannot be had. */
  bindUdp(at: HostEndpoint): Promise<HostUdpSocket>;
  /** Addresses of a name by the host's resolver; empty: there are none. */
  lookup(name: string, family: IpFamily): Promise<readonly string[]>;
  /** Asks the host's name server for a record as DNS says it: question in, whole answer out; undefined: it cannot be asked. */
  query(question: Uint8Array): Promise<Uint8Array | undefined>;
  /** Does the host answer an echo request to that address? Undefined: the host does not let us ask. */
  ping(address: string, payload: Uint8Array, timeoutMs: number): Promise<boolean | undefined>;
}
