import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IpAddress } from '../ip-address.ts';
import type { MemoryConnection } from '../testing/memory-network.ts';
import { NatRig } from '../testing/nat-rig.ts';
import { createRandom } from '../testing/random.ts';

function randomBytes(byteCount: number, seed: number): Uint8Array {
  const random = createRandom(seed);
  return Uint8Array.from({ length: byteCount }, () => random(256));
}

/** What a server of the host's has got; it answers nothing by itself. */
class Server {
  connection!: MemoryConnection;
  readonly parts: Uint8Array[] = [];
  isEnded = false;
  closed: string | undefined;
  listen(connection: MemoryConnection): void {
    this.connection = connection;
    connection.events = {
      onConnected: () => {},
      onData: (bytes) => void this.parts.push(bytes.slice()),
      onEnd: () => {
        this.isEnded = true;
      },
      onDrain: () => {},
      onClosed: (reason) => {
        this.closed = reason;
      },
    };
  }
  get bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}

function withServer(rig: NatRig, address = '127.0.0.1', port = 80): Server {
  const server = new Server();
  rig.network.servers.set(`${address} ${port}`, (connection) => server.listen(connection));
  return server;
}

describe('connections of a guest', () => {
  test("reach the host's loopback by the gateway's address, both ways", () => {
    const rig = new NatRig();
    const server = withServer(rig);
    const guest = rig.connect('10.0.2.2', 80);
    rig.clock.advance(10);
    assert.ok(guest.isConnected);
    const up = randomBytes(3_000_000, 1);
    const down = randomBytes(1_000_000, 2);
    for (let at = 0; at < up.length; at += 50_000) guest.connection.write(up.subarray(at, at + 50_000));
    server.connection.write(down);
    guest.connection.end();
    rig.clock.advance(2000);
    assert.ok(Buffer.compare(server.bytes, up) === 0);
    assert.ok(Buffer.compare(guest.bytes, down) === 0);
    assert.ok(server.isEnded);
    assert.equal(guest.closed, undefined);
    server.connection.end();
    rig.clock.advance(100);
    assert.ok(guest.isEnded);
    assert.equal(server.closed, 'closed');
    assert.deepEqual([rig.nat.counts.bytesUp, rig.nat.counts.bytesDown], [up.length, down.length]);
    rig.clock.advance(30_000);
    assert.equal(rig.nat.remembered.connections, 0);
  });

  test('work with machines that offload nothing, and with those that have no room now and then', () => {
    const random = createRandom(6);
    for (const how of [{ takesWork: false }, { refuses: () => random(3) === 0 }, { takesWork: false, refuses: () => random(2) === 0 }]) {
      const rig = new NatRig({}, how);
      const server = withServer(rig);
      const guest = rig.connect('10.0.2.2', 80);
      rig.clock.advance(1000);
      const [up, down] = [randomBytes(400_000, 7), randomBytes(700_000, 8)];
      guest.connection.write(up);
      server.connection.write(down);
      rig.clock.advance(20_000);
      assert.ok(Buffer.compare(server.bytes, up) === 0);
      assert.ok(Buffer.compare(guest.bytes, down) === 0, `${guest.receivedBytes}`);
      const longest = Math.max(...rig.frames.map((frame) => frame.length));
      assert.ok(how.takesWork === false ? longest <= 1514 : longest > 20_000, `${longest}`);
    }
  });

  test('reach the world, and over IPv6', () => {
    const rig = new NatRig();
    withServer(rig, '198.51.100.7', 443);
    withServer(rig, '2001:db8::7', 443);
    const guests = [rig.connect('198.51.100.7', 443), rig.connect('2001:db8::7', 443, 'fec0::15')];
    rig.clock.advance(10);
    assert.deepEqual(
      guests.map((guest) => guest.isConnected),
      [true, true],
    );
  });

  test('are refused where nobody listens, and told where nothing is', () => {
    const rig = new NatRig();
    const refused = rig.connect('10.0.2.2', 81);
    const lost = rig.connect('192.0.2.1', 80);
    rig.clock.advance(10);
    assert.equal(refused.closed, 'refused');
    assert.equal(lost.closed, undefined);
    const icmp = rig.packets.find((packet) => packet.protocol === 1)!;
    assert.deepEqual([...icmp.payload.subarray(0, 2)], [3, 1]);
  });

  test('never go where the host would be harmed', () => {
    const rig = new NatRig();
    for (const address of ['127.0.0.1', '0.0.0.0', '10.0.2.99', '169.254.169.254', '224.0.0.1', '255.255.255.255', '240.0.0.1'])
      rig.connect(address, 80);
    for (const address of ['::1', '::ffff:127.0.0.1', '::7f00:1', 'fe80::99', 'ff02::1', 'fec0::99']) rig.connect(address, 80, 'fec0::15');
    rig.clock.advance(10);
    assert.deepEqual(rig.network.connected, []);
  });

  test('end as the other side does: resets go both ways', () => {
    const rig = new NatRig();
    const server = withServer(rig);
    const first = rig.connect('10.0.2.2', 80);
    rig.clock.advance(10);
    server.connection.reset();
    rig.clock.advance(10);
    assert.equal(first.closed, 'reset');
    const second = rig.connect('10.0.2.2', 80);
    rig.clock.advance(10);
    second.connection.abort();
    rig.clock.advance(10);
    assert.equal(server.closed, 'reset');
  });

  test('wait for a slow host with bounded memory, and stall nobody else', () => {
    const rig = new NatRig();
    const slow = withServer(rig, '127.0.0.1', 80);
    const quick = withServer(rig, '127.0.0.1', 81);
    const guest = rig.connect('10.0.2.2', 80);
    const other = rig.connect('10.0.2.2', 81);
    rig.clock.advance(10);
    slow.connection.pause();
    const bytes = randomBytes(6_000_000, 3);
    for (let at = 0; at < bytes.length; at += 60_000) guest.connection.write(bytes.subarray(at, at + 60_000));
    other.connection.write(randomBytes(500_000, 4));
    rig.clock.advance(60_000);
    assert.equal(quick.bytes.length, 500_000);
    assert.ok(slow.connection.inboxBytes < 300_000);
    assert.ok(guest.connection.bufferedBytes > 3_000_000);
    slow.connection.resume();
    rig.clock.advance(120_000);
    assert.ok(Buffer.compare(slow.bytes, bytes) === 0);
  });

  test('make a quick host wait for a slow guest', () => {
    const rig = new NatRig();
    const server = withServer(rig);
    const guest = rig.connect('10.0.2.2', 80);
    rig.clock.advance(10);
    guest.pauseAfter = 1;
    const bytes = randomBytes(8_000_000, 5);
    let at = 0;
    const feed = (): void => {
      while (at < bytes.length) {
        const piece = bytes.subarray(at, at + 100_000);
        at += piece.length;
        if (!server.connection.write(piece)) return;
      }
    };
    server.connection.events!.onDrain = feed;
    feed();
    rig.clock.advance(60_000);
    assert.ok(at < 4_000_000, `${at} bytes were taken`);
    guest.pauseAfter = Number.POSITIVE_INFINITY;
    guest.connection.resume();
    rig.clock.advance(120_000);
    assert.equal(at, bytes.length);
    assert.ok(Buffer.compare(guest.bytes, bytes) === 0);
  });

  test('two thousand of them at once', () => {
    const rig = new NatRig();
    const connections: MemoryConnection[] = [];
    rig.network.servers.set('127.0.0.1 80', (connection) => {
      connections.push(connection);
      connection.events = {
        onConnected() {},
        onData: (bytes) => void connection.write(bytes),
        onEnd: () => connection.end(),
        onDrain() {},
        onClosed() {},
      };
    });
    const guests = Array.from({ length: 2000 }, () => rig.connect('10.0.2.2', 80));
    rig.clock.advance(20);
    assert.ok(guests.every((guest) => guest.isConnected));
    assert.equal(rig.nat.counts.tcpConnections, 2000);
    for (const [i, guest] of guests.entries()) {
      guest.connection.write(Buffer.from(`connection ${i}`));
      guest.connection.end();
    }
    rig.clock.advance(1000);
    for (const [i, guest] of guests.entries()) assert.equal(Buffer.from(guest.bytes).toString(), `connection ${i}`);
    rig.clock.advance(30_000);
    assert.equal(rig.nat.counts.tcpConnections, 0);
  });

  test('there is a bound to how many', () => {
    const rig = new NatRig({ connectionLimit: 10 });
    withServer(rig);
    const guests = Array.from({ length: 15 }, () => rig.connect('10.0.2.2', 80));
    rig.clock.advance(10);
    assert.equal(guests.filter((guest) => guest.isConnected).length, 10);
    assert.equal(guests.filter((guest) => guest.closed === 'refused').length, 5);
  });

  test('are held to a limit', () => {
    const rig = new NatRig({ upLimit: 1_000_000, downLimit: 500_000 });
    const server = withServer(rig);
    const guest = rig.connect('10.0.2.2', 80);
    rig.clock.advance(10);
    for (let i = 0; i < 50; i++) guest.connection.write(new Uint8Array(100_000));
    rig.clock.advance(2000);
    assert.ok(server.bytes.length > 1_700_000 && server.bytes.length < 2_400_000, `${server.bytes.length}`);
  });
});

describe('rules', () => {
  test('hold for connections that are opened and for those that stand', () => {
    const rig = new NatRig({
      egress: { rules: [{ action: 'allow', address: '198.51.100.0/24', protocol: 'tcp', ports: [80, 90] }], otherwise: 'deny' },
    });
    withServer(rig, '198.51.100.7', 80);
    withServer(rig, '198.51.100.7', 91);
    withServer(rig);
    const allowed = rig.connect('198.51.100.7', 80);
    const denied = [rig.connect('198.51.100.7', 91), rig.connect('10.0.2.2', 80)];
    rig.clock.advance(10);
    assert.ok(allowed.isConnected);
    assert.deepEqual(
      denied.map((each) => each.closed),
      ['refused', 'refused'],
    );
    assert.equal(rig.nat.counts.denied, 2);
    rig.nat.setEgress({ rules: [], otherwise: 'deny' });
    rig.clock.advance(10);
    assert.equal(allowed.closed, 'reset');
  });
});

describe('forwards', () => {
  test('lead to the guest, which sees who it is', async () => {
    const rig = new NatRig();
    const forward = await rig.nat.forward({ protocol: 'tcp', hostPort: 2222, guestPort: 22 });
    const outside = rig.network.dial({ address: '127.0.0.1', port: 2222 }, { address: '203.0.113.5', port: 3333 });
    const got: Uint8Array[] = [];
    outside.events = { onConnected() {}, onData: (bytes) => void got.push(bytes.slice()), onEnd() {}, onDrain() {}, onClosed() {} };
    outside.write(Buffer.from('hello'));
    rig.clock.advance(3000);
    const [guest] = rig.accepted;
    assert.equal(Buffer.from(guest.bytes).toString(), 'hello');
    guest.connection.write(Buffer.from('welcome'));
    rig.clock.advance(10);
    assert.equal(Buffer.concat(got).toString(), 'welcome');
    forward.close();
    assert.equal(rig.nat.forwards.size, 0);
    const closings: string[] = [];
    const late = rig.network.dial({ address: '127.0.0.1', port: 2222 }, { address: '127.0.0.1', port: 3334 });
    late.events = { ...outside.events, onClosed: (reason) => closings.push(reason) };
    rig.clock.advance(10);
    assert.deepEqual(closings, ['refused']);
  });

  test('of a port where the guest does not listen end at once', async () => {
    const rig = new NatRig();
    rig.listens = false;
    await rig.nat.forward({ protocol: 'tcp', hostPort: 2222, guestPort: 22 });
    const outside = rig.network.dial({ address: '127.0.0.1', port: 2222 }, { address: '127.0.0.1', port: 3333 });
    const closings: string[] = [];
    outside.events = { onConnected() {}, onData() {}, onEnd() {}, onDrain() {}, onClosed: (reason) => closings.push(reason) };
    rig.clock.advance(3000);
    assert.deepEqual(closings, ['reset']);
  });

  test('that make no sense are told so', async () => {
    const rig = new NatRig();
    for (const wrong of [{ hostPort: -1 }, { guestPort: 0 }, { hostAddress: 'here' }, { guest: 'a b' }]) {
      await assert.rejects(rig.nat.forward({ protocol: 'tcp', hostPort: 1, guestPort: 1, ...wrong }), { code: 'BAD_OPTION' });
    }
  });
});

test('an address of the network stands for a server elsewhere, whatever the rules say', () => {
  const guestForwards = [{ address: '10.0.2.100', port: 80, hostAddress: '198.51.100.7', hostPort: 8080 }];
  const rig = new NatRig({ guestForwards, isRestricted: true });
  const server = withServer(rig, '198.51.100.7', 8080);
  rig.link.learn(IpAddress.parse('10.0.2.100')!, 0x5255_0a00_0202);
  const guest = rig.connect('10.0.2.100', 80);
  rig.clock.advance(10);
  guest.connection.write(Buffer.from('hello'));
  rig.clock.advance(10);
  assert.equal(server.bytes.toString(), 'hello');
  rig.nat.setEgress({ rules: [], otherwise: 'deny' });
  rig.clock.advance(10);
  assert.equal(server.closed, undefined);
  const other = rig.connect('10.0.2.100', 81);
  rig.clock.advance(10);
  assert.equal(other.closed, 'refused');
  for (const address of ['10.0.3.1', '10.0.2.2', 'x'])
    assert.throws(() => new NatRig({ guestForwards: [{ ...guestForwards[0], address }] }), { code: 'BAD_OPTION' });
});
