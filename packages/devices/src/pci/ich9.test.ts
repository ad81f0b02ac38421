import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PciRig } from '../testing/pci-rig.ts';
import { ICH9, Ich9, ich9Input, ich9RouteRegister } from './ich9.ts';
import { PciFunction } from './pci-function.ts';
import { PCIEXBAR, type EcamPlace, Q35HostBridge } from './q35-host-bridge.ts';

const LPC = ICH9.device << 3;

function rigOf() {
  const rig = new PciRig();
  const ports: (number | undefined)[] = [];
  const bridge = new Ich9({ bus: rig.bus, irq: rig.irq, onPowerPort: (port) => ports.push(port) });
  const asserted = (): number[] => rig.lines.flatMap((line, gsi) => (line.level ? [gsi] : []));
  return { rig, bridge, ports, asserted };
}

test('an input drives its own I/O APIC pin, and the ISA interrupt that its register names', () => {
  const { rig, bridge, asserted } = rigOf();
  assert.equal(rig.config(LPC, 0), 0x29188086);
  const fn = new PciFunction({ identity: { vendor: 1, device: 1, revision: 0, classCode: 0 }, hasPin: true });
  rig.bus.attach(fn, 1 << 3);
  fn.setPin(true);
  assert.deepEqual(asserted(), [21]);
  rig.configure(LPC, ich9RouteRegister(5), 10, 1);
  assert.deepEqual(asserted(), [10, 21]);
  const state = bridge.save();
  bridge.reset();
  assert.deepEqual(asserted(), [21]);
  bridge.restore(state);
  assert.deepEqual(asserted(), [10, 21]);
  fn.setPin(false);
  assert.deepEqual(asserted(), []);
  assert.deepEqual(
    [0, 1, 2, 3].map((device) => ich9Input(device, 3)),
    [7, 4, 5, 6],
  );
});

test('power management is where firmware puts it', () => {
  const { rig, bridge, ports } = rigOf();
  rig.configure(LPC, ICH9.powerBaseAt, 0xffffb07f);
  assert.deepEqual([rig.config(LPC, ICH9.powerBaseAt), ports], [0xb001, []]);
  rig.configure(LPC, ICH9.powerControlAt, 0x80, 1);
  rig.configure(LPC, ICH9.powerBaseAt, 0x600);
  bridge.reset();
  assert.deepEqual(ports, [0xb000, 0x600, undefined]);
});

test('configuration is in memory where PCIEXBAR puts it, at any size, and nowhere after a reset', () => {
  const rig = new PciRig();
  const places: (EcamPlace | undefined)[] = [];
  const bridge = new Q35HostBridge(rig.bus, (place) => places.push(place && { start: place.start, byteCount: place.byteCount }));
  rig.configure(0, PCIEXBAR.at, 0xbfffffff & ~6);
  assert.equal(rig.memory.read(0xb0000000, 4), 0x29c08086);
  rig.configure(0, PCIEXBAR.at, 0xc8000003);
  assert.deepEqual([rig.memory.read(0xb0000000, 4), rig.memory.read(0xc0000000, 4)], [0xffffffff, 0x29c08086]);
  rig.configure(0, PCIEXBAR.at, 0xf0000007);
  assert.equal(rig.memory.read(0xf0000000, 4), 0xffffffff, 'a reserved size');
  rig.configure(0, PCIEXBAR.at + 4, 0xff);
  rig.configure(0, PCIEXBAR.at, 0xb0000001);
  const state = bridge.save();
  bridge.reset();
  bridge.restore(state);
  assert.equal(rig.memory.read(0xf_b000_0000, 4), 0x29c08086);
  assert.deepEqual(places, [
    { start: 0xb0000000, byteCount: 2 ** 28 },
    { start: 0xc0000000, byteCount: 2 ** 27 },
    undefined,
    { start: 0xf_b000_0000, byteCount: 2 ** 28 },
    undefined,
    { start: 0xf_b000_0000, byteCount: 2 ** 28 },
  ]);
});
