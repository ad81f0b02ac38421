// A network for machines with the host's for an outside: router, DHCP, DNS, and the machines' TCP, UDP and echoes by sockets of the host. It needs no privilege, and keeps nothing
// without a bound. Addresses are those of QEMU's user network.

import { checksumOf, sumBytes } from '../checksum.ts';
import { ARP_REQUEST, ICMPV6_TYPES, writeArp } from '../ip/address-resolution.ts';
import { IpInterface } from '../ip/ip-interface.ts';
import type { IpPacket } from '../ip/ip-packet.ts';
import { IpAddress } from '../ip-address.ts';
import { isGroupMac, readMac } from '../mac-address.ts';
import { read16 } from '../network-order.ts';
import { ETHER_TYPES, IP_PROTOCOLS, UDP_BYTES } from '../protocol-numbers.ts';
import { TcpStack } from '../tcp/tcp-stack.ts';
import { Deadline, TimerQueue } from '../timer-queue.ts';
import { TokenBucket } from '../token-bucket.ts';
import { DhcpServer } from './dhcp-server.ts';
import { answerDhcpv6 } from './dhcpv6-server.ts';
import { DnsForwarder } from './dns-forwarder.ts';
import { EchoRelay } from './echo-relay.ts';
import { type EgressPolicy, EgressRules } from './egress-rules.ts';
import { IcmpMessages, type IcmpProblem, type QuotedPacket, quote } from './icmp-messages.ts';
import { NatAddresses, ROUTER_LINK_LOCAL } from './nat-addresses.ts';
import { createNatCounts, type NatCounts } from './nat-counts.ts';
import { NatNames } from './nat-names.ts';
import {
  guestForwardOptions,
  machineOptions,
  mtuOption,
  type NatMachine,
  type NatOptions,
  nextServerOption,
  rateOption,
  routerMac,
} from './nat-options.ts';
import { NeighbourDiscovery } from './neighbour-discovery.ts';
import { type PortForward, type PortForwardOptions, PortForwards } from './port-forwards.ts';
import { TcpGateway } from './tcp-gateway.ts';
import { sendUdp, UdpRelay } from './udp-relay.ts';

const DNS_PORT = 53;
const DHCP_SERVER_PORT = 67;
const DHCP_CLIENT_PORT = 68;
const DHCPV6_CLIENT_PORT = 546;
const DHCPV6_SERVER_PORT = 547;
const DEFAULT_HOST_NAME = 'host';
const DEFAULT_LEASE_SECONDS = 86_400;
/** Before the router's life, as it told it, ends. */
const ADVERTISE_EVERY_MS = 600_000;
const DENY_ALL: EgressPolicy = { rules: [], otherwise: 'deny' };
const ALLOW_ALL: EgressPolicy = { rules: [], otherwise: 'allow' };

export class Nat {
  readonly #options: NatOptions;
  readonly #addresses: NatAddresses;
  readonly #link: IpInterface;
  readonly #timers: TimerQueue;
  readonly #rules: EgressRules;
  readonly #counts = createNatCounts();
  readonly #upLimit: TokenBucket;
  readonly #downLimit: TokenBucket;
  readonly #icmp: IcmpMessages;
  readonly #discovery: NeighbourDiscovery;
  readonly #dhcp: DhcpServer | undefined;
  readonly #names: NatNames;
  readonly #dns: DnsForwarder;
  readonly #echo: EchoRelay;
  readonly #udp: UdpRelay;
  readonly #gateway: TcpGateway;
  readonly #tcp: TcpStack;
  readonly #forwards: PortForwards;
  readonly #advertisement: Deadline;
  #current: IpPacket | undefined;
  /** Whose address was looked at last: it need not be again. */
  #lastSource: { readonly address: IpAddress; readonly mac: number } | undefined;
  #isClosed = false;

  constructor(options: NatOptions) {
    const { clock, network, port } = options;
    this.#options = options;
    const guestForwards = guestForwardOptions(options);
    this.#addresses = new NatAddresses(
      options.ipv4,
      options.ipv6,
      guestForwards.map((forward) => forward.address),
    );
    this.#rules = new EgressRules(options.egress ?? (options.isRestricted ? DENY_ALL : ALLOW_ALL));
    this.#upLimit = new TokenBucket(rateOption(options.upLimit));
    this.#downLimit = new TokenBucket(rateOption(options.downLimit));
    this.#timers = new TimerQueue(clock);
    const machines = machineOptions(options);
    const nowMs = (): number => clock.nowMs();
    this.#dhcp = this.#createDhcp(machines);
    this.#names = new NatNames({
      addresses: this.#addresses,
      machines,
      dhcp: this.#dhcp,
      hostName: options.hostName ?? DEFAULT_HOST_NAME,
      domain: options.domain,
    });
    this.#link = new IpInterface({
      port,
      mac: routerMac(options),
      mtu: mtuOption(options),
      nowMs,
      onPacket: (packet) => this.#receive(packet),
      onArp: (frame, start) => this.#receiveArp(frame, start),
      sourceFor: (destination) => (destination.isLinkLocal ? ROUTER_LINK_LOCAL : this.#addresses.subnet(destination.family)?.gateway),
    });
    this.#icmp = new IcmpMessages(this.#link, nowMs, (family) => this.#addresses.subnet(family)?.gateway);
    this.#discovery = new NeighbourDiscovery(this.#link, this.#addresses);
    this.#dns = new DnsForwarder({
      network,
      clock,
      rules: this.#rules,
      local: (name) => this.#names.addressesOf(name),
      nameOf: (address) => this.#names.nameOf(address),
      isOnLink: (address) => this.#addresses.isOnLink(address),
    });
    const shared = { network, clock, addresses: this.#addresses, counts: this.#counts, upLimit: this.#upLimit, downLimit: this.#downLimit };
    const tell = (problem: IcmpProblem, about: QuotedPacket): void => this.#icmp.tell(problem, about);
    this.#echo = new EchoRelay({ ...shared, icmp: this.#icmp, allows: (address) => this.#allows('icmp', address, 0) });
    this.#udp = new UdpRelay({
      ...shared,
      link: this.#link,
      timers: this.#timers,
      tell,
      allows: (address, number) => this.#allows('udp', address, number),
    });
    this.#gateway = new TcpGateway({
      ...shared,
      dns: this.#dns,
      guestForwards,
      tell,
      quote: () => quote(this.#current!),
      allows: (address, number) => this.#allows('tcp', address, number),
    });
    this.#tcp = new TcpStack({
      link: this.#link,
      clock,
      timers: this.#timers,
      accept: (flow) => this.#gateway.accept(flow),
      connectionLimit: options.connectionLimit,
      memoryBytes: options.memoryBytes,
      random32: options.random32,
    });
    this.#forwards = new PortForwards({
      network,
      resolve: (guest) => this.#guestAddress(guest),
      onConnection: (connection, guest, number) => this.#gateway.forward(this.#tcp, connection, guest, number),
      onDatagram: (socket, bytes, from, guest, number) => this.#udp.deliverForwarded(socket, bytes, from, guest, number),
      onSocketClosed: (socket) => this.#udp.forgetSocket(socket),
    });
    this.#advertisement = new Deadline(this.#timers, () => this.#advertise());
    if (this.#addresses.v6 !== undefined) this.#advertisement.set(nowMs() + ADVERTISE_EVERY_MS);
    port.onRoom = () => this.#tcp.onRoom();
    port.onUp = () => {
      if (port.isUp && !this.#isClosed) this.#discovery.advertiseRouter();
    };
  }

  get counts(): Readonly<NatCounts> & { readonly tcpConnections: number; readonly udpPorts: number } {
    const live = this.#gateway.liveBytes;
    return {
      ...this.#counts,
      bytesUp: this.#counts.bytesUp + live.up,
      bytesDown: this.#counts.bytesDown + live.down,
      tcpConnections: this.#tcp.connectionCount,
      udpPorts: this.#udp.portCount,
    };
  }

  get forwards(): ReadonlySet<PortForward> {
    return this.#forwards.all;
  }

  /** A port of the host leads to a machine from now on. AnilloError NETWORK if it cannot be had. */
  forward(options: PortForwardOptions): Promise<PortForward> {
    return this.#forwards.add(options);
  }

  /** Holds for connections that stand, too: what is not allowed any more ends. */
  setEgress(policy: EgressPolicy): void {
    this.#rules.set(policy);
    this.#gateway.recheck();
    this.#udp.recheck();
  }

  /** Bytes a second; undefined: as fast as it goes. */
  setLimits(limits: { readonly up: number | undefined; readonly down: number | undefined }): void {
    this.#upLimit.setRate(rateOption(limits.up));
    this.#downLimit.setRate(rateOption(limits.down));
  }

  close(): void {
    this.#isClosed = true;
    this.#forwards.close();
    this.#tcp.close();
    this.#udp.close();
    this.#timers.close();
    this.#link.close();
    this.#options.port.onUp = undefined;
  }

  #createDhcp(machines: readonly NatMachine[]): DhcpServer | undefined {
    const { v4 } = this.#addresses;
    if (v4 === undefined) return undefined;
    const { clock, domain, searchDomains = [], leaseSeconds = DEFAULT_LEASE_SECONDS, boot } = this.#options;
    return new DhcpServer({
      subnet: v4,
      nowMs: () => clock.nowMs(),
      mtu: mtuOption(this.#options),
      leaseSeconds,
      domain,
      searchDomains,
      nextServer: nextServerOption(this.#options),
      bootFile: boot?.file,
      machines,
    });
  }

  #allows(protocol: 'tcp' | 'udp' | 'icmp', destination: IpAddress, number: number): boolean {
    return this.#rules.allows(protocol, destination, number, this.#options.clock.nowMs());
  }

  #guestAddress(guest: string | undefined): IpAddress | undefined {
    if (guest === undefined) return this.#addresses.v4?.firstLease;
    const address = IpAddress.parse(guest);
    if (address !== undefined) return this.#addresses.isOnLink(address) ? address : undefined;
    return this.#names.addressesOf(guest.toLowerCase())?.[0];
  }

  #advertise(): void {
    this.#discovery.advertiseRouter();
    this.#advertisement.set(this.#options.clock.nowMs() + ADVERTISE_EVERY_MS);
  }

  // Frames

  /** `start`: of the hardware type; the whole ARP packet is there. */
  #receiveArp(frame: Uint8Array, start: number): void {
    const isForUs = read16(frame, start) === 1 && read16(frame, start + 2) === ETHER_TYPES.ipv4 && read16(frame, start + 4) === 0x0604;
    if (!isForUs || this.#addresses.v4 === undefined) return;
    const senderMac = readMac(frame, start + 8);
    const sender = IpAddress.at(frame, start + 14, 4);
    const target = IpAddress.at(frame, start + 24, 4);
    if (isGroupMac(senderMac)) return;
    this.#learn(sender, senderMac);
    if (read16(frame, start + 6) !== ARP_REQUEST || !this.#addresses.isOwn(target)) return;
    this.#link.sendFrame(writeArp({ isReply: true, mac: this.#link.mac, address: target, toMac: senderMac, toAddress: sender }));
  }

  #learn(address: IpAddress, mac: number): void {
    const isNeighbour =
      (this.#addresses.isOnLink(address) || (address.family === 6 && address.isLinkLocal)) && !this.#addresses.isOwn(address);
    if (!isNeighbour || isGroupMac(mac) || mac === this.#link.mac) return;
    this.#lastSource = undefined;
    this.#link.learn(address, mac);
  }

  #receive(packet: IpPacket): void {
    const { protocol, family } = packet;
    if (this.#addresses.subnet(family) === undefined) return;
    if (protocol === IP_PROTOCOLS.tcp && this.#tcp.receive(packet)) return;
    if (protocol === IP_PROTOCOLS.udp) return this.#receiveUdp(packet);
    if (family === 6 && protocol === IP_PROTOCOLS.icmpv6 && this.#isDiscovery(packet)) return this.#discovery.receive(packet);
    if (packet.isGroupcast || !this.#isFromNeighbour(packet)) return;
    const { destination } = packet;
    const isOwn = this.#addresses.isOwn(destination);
    if (!isOwn && this.#isExpired(packet)) return;
    if (protocol === IP_PROTOCOLS.tcp) {
      if (!isOwn && this.#addresses.isOnLink(destination)) return;
      this.#current = packet;
      this.#learnSource(packet);
      this.#tcp.receiveOther(packet);
    } else if (protocol === (family === 4 ? IP_PROTOCOLS.icmp : IP_PROTOCOLS.icmpv6)) {
      this.#learnSource(packet);
      this.#echo.receive(packet);
    }
  }

  #isDiscovery(packet: IpPacket): boolean {
    const type = packet.start < packet.end ? packet.bytes[packet.start] : 0;
    return type >= ICMPV6_TYPES.routerSolicitation && type <= ICMPV6_TYPES.advertisement;
  }

  /** Nobody is answered who is not on the link. */
  #isFromNeighbour(packet: IpPacket): boolean {
    const { bytes, sourceAt, family } = packet;
    const subnet = this.#addresses.subnet(family)!;
    if (family === 6 && bytes[sourceAt] === 0xfe && bytes[sourceAt + 1] >> 6 === 2) return true;
    return subnet.prefix.containsAt(bytes, sourceAt) && !subnet.gateway.isAt(bytes, sourceAt) && !subnet.nameServer.isAt(bytes, sourceAt);
  }

  #isExpired(packet: IpPacket): boolean {
    if (packet.hopLimit > 1) return false;
    this.#learnSource(packet);
    this.#icmp.tell('time', quote(packet));
    return true;
  }

  #learnSource(packet: IpPacket): void {
    const last = this.#lastSource;
    if (last?.address.family === packet.family && last.mac === packet.sourceMac && last.address.isAt(packet.bytes, packet.sourceAt)) return;
    const { source } = packet;
    if (this.#link.neighbours.macOf(source.text) !== packet.sourceMac) this.#learn(source, packet.sourceMac);
    this.#lastSource = { address: source, mac: packet.sourceMac };
  }

  #receiveUdp(packet: IpPacket): void {
    const { bytes, start, end, family } = packet;
    if (end - start < UDP_BYTES || !this.#isUdpWhole(packet)) return;
    const port = read16(bytes, start + 2);
    const payload = bytes.subarray(start + UDP_BYTES, Math.min(end, Math.max(start + UDP_BYTES, start + read16(bytes, start + 4))));
    if (family === 4 && port === DHCP_SERVER_PORT && (packet.isGroupcast || this.#addresses.isGateway(packet.destination)))
      return this.#answerDhcp(packet, payload);
    if (family === 6 && port === DHCPV6_SERVER_PORT && packet.isGroupcast) return this.#answerDhcpv6(packet, payload);
    if (packet.isGroupcast || !this.#isFromNeighbour(packet)) return;
    this.#learnSource(packet);
    const { destination } = packet;
    if (this.#addresses.isNameServer(destination)) {
      if (port !== DNS_PORT) return this.#icmp.tell('port', quote(packet));
      return this.#answerDns(packet, payload);
    }
    if (!this.#addresses.isGateway(destination) && this.#isExpired(packet)) return;
    this.#udp.receive(packet);
  }

  /** A checksum that is left to do is right by definition; over IPv4 there need be none. */
  #isUdpWhole(packet: IpPacket): boolean {
    const { bytes, start, end } = packet;
    if (packet.work !== undefined || (packet.family === 4 && read16(bytes, start + 6) === 0)) return true;
    const addressesEnd = packet.destinationAt + (packet.family === 4 ? 4 : 16);
    const pseudo = IP_PROTOCOLS.udp + read16(bytes, start + 4) + sumBytes(bytes, packet.sourceAt, addressesEnd);
    return read16(bytes, start + 4) <= end - start && checksumOf(pseudo + sumBytes(bytes, start, start + read16(bytes, start + 4))) === 0;
  }

  #answerDhcp(packet: IpPacket, payload: Uint8Array): void {
    const answer = this.#dhcp?.answer(payload);
    if (answer === undefined) return;
    const source = this.#addresses.v4!.gateway;
    if (answer.isUnicast) this.#learn(answer.destination, packet.sourceMac);
    const mac = answer.isUnicast ? packet.sourceMac : undefined;
    const { bytes, destination } = answer;
    sendUdp(this.#link, { source, sourcePort: DHCP_SERVER_PORT, destination, destinationPort: DHCP_CLIENT_PORT, bytes, mac });
  }

  #answerDhcpv6(packet: IpPacket, payload: Uint8Array): void {
    const { nameServer } = this.#addresses.v6!;
    const bytes = answerDhcpv6(payload, { mac: this.#link.mac, nameServer, searchDomains: this.#options.searchDomains ?? [] });
    const { source: destination, sourceMac: mac } = packet;
    if (bytes === undefined || !destination.isLinkLocal) return;
    sendUdp(this.#link, {
      source: ROUTER_LINK_LOCAL,
      sourcePort: DHCPV6_SERVER_PORT,
      destination,
      destinationPort: DHCPV6_CLIENT_PORT,
      bytes,
      mac,
    });
  }

  #answerDns(packet: IpPacket, payload: Uint8Array): void {
    const { source: destination, destination: source } = packet;
    const destinationPort = read16(packet.bytes, packet.start);
    this.#dns.ask(payload, false, (bytes) => {
      if (!this.#isClosed) sendUdp(this.#link, { source, sourcePort: DNS_PORT, destination, destinationPort, bytes });
    });
  }

  /** For tests and counters: how many addresses, packets in pieces and connections are remembered. */
  get remembered(): { readonly neighbours: number; readonly fragments: number; readonly connections: number; readonly ports: number } {
    return {
      neighbours: this.#link.neighbours.size,
      fragments: this.#link.fragments.size,
      connections: this.#tcp.connectionCount,
      ports: this.#udp.portCount,
    };
  }
}
