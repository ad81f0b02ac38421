import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PciRig } from '../testing/pci-rig.ts';
import { Edu } from '../system/edu.ts';
import { CONFIG } from './config-space.ts';
import { BRIDGE } from './pci-bridge.ts';
import { PciBridgeDevice } from './pci-bridge-device.ts';

const AT = 3 << 3;
const MASTER = 4;
const EDU_ID = 0x010000ed;

/** A bridge at 3.0 to bus 1, edu at 5.0 behind it; memory from 0x40000000 to 0x40200000 is forwarded, and the device is at its start. */
function rig() {
  const r = new PciRig();
  const device = new PciBridgeDevice(r.bus, AT, 'far');
  const edu = new Edu({ clock: r.clock, bus: device.secondaryBus, address: 5 << 3 });
  r.configure(AT, BRIDGE.primary, 0x010100);
  r.configure(AT, BRIDGE.memoryBase, 0x40104000);
  r.configure(AT, CONFIG.command, 7, 2);
  const far = {
    read: (offset: number) => r.bus.readConfigAt(0x128, offset, 4),
    write: (offset: number, value: number) => r.bus.writeConfigAt(0x128, offset, 4, value),
  };
  far.write(CONFIG.bar, 0x40000000);
  far.write(CONFIG.command, 6);
  return { r, device, edu, far };
}

test('configuration of the bus behind is reached by the number that the guest gives it', () => {
  const { r, far } = rig();
  assert.equal(r.config(AT, CONFIG.headerType, 1), 1);
  assert.equal(far.read(0), 0x11e81234);
  assert.equal(r.bus.readConfigAt(0x100, 0, 4), 0xffffffff);
  assert.equal(r.bus.readConfigAt(0x228, 0, 4), 0xffffffff, 'a bus that nobody has');
  r.configure(AT, BRIDGE.secondary, 0x77, 1);
  r.configure(AT, BRIDGE.subordinate, 0x77, 1);
  assert.equal(far.read(0), 0xffffffff);
  assert.equal(r.bus.readConfigAt(0x7728, 0, 4), 0x11e81234);
  r.configure(AT, BRIDGE.secondary, 0, 1);
  r.configure(AT, BRIDGE.subordinate, 0xff, 1);
  assert.equal(r.bus.readConfigAt(0x7728, 0, 4), 0xffffffff, 'no number, no bus');
});

test('a bus behind two bridges is found by the range of numbers of the first', () => {
  const { r, device } = rig();
  const further = new PciBridgeDevice(device.secondaryBus, 0, 'further');
  const edu = new Edu({ clock: r.clock, bus: further.secondaryBus, address: 0 });
  r.bus.writeConfigAt(0x100, BRIDGE.primary, 4, 0x020201);
  assert.equal(r.bus.readConfigAt(0x200, 0, 4), 0xffffffff, 'the first bridge ends at bus 1');
  r.configure(AT, BRIDGE.subordinate, 2, 1);
  assert.equal(r.bus.readConfigAt(0x200, 0, 4), 0x11e81234);
  assert.ok(edu);
});

test('windows show before the bridge as far as it forwards them', () => {
  const { r, far } = rig();
  assert.equal(r.memory.read(0x40000000, 4), EDU_ID);
  // Moved half out of the window, which is 2 MiB: the second MiB is not forwarded.
  far.write(CONFIG.bar, 0x40100000);
  assert.equal(r.memory.read(0x40100000, 4), EDU_ID);
  r.configure(AT, BRIDGE.memoryLimit, 0x4000, 2);
  assert.equal(r.memory.read(0x40100000, 4), 0xffffffff);
  r.configure(AT, BRIDGE.memoryLimit, 0x4010, 2);
  r.configure(AT, CONFIG.command, 4, 2);
  assert.equal(r.memory.read(0x40100000, 4), 0xffffffff, 'the bridge decodes no memory');
  r.configure(AT, CONFIG.command, 6, 2);
  assert.equal(r.memory.read(0x40100000, 4), EDU_ID);
  far.write(CONFIG.command, 0);
  assert.equal(r.memory.read(0x40100000, 4), 0xffffffff, 'the device does not');
  // The prefetchable window forwards too, above 4 GiB as well; its base and limit have 64 bits.
  far.write(CONFIG.command, 6);
  r.configure(AT, BRIDGE.memoryBase, 0x0000fff0);
  assert.equal(r.memory.read(0x40100000, 4), 0xffffffff);
  r.configure(AT, BRIDGE.prefetchBase, 0x40104010);
  assert.equal(r.memory.read(0x40100000, 4), EDU_ID);
  r.configure(AT, BRIDGE.prefetchLimitHigh, 1);
  r.configure(AT, BRIDGE.prefetchBaseHigh, 1);
  assert.equal(r.memory.read(0x40100000, 4), 0xffffffff);
});

test('what lies across the end of a window shows in part', () => {
  const { r, device } = rig();
  const range = { start: 0x401ff000, byteCount: 0x2000, read: (offset: number) => offset, write() {} };
  device.secondaryBus.mmio.add(range);
  assert.deepEqual([r.memory.read(0x401ffffc, 4), r.memory.read(0x40200000, 4)], [0xffc, 0xffffffff]);
  r.configure(AT, BRIDGE.memoryBase, 0x40204020);
  assert.deepEqual([r.memory.read(0x401ffffc, 4), r.memory.read(0x40200000, 4)], [0xffffffff, 0x1000]);
  device.secondaryBus.mmio.remove(range);
  assert.equal(r.memory.read(0x40200000, 4), 0xffffffff);
});

test('a device behind the bridge reaches memory as the bridge, while that masters the bus; messages too', () => {
  const { r } = rig();
  const sources: number[] = [];
  r.bus.remapper = {
    translateDma: (source, address) => {
      sources.push(source);
      return address;
    },
  };
  r.put(0x1000, 0x12345678);
  const transfer = (): void => {
    for (const [offset, value] of [
      [0x80, 0x1000],
      [0x88, 0x40000],
      [0x90, 4],
      [0x98, 1],
    ])
      r.memory.write(0x40000000 + offset, 4, value);
    r.advance(1e6);
  };
  transfer();
  assert.deepEqual([...new Set(sources)], [AT]);
  sources.length = 0;
  r.configure(AT, CONFIG.command, 7 & ~MASTER, 2);
  transfer();
  assert.deepEqual(sources, []);
});

test('pins are turned by one from slot to slot', () => {
  const { r } = rig();
  const inputs: [number, number][] = [];
  r.bus.inputOf = (device, pin) => {
    inputs.push([device, pin]);
    return 0;
  };
  r.memory.write(0x40000060, 4, 1);
  assert.deepEqual(inputs.at(-1), [3, (5 + 0) & 3]);
  assert.equal(r.pirqs, 1);
  r.memory.write(0x40000064, 4, 1);
  assert.equal(r.pirqs, 0);
});

test('a reset of the bus behind resets its functions, once; a snapshot brings the windows back', () => {
  const { r, device, far } = rig();
  const saved = device.save();
  r.configure(AT, BRIDGE.control, 0x40, 2);
  assert.equal(far.read(CONFIG.command) & 0xffff, 0);
  far.write(CONFIG.bar, 0x40000000);
  far.write(CONFIG.command, 6);
  r.configure(AT, BRIDGE.latency, 1, 1);
  assert.equal(far.read(CONFIG.command) & 0xffff, 6, 'it does not begin again while it is on');
  device.reset();
  assert.equal(r.memory.read(0x40000000, 4), 0xffffffff);
  device.restore(saved);
  far.write(CONFIG.bar, 0x40000000);
  far.write(CONFIG.command, 6);
  assert.equal(r.memory.read(0x40000000, 4), EDU_ID);
});
