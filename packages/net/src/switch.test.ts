import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FrameWork } from './frame-port.ts';
import { Switch } from './switch.ts';
import type { SwitchPort, SwitchPortOptions } from './switch-port.ts';
import { BROADCAST, ethernet, ip, MAC_A, MAC_B, MAC_C, udp } from './testing/frames.ts';
import { VirtualClock } from './testing/virtual-clock.ts';

class Station {
  readonly port: SwitchPort;
  readonly got: Uint8Array[] = [];
  hasRoom = true;
  told = 0;
  constructor(network: Switch, options: SwitchPortOptions = {}) {
    this.port = network.addPort(options);
    this.port.outer.receiver = {
      takesWork: false,
      send: (frame) => {
        if (this.hasRoom) this.got.push(frame.slice());
        return this.hasRoom;
      },
    };
    this.port.outer.onRoom = () => this.told++;
  }
  send(frame: Uint8Array, work?: FrameWork): boolean {
    return this.port.outer.send(frame, work);
  }
  take(): number {
    return this.got.splice(0).length;
  }
}

const to = (destination: string, source: string, text = 'hello'): Uint8Array => ethernet(destination, source, 0x88b5, Buffer.from(text));

function setUp(options: readonly SwitchPortOptions[] = [{}, {}, {}], macLimit?: number) {
  const clock = new VirtualClock();
  const network = new Switch({ clock, macLimit });
  const [a, b, c] = options.map((port) => new Station(network, port));
  return { clock, network, a, b, c };
}

test('it floods what it does not know, and learns', () => {
  const { clock, a, b, c } = setUp();
  a.send(to(MAC_B, MAC_A));
  assert.deepEqual([a.take(), b.take(), c.take()], [0, 1, 1]);
  b.send(to(MAC_A, MAC_B));
  a.send(to(MAC_B, MAC_A));
  assert.deepEqual([a.take(), b.take(), c.take()], [1, 1, 0]);
  a.send(to(BROADCAST, MAC_A));
  assert.deepEqual([a.take(), b.take(), c.take()], [0, 1, 1]);
  clock.advance(400_000);
  a.send(to(MAC_B, MAC_A));
  assert.deepEqual([b.take(), c.take()], [1, 1]);
});

test('its table is bounded, and a removed port is forgotten', () => {
  const { network, a, b, c } = setUp(undefined, 8);
  for (let i = 0; i < 1000; i++)
    a.send(to(BROADCAST, `52:54:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`));
  assert.equal(network.macCount, 8);
  b.send(to(BROADCAST, MAC_B));
  network.removePort(b.port);
  c.take();
  a.send(to(MAC_B, MAC_A));
  assert.equal(c.take(), 1);
  assert.equal(b.port.outer.isUp, false);
});

test('private ports reach only others', () => {
  const { a, b, c } = setUp([{ isPrivate: true }, { isPrivate: true }, {}]);
  a.send(to(BROADCAST, MAC_A));
  assert.deepEqual([b.take(), c.take()], [0, 1]);
  c.send(to(BROADCAST, MAC_C));
  assert.deepEqual([a.take(), b.take()], [1, 1]);
  b.send(to(MAC_A, MAC_B));
  assert.equal(a.take(), 0);
});

test('a machine speaks only for itself', () => {
  const { a, b } = setUp([{ filter: { macs: [MAC_A], addresses: ['10.0.2.15'] } }, {}]);
  const packet = (from: string, mac = MAC_A) =>
    ethernet(BROADCAST, mac, 0x800, ip({ from, to: '10.0.2.2', protocol: 17, payload: udp(68, 67, new Uint8Array(4)) }));
  const arp = (sender: number[]) =>
    ethernet(
      BROADCAST,
      MAC_A,
      0x806,
      Uint8Array.of(0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0, 0, 0xa, ...sender, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2),
    );
  const passes = (frame: Uint8Array): boolean => {
    a.send(frame);
    return b.take() === 1;
  };
  assert.ok(passes(packet('10.0.2.15')));
  assert.ok(passes(packet('0.0.0.0')));
  assert.ok(!passes(packet('10.0.2.16')));
  assert.ok(!passes(packet('10.0.2.15', MAC_B)));
  assert.ok(passes(arp([10, 0, 2, 15])));
  assert.ok(!passes(arp([10, 0, 2, 2])));
  assert.ok(passes(ethernet(BROADCAST, MAC_A, 0x86dd, ip({ from: 'fe80::1', to: 'ff02::1', protocol: 59, payload: new Uint8Array(0) }))));
  assert.ok(!passes(ethernet(BROADCAST, MAC_A, 0x86dd, ip({ from: 'fec0::1', to: 'ff02::1', protocol: 59, payload: new Uint8Array(0) }))));
  // Behind a VLAN tag all the same.
  const tagged = packet('10.0.2.16');
  const withTag = new Uint8Array(tagged.length + 4);
  withTag.set(tagged.subarray(0, 12));
  withTag.set([0x81, 0, 0, 5], 12);
  withTag.set(tagged.subarray(12), 16);
  assert.ok(!passes(withTag));
  assert.equal(a.port.counts.refused, 5);
});

test('rules: the first that fits decides', () => {
  const { a, b } = setUp([
    {
      filter: {
        otherwise: 'deny',
        rules: [
          { action: 'deny', destination: '10.0.2.3' },
          { action: 'allow', protocol: 'udp', ports: [50, 60], destination: '10.0.0.0/8' },
          { action: 'allow', direction: 'out' },
        ],
      },
    },
    {},
  ]);
  const passes = (address: string, port: number): boolean => {
    a.send(
      ethernet(BROADCAST, MAC_A, 0x800, ip({ from: '10.0.2.15', to: address, protocol: 17, payload: udp(1, port, new Uint8Array(4)) })),
    );
    return b.take() === 1;
  };
  assert.deepEqual(
    [passes('10.0.2.2', 53), passes('10.0.2.3', 53), passes('10.0.2.2', 61), passes('11.0.0.1', 53)],
    [true, false, false, false],
  );
  b.send(to(BROADCAST, MAC_B));
  assert.equal(a.take(), 1);
  assert.throws(() => a.port.setFilter({ macs: ['52:54'] }), { code: 'BAD_OPTION' });
});

test('a port without room loses frames, but not those of a sender that waits', () => {
  const { a, b, c } = setUp([{}, {}, { waitsForRoom: true }]);
  b.send(to(BROADCAST, MAC_B));
  b.hasRoom = false;
  assert.equal(a.send(to(MAC_B, MAC_A)), true);
  assert.equal(b.port.counts.dropped, 1);
  assert.equal(c.send(to(MAC_B, MAC_C)), false);
  b.hasRoom = true;
  b.port.outer.hasRoom();
  assert.deepEqual([a.told, c.told], [0, 1]);
});

test('limits', () => {
  const { clock, a, b } = setUp([{ inLimit: 100_000 }, {}]);
  const frame = to(BROADCAST, MAC_A, 'x'.repeat(1400));
  let sent = 0;
  const startMs = clock.nowMs();
  const go = (): void => {
    while (sent < 300 && a.send(frame)) sent++;
  };
  a.port.outer.onRoom = go;
  go();
  assert.ok(sent < 20);
  assert.ok(clock.runUntil(() => sent === 300, 100_000));
  const seconds = (clock.nowMs() - startMs) / 1000;
  assert.ok(seconds > 3.8 && seconds < 4.5, `${seconds}`);
  assert.equal(b.take(), 300);
});
