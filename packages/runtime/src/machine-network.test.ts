import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FramePort } from '@anillo/net/frame-port';
import { formatMac } from '@anillo/net/mac-address';
import { ethernet, ip, MAC_A, MAC_B, udp } from '@anillo/net/testing/frames';
import { MemoryNetwork } from '@anillo/net/testing/memory-network';
import { VirtualClock } from '@anillo/net/testing/virtual-clock';
import { openNetwork } from './machine-network.ts';
import type { OpenableNetwork } from './network-option.ts';
import type { HostLinks } from './runtime-host.ts';

/** A host whose tap and switch are ports that the test looks at. */
function fakeHost() {
  const clock = new VirtualClock();
  const got: Uint8Array[] = [];
  let closed = 0;
  const hold = (port: FramePort): { close(): void } => {
    port.receiver = { takesWork: false, send: (frame) => (got.push(frame.slice()), true) };
    return { close: () => closed++ };
  };
  const links: HostLinks = {
    ...{ network: new MemoryNetwork(clock), clock },
    joinSwitch: (_path, port, wanted) => Promise.resolve({ mac: wanted[1] ?? wanted[0], ...hold(port) }),
    openTap: (_name, port) => hold(port),
    connectFrames: (_place, port) => Promise.resolve(hold(port)),
    listenForFrames: (_place, portFor) => (hold(portFor()), Promise.resolve(hold(portFor()))),
    bindFrames: (_local, _remote, port) => Promise.resolve(hold(port)),
    openCapture: assert.fail,
  };
  const open = (option: OpenableNetwork, machine?: string) => openNetwork({ name: 'net0', option, machine, links });
  return { clock, got, links, open, closed: () => closed };
}

const frame = (source = MAC_A): Uint8Array =>
  ethernet(MAC_B, source, 0x800, ip({ from: '10.0.0.1', to: '10.0.0.2', protocol: 17, payload: udp(1, 2, new Uint8Array(1000)) }));

const macOf = ({ mac }: { readonly mac?: Uint8Array }): string => formatMac(Buffer.from(mac ?? []).readUIntBE(0, 6));

test("addresses: the user's, the network's, or made from the machine's name", async () => {
  const { open } = fakeHost();
  const tap: OpenableNetwork = { kind: 'tap', interfaceName: 't' };
  const shared: OpenableNetwork = { kind: 'switch', path: 'p' };
  assert.equal((await open({ kind: 'user' })).backend.mac, undefined);
  assert.equal(macOf((await open({ ...tap, mac: MAC_A })).backend), MAC_A);
  assert.equal(macOf((await open(tap, 'one')).backend), macOf((await open(tap, 'one')).backend));
  assert.notEqual(macOf((await open(tap, 'one')).backend), macOf((await open(tap, 'two')).backend));
  // What the switch grants is not the first wish here.
  assert.notEqual(macOf((await open(shared, 'one')).backend), macOf((await open(tap, 'one')).backend));
  assert.equal(macOf((await open({ ...shared, mac: MAC_A })).backend), MAC_A);
  await assert.rejects(open({ ...tap, mac: '01:00:5e:00:00:01' }), { code: 'BAD_OPTION' });
});

test('its cable, limits and rules change while it runs', async () => {
  const { open, got, clock, closed } = fakeHost();
  const network = await open({ kind: 'tap', interfaceName: 't', mac: MAC_A, isConnected: false, isStrict: true });
  let ups = 0;
  const card = network.backend;
  card.onUp = () => ups++;
  card.receiver = { takesWork: true, send: () => true };
  assert.equal(card.isUp, false);
  card.send(frame(), undefined);
  network.isConnected = true;
  assert.equal(ups, 1);
  assert.equal(card.isUp, true);
  card.send(frame(), undefined);
  card.send(frame(MAC_B), undefined);
  assert.equal(got.splice(0).length, 1);
  assert.equal(network.counts.refused, 1);
  network.setFilter({ rules: [{ action: 'deny', protocol: 'udp' }] });
  card.send(frame(), undefined);
  assert.equal(got.length, 0);
  network.setFilter(undefined);
  network.setLimits({ up: 10_000, down: undefined });
  let sent = 0;
  while (sent < 100 && card.send(frame(), undefined)) sent++;
  assert.ok(sent < 40, `${sent}`);
  let told = 0;
  card.onRoom = () => told++;
  clock.advance(3000);
  assert.ok(told > 0 && card.send(frame(), undefined));
  assert.throws(() => network.setLimits({ up: 1, down: undefined }), { code: 'BAD_OPTION' });
  network.close();
  assert.equal(closed(), 1);
});

test('forwards and egress rules are for user networks', async () => {
  const { open, links } = fakeHost();
  const user = await open({ kind: 'user', forwards: [{ protocol: 'tcp', hostPort: 2222, guestPort: 22 }] });
  const forward = await user.forward({ protocol: 'tcp', hostPort: 8080, guestPort: 80 });
  assert.equal(user.forwards.size, 2);
  forward.close();
  assert.deepEqual(
    [...user.forwards].map(({ options }) => options.hostPort),
    [2222],
  );
  user.setEgress({ rules: [], otherwise: 'deny' });
  assert.equal(user.natCounts.denied, 0);
  user.close();
  assert.equal((links.network as MemoryNetwork).servers.size, 0);
  const tap = await open({ kind: 'tap', interfaceName: 't' });
  assert.throws(() => tap.setEgress({ rules: [], otherwise: 'deny' }), { code: 'UNSUPPORTED' });
  await assert.rejects(async () => tap.forward({ protocol: 'tcp', hostPort: 1, guestPort: 1 }), { code: 'UNSUPPORTED' });
  await assert.rejects(open({ kind: 'user', isRestricted: true, egress: { rules: [], otherwise: 'allow' } }), /leave one of the two out/);
  await assert.rejects(open({ kind: 'user', isStrict: true }), /has no address to be strict about/);
});
