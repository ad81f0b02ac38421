// A guest that writes anything anywhere to PCI configuration, windows and the IOMMU, over tables of rubbish: nothing throws, nothing hangs, and devices
// still come back from a reset. Seeded; another seed by ANILLO_SEED.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { GuestClock } from '@anillo/devices/clock/guest-clock';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import { attachForTest } from './attach-for-test.ts';
import type { BoardModel } from './board-model.ts';
import { MIB } from './memory-map.ts';
import { PC } from './pc.ts';
import { PcBoard } from './pc-board.ts';
import { Q35 } from './q35.ts';

const SEED = Number(process.env.ANILLO_SEED ?? 20261);
const STEPS = 20_000;
const IOMMU = 0xfed90000;
const TABLES = 0x200000;

function boardOf(model: BoardModel, devices: readonly DeviceOptions[]) {
  let hostNs = 0;
  const clock = new GuestClock({ hostNowNs: () => hostNs, hostWallMs: () => 1_700_000_000_000 });
  const nothing = (): void => {};
  const pc = new PcBoard(
    { model, memoryBytes: 4 * MIB, cpuModel: 'x86-64-v3', clock, serial: [], devices, tscHz: 1e9, backends: { fillRandom: nothing } },
    {
      ...{ powerOff: nothing, reset: nothing, panicked: nothing, debugExit: nothing, suspend: nothing, wake: nothing, activity: nothing },
      hostFailed: nothing,
    },
  );
  const memory = attachForTest(pc);
  const pass = (ns: number): void => {
    hostNs += ns;
    pc.poll();
  };
  return { pc, memory, pass };
}

/** Xorshift, and values of the kind that registers and tables hold. */
class Rubbish {
  #state = SEED >>> 0 || 1;

  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  /** Often an address within the tables with some flags, so that walks go on. */
  value(): number {
    switch (this.below(6)) {
      case 0:
        return this.below(2 ** 32);
      case 1:
        return this.pick([0, 1, 0xffffffff, 0x80000000, 0xfee00000, 0xfec00000, IOMMU, 0xb0000000, 0xcf8]);
      case 2:
        return (1 << this.below(32)) >>> 0;
      case 3:
        return this.below(256);
      default:
        return TABLES + this.below(64) * 4096 + this.pick([0, 1, 2, 3, 7, 0x83, 0x803, 0xf]);
    }
  }
}

type Hostile = ReturnType<typeof boardOf> & { readonly r: Rubbish };

function configure({ pc, r }: Hostile): void {
  const fn = r.pick([0, 8, 9, 11, 16, 24, 0xf8, r.below(256)]);
  const offset = r.pick([4, 4, 0x10, 0x14, 0x18, 0x3c, 0x40, 0x42, 0x44, 0x48, 0x4c, 0x60, 0x64, 0x68, r.below(256)]);
  if (r.below(3) === 0) {
    pc.writeMmio(0xb0000000 + fn * 4096 + offset, r.pick([1, 2, 4] as const), r.value());
    return;
  }
  pc.writePort(0xcf8, 4, (0x80000000 | (fn << 8) | offset) >>> 0);
  const width = r.pick([1, 2, 4] as const);
  if (r.below(4) === 0) pc.readPort(0xcfc + r.below(5 - width), width);
  else pc.writePort(0xcfc + r.below(5 - width), width, r.value());
}

function touchIommu({ pc, r }: Hostile): void {
  const offset = r.pick([0x18, 0x18, 0x20, 0x2c, 0x34, 0x38, 0x40, 0x88, 0x88, 0x90, 0x9c, 0xa0, 0xb8, 0xf0, 0xfc, 0x22c, r.below(0x1000)]);
  if (r.below(5) === 0) pc.readMmio(IOMMU + offset, r.pick([1, 2, 4] as const));
  else pc.writeMmio(IOMMU + offset, r.pick([4, 4, 4, 2, 1] as const), r.value());
}

/** Where boards put the first windows; and what follows, wherever a guest has put it. */
function touchWindow({ pc, r }: Hostile): void {
  const base = r.pick([0xc0000000, 0xc0100000, 0xfed90000, 0xfee00000, 0xfec00000, r.value()]);
  const offset = r.pick([4, 8, 0x20, 0x60, 0x64, 0x80, 0x88, 0x90, 0x98, 0x98, r.below(0x100000)]);
  if (r.below(4) === 0) pc.readMmio(base + offset, r.pick([1, 2, 4] as const));
  else pc.writeMmio(base + offset, 4, r.value());
}

function fillTables({ memory, r }: Hostile): void {
  const page = TABLES + r.below(64) * 4096;
  for (let i = 0; i < 64; i++) memory.write32(gpa(page + r.below(1024) * 4), r.value());
}

/** Everything that makes devices master the bus. */
function startTransfers({ pc, r }: Hostile): void {
  for (const base of [0xc0000000, 0xc0100000]) {
    for (const offset of [0x80, 0x88, 0x90]) pc.writeMmio(base + offset, 4, r.pick([0x40000, r.below(4096), r.value()]));
    pc.writeMmio(base + 0x98, 4, r.below(8));
  }
}

/** What a driver would do, nearly: tables that lead somewhere, everything switched on. */
function arrange({ pc, memory, r }: Hostile): void {
  const page = (): number => TABLES + (2 + r.below(6)) * 4096;
  memory.write32(gpa(TABLES), (TABLES + 4096) | 1);
  for (const word of [4, 8, 12]) memory.write32(gpa(TABLES + word), 0);
  for (const fn of [8, 16, 24]) {
    const words = [page() | r.pick([1, 1, 1, 3, 5, 9]), 0, r.pick([1, 1, 1, 2, 0]) | (r.below(4) << 8), 0];
    for (const [i, word] of words.entries()) memory.write32(gpa(TABLES + 4096 + fn * 16 + i * 4), word);
    pc.writePort(0xcf8, 4, 0x80000004 + (fn << 8));
    pc.writePort(0xcfc, 2, r.pick([6, 6, 6, 2, 4]));
    pc.writePort(0xcf8, 4, 0x80000010 + (fn << 8));
    pc.writePort(0xcfc, 4, fn === 8 || fn === 24 ? 0xc0000000 : 0xc0100000);
    for (const [offset, value] of [
      [0x44, 0xfee00010 + (r.below(64) << 5) + (r.below(4) << 2)],
      [0x48, 0],
      [0x4c, r.below(16)],
      [0x40, 0x10005],
    ]) {
      pc.writePort(0xcf8, 4, 0x80000000 + (fn << 8) + offset);
      pc.writePort(0xcfc, 4, value);
    }
  }
  for (let i = 0; i < 32; i++) {
    const at = page() + r.pick([0, 8, r.below(512) * 8]);
    memory.write32(gpa(at), page() | r.pick([3, 3, 3, 1, 2, 0x83]));
    memory.write32(gpa(at + 4), r.pick([0, 0, 0, 1, 0x40000000]));
    for (const word of [0, 4, 8, 12])
      memory.write32(gpa(TABLES + 8 * 4096 + r.below(64) * 16 + word), r.pick([0x410001, 0, 0x40008, 0x300, r.value()]));
    memory.write32(gpa(TABLES + 16 * 4096 + i * 16), r.pick([0x11, 0x12, 0x22, 0x32, 0x25, 0x35, 0x14, 0x31]) | (r.below(4) << 16));
    for (const word of [4, 8, 12]) memory.write32(gpa(TABLES + 16 * 4096 + i * 16 + word), 0);
  }
  for (const [offset, value] of [
    [0x34, 0xffffffff],
    [0x20, TABLES],
    [0x24, 0],
    [0xb8, (TABLES + 8 * 4096) | r.pick([7, 0x807])],
    [0xbc, 0],
    [0x90, TABLES + 16 * 4096],
    [0x94, 0],
    [0x18, 0x41000000],
    [0x18, 0x86000000],
    [0x88, r.below(64) * 16],
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((record) => [0x22c + record * 16, 0x80000000]),
  ])
    pc.writeMmio(IOMMU + offset, 4, value);
}

/** Devices come and go, wanted or not, on the board's bus and behind a port. */
function changeDevices({ pc, r }: Hostile): void {
  const { userDevices } = pc;
  const [id, place] = r.pick([
    ['r0', { addr: '8' }],
    ['r1', { addr: '9' }],
    ...(userDevices.hasBus('port') ? [['r2', { bus: 'port' }] as const] : []),
  ] as const);
  switch (r.below(6)) {
    case 0:
      if (userDevices.has(id)) userDevices.unplug(id);
      else userDevices.plug({ model: 'virtio-rng-pci', id, ...place });
      break;
    case 1:
      if (userDevices.has(id)) userDevices.pull(id);
      break;
    case 2:
      pc.writePort(0xae08, 4, 0x300);
      break;
    case 3:
      pc.readPort(0xae00 + r.below(16), r.pick([1, 2, 4] as const));
      break;
    default:
      pc.writePort(
        0xcf8,
        4,
        (0x80000000 | (r.pick([0x88, 0x90, 0x100, 0x208]) << 8) | r.pick([4, 0x18, 0x20, 0x24, 0x3c, 0x60, 0x64, 0x68])) >>> 0,
      );
      pc.writePort(0xcfc, r.pick([2, 4] as const), r.pick([r.value(), 0x010100, 0xfff00000, 0x07e00720, 0x0100, 0x0731]));
  }
}

const MOVES = [configure, touchIommu, touchIommu, touchWindow, fillTables, startTransfers, startTransfers, changeDevices] as const;

for (const [model, devices] of [
  [PC, [{ model: 'edu' }, { model: 'edu' }, { model: 'pci-bridge', id: 'bridge', addr: '12' }, { model: 'virtio-rng-pci', bus: 'bridge' }]],
  [
    Q35,
    [
      ...[{ model: 'edu' }, { model: 'edu' }, { model: 'intel-iommu' }],
      { model: 'pci-bridge', id: 'bridge', addr: '12' },
      { model: 'virtio-rng-pci', bus: 'bridge' },
      { model: 'pcie-root-port', id: 'port', addr: '13' },
    ],
  ],
] as const) {
  test(`rubbish does not harm ${model.name} (seed ${SEED})`, { timeout: 120_000 }, () => {
    const { pc, memory, pass } = boardOf(model, devices);
    const hostile: Hostile = { pc, memory, pass, r: new Rubbish() };
    const { r } = hostile;
    for (let step = 0; step < STEPS; step++) {
      if (step % 32 === 0) arrange(hostile);
      r.pick(MOVES)(hostile);
      if (r.below(16) === 0) pass(r.below(200_000));
      if (r.below(64) === 0 && pc.interrupts(0).isPending()) pc.interrupts(0).acknowledge();
      if (r.below(1000) === 0) for (const device of pc.devices) device.restore(device.save());
      if (r.below(5000) === 0) pc.reset();
    }
    pc.reset();
    assert.equal(pc.readMmio(0xc0000000, 4), 0x010000ed);
    pc.writeMmio(0xc0000008, 4, 5);
    pass(1e6);
    assert.equal(pc.readMmio(0xc0000008, 4), 120);
  });
}
