// TCP between machines and the host's world: what machines open goes out through the host's sockets, what comes to forwarded ports goes in.

import type { Clock } from '../clock.ts';
import type { HostNetwork, HostTcpConnection } from '../host-network.ts';
import type { IpAddress } from '../ip-address.ts';
import type { TcpFlow } from '../tcp/tcp-flow.ts';
import type { TcpHandler } from '../tcp/tcp-ports.ts';
import type { TcpStack } from '../tcp/tcp-stack.ts';
import type { TokenBucket } from '../token-bucket.ts';
import type { DnsForwarder } from './dns-forwarder.ts';
import { DnsOverTcp } from './dns-over-tcp.ts';
import type { QuotedPacket } from './icmp-messages.ts';
import type { NatAddresses } from './nat-addresses.ts';
import type { NatCounts } from './nat-counts.ts';
import type { GuestForward } from './nat-options.ts';
import { TcpSplice } from './tcp-splice.ts';

export interface TcpGatewayOptions {
  readonly network: HostNetwork;
  readonly clock: Clock;
  readonly addresses: NatAddresses;
  readonly dns: DnsForwarder;
  readonly guestForwards: readonly GuestForward[];
  readonly upLimit: TokenBucket;
  readonly downLimit: TokenBucket;
  readonly counts: NatCounts;
  /** May a machine connect there? */
  readonly allows: (destination: IpAddress, port: number) => boolean;
  /** The packet that is being looked at. */
  readonly quote: () => QuotedPacket;
  readonly tell: (problem: 'host', about: QuotedPacket) => void;
}

const DNS_PORT = 53;

export class TcpGateway {
  readonly #options: TcpGatewayOptions;
  /** Connections, and whether egress rules hold for them. */
  readonly #splices = new Map<TcpSplice, boolean>();

  constructor(options: TcpGatewayOptions) {
    this.#options = options;
  }

  /** A machine opens a connection. */
  accept(flow: TcpFlow): TcpHandler | undefined {
    const { network, addresses, dns, clock, counts, tell } = this.#options;
    const { local, localPort } = flow.addresses;
    if (addresses.isNameServer(local)) {
      if (localPort !== DNS_PORT) return undefined;
      clock.soon(() => flow.connection.answer());
      return new DnsOverTcp(flow, dns);
    }
    const lent = this.#options.guestForwards.find(({ address, port }) => port === localPort && address.equals(local));
    if (lent !== undefined)
      return this.#join(flow, network.connectTcp(lent.to), { isRuled: false, isOutgoing: true, onUnreachable: () => false });
    const hostAddress = addresses.hostAddressOf(local);
    if (hostAddress === undefined) return undefined;
    if (!this.#options.allows(local, localPort)) {
      counts.denied++;
      return undefined;
    }
    const about = this.#options.quote();
    const host = network.connectTcp({ address: hostAddress, port: localPort });
    const onUnreachable = (): boolean => {
      tell('host', about);
      return true;
    };
    return this.#join(flow, host, { isRuled: true, isOutgoing: true, onUnreachable });
  }

  /** Somebody has connected to a port that is forwarded. */
  forward(stack: TcpStack, host: HostTcpConnection, guest: IpAddress, guestPort: number): void {
    const { addresses } = this.#options;
    const local = addresses.guestAddressOf(host.remote.address, guest.family);
    if (local === undefined) return host.reset();
    const join = (flow: TcpFlow): TcpHandler => this.#join(flow, host, { isRuled: false, isOutgoing: false, onUnreachable: () => false });
    const peer = { peer: guest, peerPort: guestPort };
    // As itself if it can; the gateway lends a port of its own otherwise.
    const isItself = !addresses.isGateway(local) && stack.connect({ local, localPort: host.remote.port, ...peer }, join) !== undefined;
    if (isItself || stack.connect({ local: addresses.subnet(guest.family)!.gateway, localPort: 0, ...peer }, join) !== undefined) return;
    host.reset();
  }

  #join(
    flow: TcpFlow,
    host: HostTcpConnection,
    how: { readonly isRuled: boolean; readonly isOutgoing: boolean; readonly onUnreachable: () => boolean },
  ): TcpHandler {
    const { isRuled, isOutgoing, onUnreachable } = how;
    const { clock, upLimit, downLimit, counts } = this.#options;
    counts.tcpOpened++;
    const splice = new TcpSplice({
      flow,
      host,
      clock,
      upLimit,
      downLimit,
      isOutgoing,
      onUnreachable,
      onClosed: (closed) => {
        if (!this.#splices.delete(closed)) return;
        counts.bytesUp += closed.bytesUp;
        counts.bytesDown += closed.bytesDown;
      },
    });
    this.#splices.set(splice, isRuled);
    return splice.guestHandler;
  }

  /** Of connections that still stand; those that have ended are in the counts. */
  get liveBytes(): { up: number; down: number } {
    let up = 0;
    let down = 0;
    for (const splice of this.#splices.keys()) {
      up += splice.bytesUp;
      down += splice.bytesDown;
    }
    return { up, down };
  }

  /** Rules have changed: connections that would not be allowed now end. */
  recheck(): void {
    for (const [splice, isRuled] of [...this.#splices]) {
      const { local, localPort } = splice.flow.addresses;
      if (isRuled && !this.#options.allows(local, localPort)) splice.abort();
    }
  }
}
