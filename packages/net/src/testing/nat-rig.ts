// A NAT with a machine at its link, which has our own IP and TCP, and a host's network in memory.

import { createCable } from '../cable.ts';
import { ARP_REQUEST, writeArp } from '../ip/address-resolution.ts';
import { IpInterface } from '../ip/ip-interface.ts';
import type { IpPacket } from '../ip/ip-packet.ts';
import type { FramePort, FrameWork } from '../frame-port.ts';
import { IpAddress } from '../ip-address.ts';
import { parseMac, readMac } from '../mac-address.ts';
import { Nat } from '../nat/nat.ts';
import type { NatOptions } from '../nat/nat-options.ts';
import { IP_PROTOCOLS } from '../protocol-numbers.ts';
import type { TcpConnection } from '../tcp/tcp-connection.ts';
import type { TcpFlow } from '../tcp/tcp-flow.ts';
import { TcpStack } from '../tcp/tcp-stack.ts';
import { TimerQueue } from '../timer-queue.ts';
import { MAC_A } from './frames.ts';
import { MemoryNetwork } from './memory-network.ts';
import { TcpEndpoint } from './tcp-pair.ts';
import { VirtualClock } from './virtual-clock.ts';

export const GUEST = '10.0.2.15';

export class NatRig {
  readonly clock = new VirtualClock();
  readonly network: MemoryNetwork;
  readonly nat: Nat;
  readonly link: IpInterface;
  readonly tcp: TcpStack;
  /** Frames that the NAT has sent, copied; only when asked for. */
  readonly frames: Uint8Array[] = [];
  /** Packets that were not TCP. */
  readonly packets: { protocol: number; source: string; header: Uint8Array; payload: Uint8Array }[] = [];
  readonly accepted: TcpEndpoint[] = [];
  listens = true;
  readonly #guestEnd: FramePort;
  #nextPort = 50_000;

  constructor(options: Partial<NatOptions> = {}, how: { hostLimit?: number; takesWork?: boolean; refuses?: () => boolean } = {}) {
    const { clock } = this;
    this.network = new MemoryNetwork(clock, how.hostLimit);
    const [outer, inner] = createCable();
    this.#guestEnd = inner;
    this.link = new IpInterface({
      port: inner,
      mac: parseMac(MAC_A)!,
      mtu: 1500,
      nowMs: () => clock.nowMs(),
      onPacket: (packet) => this.#receive(packet),
      onArp: (frame, start) => this.#answerArp(frame, start),
      sourceFor: () => IpAddress.parse(GUEST),
    });
    const { receiver } = inner;
    inner.receiver = {
      takesWork: how.takesWork ?? true,
      send: (frame, work) => {
        if (how.refuses?.()) {
          clock.after(1, () => inner.hasRoom());
          return false;
        }
        this.frames.push(frame.slice());
        return receiver!.send(frame, work);
      },
    };
    this.nat = new Nat({ port: outer, network: this.network, clock, random32: () => 0x1234_5678, ...options });
    this.tcp = new TcpStack({ link: this.link, clock, timers: new TimerQueue(clock), accept: (flow) => this.#accept(flow) });
    for (const address of ['10.0.2.2', '10.0.2.3', 'fec0::2', 'fec0::3']) this.link.learn(IpAddress.parse(address)!, 0x5255_0a00_0202);
    this.frames.length = 0;
  }

  #answerArp(frame: Uint8Array, start: number): void {
    const address = IpAddress.parse(GUEST)!;
    if (frame[start + 7] !== ARP_REQUEST || !address.isAt(frame, start + 24)) return;
    const toAddress = IpAddress.at(frame, start + 14, 4);
    this.link.sendFrame(writeArp({ isReply: true, mac: this.link.mac, address, toMac: readMac(frame, start + 8), toAddress }));
  }

  #receive(packet: IpPacket): void {
    if (packet.protocol === IP_PROTOCOLS.tcp) {
      if (!this.tcp.receive(packet)) this.tcp.receiveOther(packet);
      return;
    }
    this.packets.push({
      protocol: packet.protocol,
      source: packet.source.text,
      header: packet.bytes.slice(packet.header, packet.start),
      payload: packet.bytes.slice(packet.start, packet.end),
    });
  }

  #accept(flow: TcpFlow): TcpEndpoint | undefined {
    if (!this.listens) return undefined;
    const endpoint = new TcpEndpoint();
    this.accepted.push(endpoint);
    this.link.learn(flow.addresses.peer, 0x5255_0a00_0202);
    this.clock.soon(() => {
      endpoint.connection = flow.connection;
      flow.connection.answer();
    });
    return endpoint;
  }

  /** The guest connects. */
  connect(address: string, port: number, from = GUEST): TcpEndpoint {
    const endpoint = new TcpEndpoint();
    const peer = IpAddress.parse(address)!;
    // All that is not on the link goes to the router.
    this.link.learn(peer, 0x5255_0a00_0202);
    const connection: TcpConnection | undefined = this.tcp.connect(
      { local: IpAddress.parse(from)!, localPort: this.#nextPort++, peer, peerPort: port },
      (flow) => {
        Object.defineProperty(endpoint, 'connection', { get: () => flow.connection });
        return endpoint;
      },
    );
    if (connection === undefined) throw new Error('no connection');
    return endpoint;
  }

  /** A frame from the guest. */
  send(frame: Uint8Array): void {
    this.link.sendFrame(frame);
    this.clock.settle();
  }

  /** Whatever it is, past the guest's own stack. */
  sendWithWork(frame: Uint8Array, work: FrameWork | undefined): void {
    this.#guestEnd.send(frame, work);
    this.clock.settle();
  }

  /** Lets promises of the network in memory settle, and what follows from them. */
  async turn(): Promise<void> {
    for (let i = 0; i < 8; i++) {
      await Promise.resolve();
      this.clock.settle();
    }
  }
}
