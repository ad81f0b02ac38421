import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BROADCAST, ethernet, ip, MAC_A, tcp, transportChecksum, udp } from '../testing/frames.ts';
import { GUEST, NatRig } from '../testing/nat-rig.ts';
import { sumBytes, checksumOf } from '../checksum.ts';
import { IpAddress } from '../ip-address.ts';
import { read16 } from '../network-order.ts';
import { DNS_TYPES, readAddresses } from './dns-message.ts';

const ROUTER_MAC = '52:55:0a:00:02:02';
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const v4 = (to: string, protocol: number, payload: Uint8Array, hopLimit?: number): Uint8Array =>
  ethernet(ROUTER_MAC, MAC_A, 0x800, ip({ from: GUEST, to, protocol, payload, hopLimit }));

function icmp(type: number, code: number, rest: string, body: Uint8Array): Uint8Array {
  const message = new Uint8Array(8 + body.length);
  message.set([type, code]);
  message.set(hex(rest), 4);
  message.set(body, 8);
  const sum = checksumOf(sumBytes(message, 0, message.length));
  message.set([sum >>> 8, sum & 255], 2);
  return message;
}

test('ARP, as bytes', () => {
  const rig = new NatRig();
  const ask = (target: string) => hex(`ffffffffffff 52540000000a 0806 0001 0800 06 04 0001 52540000000a 0a00020f 000000000000 ${target}`);
  rig.send(ask('0a000202'));
  assert.equal(
    text(rig.frames[0]),
    text(hex('52540000000a 52550a000202 0806 0001 0800 06 04 0002 52550a000202 0a000202 52540000000a 0a00020f')),
  );
  rig.send(ask('0a000203'));
  assert.equal(rig.frames.length, 2);
  // Not for other machines' addresses, the asker's own neither.
  rig.send(ask('0a000204'));
  rig.send(ask('0a00020f'));
  assert.equal(rig.frames.length, 2);
});

describe('DHCP', () => {
  function message(type: number, options: string, mac = '52540000000a', header = ''): Uint8Array {
    const bytes = new Uint8Array(300);
    bytes.set(hex('01010600 deadbeef'));
    bytes.set(hex(header), 12);
    bytes.set(hex(mac), 28);
    bytes.set(hex(`63825363 3501${type.toString(16).padStart(2, '0')} ${options} ff`), 236);
    return ethernet(BROADCAST, MAC_A, 0x800, ip({ from: '0.0.0.0', to: '255.255.255.255', protocol: 17, payload: udp(68, 67, bytes) }));
  }
  function optionsOf(packet: Uint8Array): Map<number, string> {
    const options = new Map<number, string>();
    for (let at = 8 + 240; packet[at] !== 255; at += 2 + packet[at + 1])
      options.set(packet[at], text(packet.subarray(at + 2, at + 2 + packet[at + 1])));
    return options;
  }
  const given = (rig: NatRig): { address: string; options: Map<number, string>; bytes: Uint8Array } => {
    const { payload } = rig.packets.pop()!;
    return { address: [...payload.subarray(24, 28)].join('.'), options: optionsOf(payload), bytes: payload };
  };

  test('gives what QEMU gives, and more', () => {
    const rig = new NatRig({
      domain: 'example.test',
      searchDomains: ['example.test'],
      mtu: 1400,
      leaseSeconds: 3600,
      boot: { nextServer: '10.0.2.2', file: 'boot.efi' },
      machines: [{ mac: MAC_A, name: 'first' }],
    });
    rig.send(message(1, ''));
    const offer = given(rig);
    assert.equal(offer.address, '10.0.2.15');
    assert.equal(text(offer.bytes.subarray(8, 20)), '02010600deadbeef00000000');
    assert.deepEqual(
      [...offer.options].map(([option, value]) => `${option} ${value}`),
      [
        '53 02',
        '54 0a000202',
        '1 ffffff00',
        '3 0a000202',
        '6 0a000203',
        '26 0578',
        '51 00000e10',
        '58 00000708',
        '59 00000c4e',
        `12 ${text(Buffer.from('first'))}`,
        `15 ${text(Buffer.from('example.test'))}`,
        `119 ${text(Buffer.from('\x07example\x04test\0'))}`,
        `66 ${text(Buffer.from('10.0.2.2'))}`,
        `67 ${text(Buffer.from('boot.efi'))}`,
      ],
    );
    assert.equal(Buffer.from(offer.bytes.subarray(8 + 108, 8 + 116)).toString(), 'boot.efi');
    rig.send(message(3, '3204 0a00020f 3604 0a000202'));
    assert.equal(given(rig).options.get(53), '05');
    // What another server has offered is not our matter; what nobody has offered is not given.
    rig.send(message(3, '3204 0a00020f 3604 0a000209'));
    assert.equal(rig.packets.length, 0);
    rig.send(message(3, '3204 0a000263'));
    assert.equal(given(rig).options.get(53), '06');
  });

  test('every machine has its own, and the same again', () => {
    const rig = new NatRig({ machines: [{ mac: '52:54:00:00:00:99', address: '10.0.2.16' }] });
    const addressOf = (mac: string): string | undefined => {
      rig.send(message(1, '', mac));
      return rig.packets.length === 0 ? undefined : given(rig).address;
    };
    assert.equal(addressOf('52540000000a'), '10.0.2.15');
    assert.equal(addressOf('52540000000b'), '10.0.2.17');
    assert.equal(addressOf('525400000099'), '10.0.2.16');
    assert.equal(addressOf('52540000000a'), '10.0.2.15');
    const seen = new Set<string | undefined>();
    for (let i = 0; i < 1000; i++)
      seen.add(addressOf(`5254000100${(i & 255).toString(16).padStart(2, '0')}`.padEnd(10, '0').slice(0, 8) + (0x1000 + i).toString(16)));
    // All that are left: 10.0.2.18 to 10.0.2.254. Those who come later wait for a lease to end.
    assert.equal(seen.size, 237 + 1);
    rig.clock.advance(100_000);
    assert.notEqual(addressOf('525400020001'), undefined);
  });
});

describe('echoes', () => {
  test('of the gateway and of what the host reaches', async () => {
    const rig = new NatRig();
    rig.network.pingable.add('198.51.100.1');
    rig.send(v4('10.0.2.2', 1, icmp(8, 0, '00070001', Buffer.from('hello'))));
    rig.send(v4('198.51.100.1', 1, icmp(8, 0, '00070002', Buffer.from('world'))));
    rig.send(v4('198.51.100.2', 1, icmp(8, 0, '00070003', Buffer.from('none'))));
    await rig.turn();
    assert.deepEqual(
      rig.packets.map(({ source, payload }) => `${source} ${text(payload)}`),
      [
        `10.0.2.2 ${text(icmp(0, 0, '00070001', Buffer.from('hello')))}`,
        `198.51.100.1 ${text(icmp(0, 0, '00070002', Buffer.from('world')))}`,
      ],
    );
  });
  test('packets that have passed too many routers are told of', () => {
    const rig = new NatRig();
    rig.send(v4('198.51.100.1', 17, udp(1000, 33434, new Uint8Array(4)), 1));
    const [{ source, payload }] = rig.packets;
    assert.equal(source, '10.0.2.2');
    assert.deepEqual([...payload.subarray(0, 2)], [11, 0]);
    assert.equal(text(payload.subarray(8 + 12, 8 + 20)), '0a00020fc6336401');
    assert.equal(checksumOf(sumBytes(payload, 0, payload.length)), 0);
  });
});

describe('UDP', () => {
  test('goes out, comes back, and nobody else comes in', async () => {
    const rig = new NatRig();
    const from: number[] = [];
    rig.network.udpServers.set('127.0.0.1 7', (bytes, reply, { port }) => {
      from.push(port);
      reply(Buffer.concat([bytes, bytes]));
    });
    rig.send(v4('10.0.2.2', 17, udp(1000, 7, Buffer.from('ab'))));
    await rig.turn();
    rig.send(v4('10.0.2.2', 17, udp(1000, 7, Buffer.from('cd'))));
    await rig.turn();
    assert.deepEqual(
      rig.packets.map(
        ({ source, payload }) => `${source} ${read16(payload, 0)} ${read16(payload, 2)} ${Buffer.from(payload.subarray(8)).toString()}`,
      ),
      ['10.0.2.2 7 1000 abab', '10.0.2.2 7 1000 cdcd'],
    );
    assert.equal(from[0], from[1]);
    const [socket] = rig.network.sockets.values();
    socket.onMessage!(Buffer.from('x'), { address: '203.0.113.1', port: 7 });
    assert.equal(rig.packets.length, 2);
    rig.clock.advance(200_000);
    assert.equal(rig.network.sockets.size, 0);
  });

  test('ports are bounded, the one silent longest goes', async () => {
    const rig = new NatRig();
    for (let i = 0; i < 1100; i++) {
      rig.clock.advance(1);
      rig.send(v4('10.0.2.2', 17, udp(2000 + i, 7, new Uint8Array(1))));
    }
    await rig.turn();
    assert.equal(rig.nat.remembered.ports, 1024);
    assert.equal(rig.network.sockets.size, 1024);
  });

  test('large datagrams come in fragments, and go out of such', async () => {
    const rig = new NatRig();
    rig.network.udpServers.set('127.0.0.1 7', (bytes, reply) => reply(bytes));
    const payload = Uint8Array.from({ length: 9000 }, (_, i) => i);
    const datagram = ip({ from: GUEST, to: '10.0.2.2', protocol: 17, payload: udp(1000, 7, payload) }).subarray(20);
    const fragments: Uint8Array[] = [];
    for (let at = 0; at < datagram.length; at += 1480) {
      const packet = ip({ from: GUEST, to: '10.0.2.2', protocol: 99, payload: datagram.subarray(at, at + 1480) });
      packet[9] = 17;
      packet[5] = 77;
      packet[6] = (at + 1480 < datagram.length ? 0x20 : 0) | (at >> 11);
      packet[7] = (at >> 3) & 255;
      packet[10] = packet[11] = 0;
      const sum = checksumOf(sumBytes(packet, 0, 20));
      packet[10] = sum >>> 8;
      packet[11] = sum & 255;
      fragments.push(ethernet(ROUTER_MAC, MAC_A, 0x800, packet));
    }
    for (const fragment of fragments.reverse()) rig.send(fragment);
    await rig.turn();
    assert.equal(rig.nat.remembered.fragments, 0);
    assert.equal(rig.packets.length, 1);
    assert.deepEqual(rig.packets[0].payload.subarray(8), payload);
    assert.ok(rig.frames.length > 6 && rig.frames.every((frame) => frame.length <= 1514));
  });

  test('forwards bring strangers in, and answers out', async () => {
    const rig = new NatRig();
    await rig.nat.forward({ protocol: 'udp', hostPort: 5353, guestPort: 53 });
    const socket = rig.network.sockets.get('127.0.0.1 5353')!;
    rig.link.learn(IpAddress.parse('10.0.2.2')!, 0x5255_0a00_0202);
    socket.onMessage!(Buffer.from('who'), { address: '127.0.0.1', port: 4444 });
    rig.clock.settle();
    const [{ source, payload }] = rig.packets;
    assert.equal(`${source} ${read16(payload, 0)} ${read16(payload, 2)}`, '10.0.2.2 4444 53');
    const got: string[] = [];
    rig.network.udpServers.set('127.0.0.1 4444', (bytes) => void got.push(Buffer.from(bytes).toString()));
    rig.send(v4('10.0.2.2', 17, udp(53, 4444, Buffer.from('me'))));
    assert.deepEqual(got, ['me']);
  });

  test('rules hold, and the sender is told', () => {
    const rig = new NatRig({ isRestricted: true });
    rig.send(v4('198.51.100.1', 17, udp(1000, 7, new Uint8Array(1))));
    assert.deepEqual([...rig.packets[0].payload.subarray(0, 2)], [3, 13]);
    assert.equal(rig.network.sockets.size, 0);
  });
});

describe('names', () => {
  const question = (name: string, type: number): Uint8Array =>
    hex(
      `1234 0100 0001 0000 0000 0000 ${name
        .split('.')
        .map((label) => label.length.toString(16).padStart(2, '0') + text(Buffer.from(label)))
        .join('')} 00 ${type.toString(16).padStart(4, '0')} 0001`,
    );
  async function ask(rig: NatRig, name: string, type = 1): Promise<{ code: number; addresses: string[]; bytes: Uint8Array }> {
    rig.packets.length = 0;
    rig.send(v4('10.0.2.3', 17, udp(1000, 53, question(name, type))));
    await rig.turn();
    const bytes = rig.packets[0].payload.subarray(8);
    assert.equal(read16(bytes, 0), 0x1234);
    return { code: bytes[3] & 15, addresses: readAddresses(bytes).map((address) => new IpAddress(address.bytes).text), bytes };
  }

  test('of the network itself', async () => {
    const rig = new NatRig({ domain: 'lab.test', machines: [{ mac: MAC_A, name: 'web', address: '10.0.2.20' }] });
    assert.deepEqual((await ask(rig, 'Host.lab.test')).addresses, ['10.0.2.2']);
    assert.deepEqual((await ask(rig, 'host', DNS_TYPES.aaaa)).addresses, ['fec0::2']);
    assert.deepEqual((await ask(rig, 'web')).addresses, ['10.0.2.20']);
    assert.deepEqual((await ask(rig, 'web.lab.test', DNS_TYPES.aaaa)).code, 0);
    assert.ok(Buffer.from((await ask(rig, '20.2.0.10.in-addr.arpa', DNS_TYPES.ptr)).bytes).includes('\x03web\x03lab\x04test\0'));
    assert.equal((await ask(rig, '21.2.0.10.in-addr.arpa', DNS_TYPES.ptr)).code, 3);
  });

  test("of the world, by the host's server or its resolver", async () => {
    const rig = new NatRig();
    rig.network.names.set('example.test', ['198.51.100.9']);
    assert.deepEqual((await ask(rig, 'example.test')).addresses, ['198.51.100.9']);
    assert.equal((await ask(rig, 'example.test', DNS_TYPES.aaaa)).code, 0);
    assert.equal((await ask(rig, 'nothing.test')).code, 3);
    rig.network.answer = (asked) =>
      Buffer.concat([
        asked.subarray(0, 2),
        hex('8180 0001 0001 0000 0000'),
        asked.subarray(12),
        hex('c00c 0001 0001 0000003c 0004 c6336408'),
      ]);
    assert.deepEqual((await ask(rig, 'example.test')).addresses, ['198.51.100.8']);
    const long = Buffer.concat([hex('1234 8180 0001 0000 0000 0000'), question('example.test', 1).subarray(12), new Uint8Array(600)]);
    rig.network.answer = () => long;
    const cut = await ask(rig, 'example.test');
    assert.equal(cut.bytes[2] & 2, 2);
    assert.ok(cut.bytes.length < 512);
  });

  test('over TCP, several questions in a row', async () => {
    const rig = new NatRig();
    const guest = rig.connect('10.0.2.3', 53);
    rig.clock.advance(10);
    assert.ok(guest.isConnected);
    const framed = (bytes: Uint8Array): Uint8Array => Buffer.concat([Uint8Array.of(bytes.length >>> 8, bytes.length), bytes]);
    guest.connection.write(Buffer.concat([framed(question('host', 1)), framed(question('host', 28))]));
    guest.connection.end();
    rig.clock.advance(50);
    await rig.turn();
    rig.clock.advance(50);
    const first = read16(guest.bytes, 0);
    assert.deepEqual(readAddresses(guest.bytes.subarray(2, 2 + first)).length, 1);
    assert.deepEqual(readAddresses(guest.bytes.subarray(4 + first)).length, 1);
    assert.ok(guest.isEnded);
  });

  test('rules by name hold for the addresses given, as long as they live', async () => {
    const rig = new NatRig({
      egress: {
        rules: [
          { action: 'deny', name: 'bad.example.test' },
          { action: 'allow', name: '*.example.test' },
        ],
        otherwise: 'deny',
      },
    });
    rig.network.names.set('good.example.test', ['198.51.100.1']);
    rig.network.names.set('bad.example.test', ['198.51.100.2']);
    rig.network.names.set('other.test', ['198.51.100.3']);
    for (const port of [1, 2, 3]) rig.network.servers.set(`198.51.100.${port} 80`, () => {});
    const reaches = (address: string): boolean => {
      const guest = rig.connect(address, 80);
      rig.clock.advance(5);
      return guest.isConnected;
    };
    assert.ok(!reaches('198.51.100.1'));
    assert.equal((await ask(rig, 'good.example.test')).code, 0);
    assert.equal((await ask(rig, 'bad.example.test')).code, 5);
    // What is not allowed is not even asked for.
    assert.equal((await ask(rig, 'other.test')).code, 5);
    assert.deepEqual([reaches('198.51.100.1'), reaches('198.51.100.2'), reaches('198.51.100.3')], [true, false, false]);
    rig.clock.advance(120_000);
    assert.ok(!reaches('198.51.100.1'));
  });
});

describe('IPv6', () => {
  const v6 = (from: string, to: string, protocol: number, payload: Uint8Array, hopLimit = 255): Uint8Array =>
    ethernet(to.startsWith('ff') ? '33:33:00:00:00:02' : ROUTER_MAC, MAC_A, 0x86dd, ip({ from, to, protocol, payload, hopLimit }));

  test('the router tells of itself, its prefix and the name server', () => {
    const rig = new NatRig();
    rig.send(v6('fe80::15', 'ff02::2', 58, hex('85000000 00000000 0101 52540000000a')));
    const [{ source, payload, header }] = rig.packets;
    assert.equal(source, 'fe80::2');
    assert.equal(header[7], 255);
    assert.equal(
      text(payload.subarray(4)),
      text(
        hex(
          '40400708 00000000 00000000 0101 52550a000202 0501 0000 000005dc 0304 40c0 00015180 00003840 00000000 fec00000000000000000000000000000 1903 0000 00000708 fec00000000000000000000000000003',
        ),
      ),
    );
    assert.equal(transportChecksum(rig.frames[0].subarray(14), 40, 58), 0);
  });

  test('neighbours are answered, also who is only trying an address', () => {
    const rig = new NatRig();
    rig.send(v6('fec0::15', 'ff02::1:ff00:2', 58, hex('87000000 00000000 fec00000000000000000000000000002 0101 52540000000a')));
    assert.equal(text(rig.packets[0].payload.subarray(4)), text(hex('e0000000 fec00000000000000000000000000002 0201 52550a000202')));
    rig.send(v6('::', 'ff02::1:ff00:15', 58, hex('87000000 00000000 fec00000000000000000000000000015')));
    assert.equal(rig.packets.length, 1);
    rig.send(v6('fec0::15', 'ff02::1:ff00:2', 58, hex('87000000 00000000 fec00000000000000000000000000002'), 64));
    assert.equal(rig.packets.length, 1);
  });

  test('echoes and DHCPv6', () => {
    const rig = new NatRig();
    rig.send(v6('fec0::15', 'fec0::2', 58, hex('80000000 00010001 aabb'), 64));
    rig.link.learn(IpAddress.parse('fec0::15')!, 0);
    rig.send(v6('fe80::15', 'ff02::1:2', 17, udp(546, 547, hex('0b 123456 0001 0004 00030001'))));
    assert.equal(rig.packets.length, 2);
    assert.equal(rig.packets[0].payload[0], 129);
    assert.equal(
      text(rig.packets[1].payload.subarray(8)),
      text(hex('07 123456 0002 000a 00030001 52550a000202 0001 0004 00030001 0017 0010 fec00000000000000000000000000003')),
    );
  });
});

test('what is addressed to others is not answered, nor what comes from nowhere', () => {
  const rig = new NatRig();
  const syn = tcp({ fromPort: 1, toPort: 2, sequence: 1, flags: 2, payload: new Uint8Array(0) });
  rig.send(ethernet('52:54:00:00:00:77', MAC_A, 0x800, ip({ from: GUEST, to: '10.0.2.2', protocol: 6, payload: syn })));
  rig.send(ethernet(ROUTER_MAC, MAC_A, 0x800, ip({ from: '192.168.7.7', to: '10.0.2.2', protocol: 6, payload: syn })));
  const broken = v4('10.0.2.2', 6, syn);
  broken[50] ^= 1;
  rig.send(broken);
  assert.equal(rig.frames.length, 0);
  assert.equal(rig.network.connected.length, 0);
});
