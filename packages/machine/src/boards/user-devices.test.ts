import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { GuestClock } from '@anillo/devices/clock/guest-clock';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import { ACPI_HOT_PLUG } from '@anillo/devices/pci/acpi-hot-plug';
import type { BlockBackend } from '@anillo/devices/virtio/block-backend';
import { attachForTest } from './attach-for-test.ts';
import type { BoardModel } from './board-model.ts';
import { MIB } from './memory-map.ts';
import { PC } from './pc.ts';
import { PcBoard } from './pc-board.ts';
import { Q35 } from './q35.ts';

const RNG = 0x10441af4;
const BLK = 0x10421af4;
const NOTHING = 0xffffffff;

const isError =
  (code: string, says: RegExp) =>
  (e: unknown): boolean => {
    assert.ok(e instanceof AnilloError, String(e));
    assert.equal(e.code, code);
    assert.match(e.message, says);
    return true;
  };

const nothing = async (): Promise<void> => {};
const DISK: BlockBackend = {
  ...{ byteCount: 512, isReadOnly: false },
  ...{ read: nothing, write: nothing, writeZeroes: nothing, discard: nothing, flush: nothing },
};

/** A board without firmware, whose guest is the test. */
function board(model: BoardModel, devices: readonly DeviceOptions[] = []) {
  let hostNs = 0;
  const clock = new GuestClock({ hostNowNs: () => hostNs++, hostWallMs: () => 1_700_000_000_000 });
  const ignore = (): void => {};
  const pc = new PcBoard(
    {
      ...{ model, memoryBytes: 4 * MIB, cpuModel: 'x86-64-v3', clock, serial: [], devices, tscHz: 1e9 },
      backends: { drives: { disk: DISK }, fillRandom: ignore },
    },
    {
      ...{ powerOff: ignore, reset: ignore, panicked: ignore, debugExit: ignore, suspend: ignore, wake: ignore, activity: ignore },
      hostFailed: ignore,
    },
  );
  attachForTest(pc);
  const { userDevices } = pc;
  const log: string[] = [];
  userDevices.onTaken = (id) => log.push(`taken ${id}`);
  userDevices.onGone = (id) => log.push(`gone ${id}`);
  const at = (bus: number, device: number, offset: number): void =>
    pc.writePort(0xcf8, 4, (0x80000000 | (bus << 16) | (device << 11) | offset) >>> 0);
  return {
    ...{ pc, userDevices, log },
    read(bus: number, device: number, offset = 0): number {
      at(bus, device, offset);
      return pc.readPort(0xcfc, 4);
    },
    write(bus: number, device: number, offset: number, value: number, byteCount: 2 | 4 = 4): void {
      at(bus, device, offset);
      pc.writePort(0xcfc + (offset & 3), byteCount, value);
    },
    changed: () => pc.readPort(ACPI_HOT_PLUG.port, 4),
    wanted: () => pc.readPort(ACPI_HOT_PLUG.port + 4, 4),
    eject: (device: number) => pc.writePort(ACPI_HOT_PLUG.port + 8, 4, (1 << device) >>> 0),
    gpe: () => (pc.readPort(0x620, 2) & 2) !== 0,
    /** What has been asked of the host is done. */
    settle: () => pc.settled(),
  };
}

for (const model of [PC, Q35])
  test(`${model.name}: a device comes, is used, and goes, again and again; its back end is free each time`, async () => {
    const b = board(model);
    for (let round = 0; round < 50; round++) {
      const id = b.userDevices.plug({ model: 'virtio-blk-pci', drive: 'disk', addr: '6' });
      assert.equal(id, 'disk');
      assert.deepEqual([b.gpe(), b.changed(), b.read(0, 6)], [true, 1 << 6, BLK]);
      assert.equal(b.userDevices.isTaken(id), false);
      b.write(0, 6, 4, 6, 2);
      assert.equal(b.userDevices.isTaken(id), true);
      assert.throws(() => b.userDevices.plug({ model: 'virtio-blk-pci', drive: 'disk' }), isError('BAD_OPTION', /share the drive "disk"/));
      b.userDevices.unplug(id);
      assert.deepEqual([b.wanted(), b.read(0, 6)], [1 << 6, BLK]);
      b.eject(6);
      assert.equal(b.read(0, 6), NOTHING);
      await b.settle();
      assert.deepEqual(b.log.splice(0), ['taken disk', 'gone disk']);
    }
    assert.equal(b.changed(), 0);
  });

test('windows of a device that is gone are gone too', async () => {
  const b = board(PC);
  b.userDevices.plug({ model: 'edu', addr: '5', id: 'e' });
  b.write(0, 5, 0x10, 0xd0000000);
  b.write(0, 5, 4, 7, 2);
  assert.equal(b.pc.readMmio(0xd0000000, 4), 0x010000ed);
  const count = b.pc.devices.length;
  b.userDevices.pull('e');
  assert.equal(b.pc.readMmio(0xd0000000, 4), NOTHING);
  assert.equal(b.pc.devices.length, count - 1);
  assert.deepEqual([b.changed(), b.wanted()], [1 << 5, 0], 'it came');
  await b.settle();
  assert.equal(b.wanted(), 1 << 5, 'the guest is told when nothing of the host is under way');
  assert.deepEqual(b.log, ['taken e', 'gone e']);
});

test('a device without an address goes to the first free slot; one that was there at the start can go as well', async () => {
  const b = board(PC, [{ model: 'virtio-rng-pci', id: 'first' }, { model: 'virtio-rng-pci' }]);
  assert.equal(b.userDevices.plug({ model: 'virtio-rng-pci' }), 'device2');
  assert.equal(b.changed(), 1 << 4);
  b.userDevices.unplug('first');
  b.eject(2);
  await b.settle();
  assert.equal(b.userDevices.plug({ model: 'virtio-rng-pci' }), 'device3');
  assert.equal(b.changed(), 1 << 2);
  b.eject(1);
  b.eject(0);
  b.eject(30);
  assert.equal(b.read(0, 1) & 0xffff, 0x8086, "the board's own chips stay");
});

test('a guest that was asked and resets has let go', async () => {
  const b = board(Q35);
  b.userDevices.plug({ model: 'virtio-rng-pci', id: 'a', addr: '6' });
  b.userDevices.plug({ model: 'virtio-rng-pci', id: 'b', addr: '7' });
  b.userDevices.unplug('a');
  b.pc.reset();
  await b.settle();
  assert.deepEqual([b.read(0, 6), b.read(0, 7), b.wanted()], [NOTHING, RNG, 0]);
  assert.deepEqual(b.log, ['gone a']);
});

test('a device whose work the host has not ended is off the bus at once, and gone when it has', async () => {
  const b = board(PC);
  const { promise, resolve } = Promise.withResolvers<void>();
  b.userDevices.plug({ model: 'virtio-rng-pci', id: 'slow', addr: '6' });
  const device = b.pc.devices.find(({ name }) => name === 'virtio-rng-pci');
  assert.ok(device);
  device.settled = () => promise;
  b.userDevices.unplug('slow');
  b.eject(6);
  await Promise.resolve();
  assert.deepEqual([b.read(0, 6), b.log], [NOTHING, []]);
  resolve();
  await b.settle();
  assert.deepEqual(b.log, ['gone slow']);
});

test('what cannot come or go is said, and leaves nothing behind', async () => {
  const b = board(Q35, [
    { model: 'pcie-root-port', id: 'rp1' },
    { model: 'pci-bridge', id: 'br' },
    { model: 'virtio-rng-pci', id: 'there', bus: 'br' },
    { model: 'virtio-rng-pci', id: 'two', addr: '8.0' },
    { model: 'virtio-rng-pci', id: 'three', addr: '8.1' },
  ]);
  const { userDevices } = b;
  const count = b.pc.devices.length;
  assert.throws(() => userDevices.plug({ model: 'isa-debug-exit' }), isError('UNSUPPORTED', /give it when the machine is made/));
  assert.throws(() => userDevices.plug({ model: 'pcie-root-port' }), isError('UNSUPPORTED', /stays as long as the machine runs/));
  assert.throws(() => userDevices.plug({ model: 'virtio-rng-pci', bus: 'br' }), isError('UNSUPPORTED', /on the bus br stay/));
  assert.throws(() => userDevices.plug({ model: 'virtio-rng-pci', addr: '9.1' }), isError('BAD_OPTION', /function 0/));
  assert.throws(
    () => userDevices.plug({ model: 'virtio-rng-pci', addr: 'c' }),
    isError('BAD_OPTION', /come to the slots 3, 4, 5, 6, 7, 8, 9, a, b of its PCI bus, or to root ports; not to c\./),
  );
  assert.throws(() => userDevices.plug({ model: 'virtio-rng-pci', addr: '8.2' }), isError('UNSUPPORTED', /shares its slot/));
  assert.throws(
    () => userDevices.plug({ model: 'virtio-rng-pci', bus: 'no' }),
    isError('BAD_OPTION', /no PCI bus "no"; the buses are pcie\.0, rp1, br/),
  );
  assert.throws(() => userDevices.plug({ model: 'virtio-rng-pci', id: 'two' }), isError('BAD_OPTION', /Two devices are called "two"/));
  assert.throws(() => userDevices.plug({ model: 'virtio-rng-pci', id: '2' }), isError('BAD_OPTION', /no id of a device/));
  assert.throws(() => userDevices.plug({ model: 'virtio-rng-pci', bus: 'rp1', addr: '1' }), isError('BAD_OPTION', /room for one device/));
  assert.throws(() => userDevices.unplug('there'), isError('UNSUPPORTED', /on the bus br stay/));
  assert.throws(() => userDevices.unplug('two'), isError('UNSUPPORTED', /shares its slot/));
  assert.throws(() => userDevices.unplug('rp1'), isError('UNSUPPORTED', /no bridges/));
  assert.throws(() => userDevices.unplug('none'), isError('BAD_OPTION', /no device "none"; the devices are device0, rp1/));
  assert.equal(b.pc.devices.length, count);
  assert.equal(b.read(0, 9), NOTHING);
  assert.throws(() => board(PC, [{ model: 'pcie-root-port' }]), isError('BAD_OPTION', /choose that machine/));
});

/** Configuration of a bridge as the board's own set-up leaves it. */
const numbersOf = (b: ReturnType<typeof board>, bus: number, device: number): number => b.read(bus, device, 0x18) & 0xffffff;

test('without firmware buses behind bridges are numbered, with windows for what is there and what may come', () => {
  const b = board(Q35, [
    { model: 'pci-bridge', id: 'a', addr: '2' },
    { model: 'pci-bridge', id: 'b', bus: 'a', addr: '1' },
    { model: 'edu', bus: 'b', addr: '5' },
    { model: 'pcie-root-port', id: 'rp', addr: '3' },
    { model: 'virtio-rng-pci', bus: 'rp' },
  ]);
  assert.deepEqual([numbersOf(b, 0, 2), numbersOf(b, 1, 1), numbersOf(b, 0, 3)], [0x020100, 0x020201, 0x030300]);
  const bar = b.read(2, 5, 0x10);
  assert.equal(b.pc.readMmio(bar, 4), 0x010000ed);
  for (const [bus, device] of [
    [0, 2],
    [1, 1],
  ]) {
    const window = b.read(bus, device, 0x20);
    assert.ok(((window & 0xfff0) << 16) >>> 0 <= bar && (((window >>> 16) << 16) + 0x100000) >>> 0 > bar, `window of ${bus}:${device}`);
  }
  const port = b.read(0, 3, 0x20);
  assert.ok((port >>> 20) - ((port & 0xffff) >> 4) >= 1, 'two MiB for what comes');
  assert.equal(b.read(3, 0), RNG);
  assert.ok(b.read(3, 0, 0x20) !== 0);
  // INTA of device 5 is INTB of 1 on a, INTC of 2 on the board's bus: PIRQs are told by the interrupt line.
  assert.equal(b.read(2, 5, 0x3c) & 0xff, Q35.pciInterrupts.firstRoutes[Q35.pciInterrupts.inputOf(2, (5 + 1) & 3)]);
});

test('behind a root port: the guest is told by the slot, lets go by it, and the next device finds its place', async () => {
  const b = board(Q35, [{ model: 'pcie-root-port', id: 'rp', addr: '3' }]);
  let express = b.read(0, 3, 0x34) & 0xff;
  while ((b.read(0, 3, express) & 0xff) !== 0x10) express = (b.read(0, 3, express) >>> 8) & 0xff;
  const control = (value: number): void => b.write(0, 3, express + 0x18, value, 2);
  for (let round = 0; round < 3; round++) {
    b.userDevices.plug({ model: 'virtio-rng-pci', id: 'r', bus: 'rp' });
    assert.equal((b.read(0, 3, express + 0x18) >>> 16) & 0x49, 0x49, 'button, presence');
    assert.equal(b.changed(), 0, 'not by ACPI');
    control(0x100);
    b.write(0, 3, express + 0x18, 0x01090100);
    assert.equal(b.read(1, 0), RNG);
    b.write(1, 0, 4, 6, 2);
    b.userDevices.unplug('r');
    assert.equal((b.read(0, 3, express + 0x18) >>> 16) & 1, 1);
    control(0x700);
    await b.settle();
    assert.deepEqual(b.log.splice(0), ['taken r', 'gone r']);
    assert.equal(b.read(1, 0), NOTHING);
  }
  assert.throws(
    () => {
      b.userDevices.plug({ model: 'virtio-rng-pci', id: 'x', bus: 'rp' });
      b.userDevices.plug({ model: 'virtio-rng-pci', id: 'y', bus: 'rp' });
    },
    isError('BAD_OPTION', /PCI bus rp is full/),
  );
});
