// Frames that no honest machine sends, into the NAT and a switch: random ones, and ones that are nearly right. What must hold: nothing is thrown, no call takes long, and what is
// remembered stays bounded.

import type { FrameWork } from '../frame-port.ts';
import { FrameStream } from '../frame-stream.ts';
import { createCable } from '../cable.ts';
import { PcapFile } from '../pcap-file.ts';
import { Switch } from '../switch.ts';
import { BROADCAST, ethernet, ip, MAC_A, MAC_B, tcp, udp } from './frames.ts';
import { GUEST, NatRig } from './nat-rig.ts';
import { createRandom, type Random } from './random.ts';

export interface FuzzOutcome {
  readonly cases: number;
  readonly failures: readonly string[];
  /** Without a clock: 0. */
  readonly slowestMs: number;
}

const ROUTER_MAC = '52:55:0a:00:02:02';
const FAILURE_LIMIT = 20;
/** A rig is made anew now and then, so that its end is tried too. */
const CASES_PER_RIG = 5000;

const bytesOf = (random: Random, byteCount: number): Uint8Array => Uint8Array.from({ length: byteCount }, () => random(256));

function pick<T>(random: Random, from: readonly T[]): T {
  return from[random(from.length)];
}

const ADDRESSES_V4 = ['10.0.2.2', '10.0.2.3', '10.0.2.99', '198.51.100.1', '127.0.0.1', '255.255.255.255', '224.0.0.1', '0.0.0.0', GUEST];
const ADDRESSES_V6 = ['fec0::2', 'fec0::3', 'fec0::99', '2001:db8::1', '::1', 'ff02::1', 'ff02::1:ff00:2', 'fe80::2', '::'];
const PORTS = [7, 53, 67, 80, 81, 547, 0, 65_535];

function dns(random: Random): Uint8Array {
  const header = Uint8Array.of(1, 2, random(4) === 0 ? random(256) : 1, 0, 0, 1, 0, random(3), 0, 0, 0, random(2));
  const names = [
    Uint8Array.of(4, 104, 111, 115, 116, 0),
    Uint8Array.of(0xc0, 12),
    Uint8Array.of(63, ...bytesOf(random, 40)),
    bytesOf(random, random(300)),
  ];
  return Uint8Array.from([...header, ...pick(random, names), 0, pick(random, [1, 28, 12, 255]), 0, 1, ...bytesOf(random, random(20))]);
}

function dhcp(random: Random): Uint8Array {
  const message = new Uint8Array(240 + random(120));
  message.set([1, 1, 6, 0, ...bytesOf(random, 24)]);
  message.set(bytesOf(random, 6), 28);
  message.set([0x63, 0x82, 0x53, 0x63], 236);
  const options = [53, 1, random(10), pick(random, [12, 50, 54, 61, 82]), random(40), ...bytesOf(random, 60)];
  message.set(options.slice(0, message.length - 240), 240);
  return message;
}

function transport(random: Random, isV4: boolean): { protocol: number; payload: Uint8Array } {
  switch (random(6)) {
    case 0: {
      const port = pick(random, PORTS);
      const payload = port === 53 ? dns(random) : port === 67 ? dhcp(random) : bytesOf(random, random(400));
      return { protocol: 17, payload: udp(random(40) + 1000, port, payload) };
    }
    case 1:
      return {
        protocol: isV4 ? 1 : 58,
        payload: Uint8Array.of(pick(random, [8, 0, 3, 128, 133, 134, 135, 136]), 0, 0, 0, ...bytesOf(random, random(80))),
      };
    case 2:
      return { protocol: random(256), payload: bytesOf(random, random(100)) };
    default: {
      const payload = bytesOf(random, random(3) === 0 ? random(2000) : 0);
      const flags = pick(random, [2, 16, 24, 17, 4, 20, 18, random(256)]);
      const segment = tcp({
        fromPort: 2000 + random(30),
        toPort: pick(random, PORTS),
        sequence: random(2) * 0x1000 + random(4000),
        acknowledgment: 0x1234_5678 + random(3000),
        flags,
        payload,
      });
      // Options in the payload's place.
      if (random(3) === 0) segment[12] = random(16) << 4;
      return { protocol: 6, payload: segment };
    }
  }
}

function packet(random: Random): Uint8Array {
  const isV4 = random(3) > 0;
  const from = random(8) === 0 ? pick(random, isV4 ? ADDRESSES_V4 : ADDRESSES_V6) : isV4 ? GUEST : 'fec0::15';
  const to = pick(random, isV4 ? ADDRESSES_V4 : ADDRESSES_V6);
  const { protocol, payload } = transport(random, isV4);
  // Wrong, but with a checksum that is right.
  if (random(2) === 0) for (let count = random(4); count > 0 && payload.length > 0; count--) payload[random(payload.length)] = random(256);
  const bytes = ip({ from, to, protocol, payload, hopLimit: random(4) === 0 ? random(256) : 255 });
  if (isV4 && random(12) === 0) bytes[6] = random(0x40);
  return ethernet(random(4) === 0 ? BROADCAST : ROUTER_MAC, MAC_A, isV4 ? 0x800 : 0x86dd, bytes);
}

function arp(random: Random): Uint8Array {
  return ethernet(
    BROADCAST,
    MAC_A,
    0x806,
    Uint8Array.of(
      0,
      1,
      8,
      0,
      6,
      4,
      0,
      1 + random(3),
      ...bytesOf(random, 6),
      10,
      0,
      2,
      random(256),
      ...bytesOf(random, 6),
      10,
      0,
      2,
      random(6),
    ),
  );
}

/** A frame that is right, nearly right, or nothing at all. */
export function hostileFrame(random: Random): Uint8Array {
  const kind = random(20);
  if (kind === 0) return bytesOf(random, random(100));
  const frame = kind < 3 ? arp(random) : packet(random);
  if (kind > 12) return frame;
  for (let count = random(4); count > 0; count--) frame[14 + random(Math.max(1, Math.min(80, frame.length - 14)))] = random(256);
  return random(6) === 0 ? frame.subarray(0, random(frame.length)) : frame;
}

function hostileWork(random: Random): FrameWork | undefined {
  if (random(3) > 0) return undefined;
  const checksum =
    random(3) === 0
      ? { start: random(0x10000), offset: random(0x10000) }
      : { start: pick(random, [34, 54]), offset: pick(random, [6, 16]) };
  if (random(2) === 0) return { checksum };
  return {
    checksum,
    segments: {
      kind: pick(random, ['tcp4', 'tcp6', 'udp'] as const),
      segmentBytes: random(4) === 0 ? random(0x10000) : 536,
      headerBytes: random(0x10000),
      hasEcn: false,
    },
  };
}

class Subject {
  readonly rig: NatRig;
  readonly network: Switch;
  readonly #ports;
  readonly #stream: FrameStream;

  constructor() {
    const rig = new NatRig({ connectionLimit: 64, egress: { rules: [{ action: 'deny', name: '*.bad' }], otherwise: 'allow' } });
    this.rig = rig;
    rig.network.servers.set('127.0.0.1 80', (connection) => {
      connection.events = {
        onConnected() {},
        onData: (bytes) => void connection.write(bytes),
        onEnd: () => connection.end(),
        onDrain() {},
        onClosed() {},
      };
    });
    rig.network.udpServers.set('127.0.0.1 7', (bytes, reply) => reply(bytes));
    this.network = new Switch({ clock: rig.clock, macLimit: 32 });
    this.#ports = [
      this.network.addPort({ filter: { macs: [MAC_A, MAC_B], addresses: ['10.0.2.0/24', 'fec0::/64'] } }),
      this.network.addPort({ isPrivate: true, inLimit: 1_000_000 }),
      this.network.addPort({ filter: { rules: [{ action: 'deny', ports: [80, 90] }], otherwise: 'allow' } }),
    ];
    for (const port of this.#ports) port.outer.receiver = { takesWork: false, send: () => true };
    this.network.taps.add(new PcapFile({ write: () => {}, nowNs: () => 0n }).addInterface('fuzz'));
    this.#stream = new FrameStream({ port: createCable()[0], write: () => true, onBroken: () => {} });
  }

  run(random: Random): void {
    const frame = hostileFrame(random);
    const work = hostileWork(random);
    if (random(4) === 0) {
      pick(random, this.#ports).outer.send(frame, work);
      this.#stream.push(frame);
    } else {
      this.rig.sendWithWork(frame, work);
    }
    this.rig.clock.advance(random(20) === 0 ? random(5000) : random(3));
  }

  /** What is wrong; undefined: nothing. */
  complaint(): string | undefined {
    const { neighbours, fragments, connections, ports } = this.rig.nat.remembered;
    if (neighbours > 1024 || fragments > 16 || connections > 64 || ports > 1024)
      return `remembers too much: ${JSON.stringify(this.rig.nat.remembered)}`;
    return this.network.macCount > 32 ? `the switch knows ${this.network.macCount} addresses` : undefined;
  }
}

export async function fuzzNetwork(options: {
  cases: number;
  seed: number;
  nowMs?: () => number;
  onProgress?: (cases: number) => void;
}): Promise<FuzzOutcome> {
  const { nowMs = () => 0 } = options;
  const failures: string[] = [];
  let subject = new Subject();
  let slowestMs = 0;
  for (let index = 0; index < options.cases && failures.length < FAILURE_LIMIT; index++) {
    // Each case by its own number, so that it can be had again.
    const random = createRandom(options.seed * 0x10001 + index);
    const startedMs = nowMs();
    try {
      subject.run(random);
      const complaint = subject.complaint();
      if (complaint !== undefined) failures.push(`case ${index}: ${complaint}`);
    } catch (error) {
      failures.push(`case ${index}: ${error instanceof Error ? error.stack : String(error)}`);
      subject = new Subject();
    }
    slowestMs = Math.max(slowestMs, nowMs() - startedMs);
    if (index % 50 === 49) await subject.rig.turn();
    subject.rig.frames.length = 0;
    subject.rig.packets.length = 0;
    if (index % CASES_PER_RIG === CASES_PER_RIG - 1) {
      subject.rig.nat.close();
      subject = new Subject();
      options.onProgress?.(index + 1);
    }
  }
  return { cases: options.cases, failures, slowestMs };
}
