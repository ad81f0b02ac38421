import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { GuestClock } from '@anillo/devices/clock/guest-clock';
import { attachForTest } from './attach-for-test.ts';
import { MIB } from './memory-map.ts';
import { PcBoard, type PcBoardOptions } from './pc-board.ts';
import { PC } from './pc.ts';
import { Q35 } from './q35.ts';

function board(more: Partial<PcBoardOptions> = {}) {
  let hostNs = 0;
  const log: string[] = [];
  const clock = new GuestClock({ hostNowNs: () => hostNs, hostWallMs: () => 1_700_000_000_000 });
  const note = (what: string) => (status?: number) => {
    log.push(status === undefined ? what : `${what} ${status}`);
  };
  const pc = new PcBoard(
    {
      model: PC,
      memoryBytes: 4 * MIB,
      cpuModel: 'x86-64-v3',
      clock,
      serial: [undefined, undefined],
      devices: [{ model: 'isa-debug-exit', iobase: 0xf4, iosize: 4 }, { model: 'pc-testdev' }],
      tscHz: 1e9,
      ...more,
    },
    {
      powerOff: note('off'),
      reset: note('reset'),
      panicked: note('panic'),
      debugExit: note('exit'),
      suspend: note('suspend'),
      wake: note('wake'),
      activity: () => {},
      hostFailed: () => {},
    },
  );
  const memory = attachForTest(pc);
  const advance = (ns: number): void => {
    hostNs += ns;
    pc.poll();
  };
  return { pc, memory, log, advance };
}

test('reset, power-off, panic and debug exit reach the machine', () => {
  const { pc, log } = board();
  pc.writePort(0xcf9, 1, 6);
  pc.writePort(0x604, 2, 0x2000);
  pc.writePort(0x505, 1, 1);
  pc.writePort(0xf4, 4, 1);
  pc.writePort(0x64, 1, 0xfe);
  pc.writePort(0x92, 1, 1);
  assert.deepEqual(log, ['reset', 'off 0', 'panic', 'exit 3', 'reset', 'reset']);
});

test('nobody answers: ones', () => {
  const { pc } = board();
  assert.equal(pc.readPort(0x1234, 2), 0xffff);
  assert.equal(pc.readMmio(0xd0000000, 4), 0xffffffff);
  pc.writeMmio(0xd0000000, 4, 1);
});

test('IRQ 0 reaches the CPU through the 8259, and pin 2 of the I/O APIC', () => {
  const { pc, advance } = board();
  // Counter 0 first: the mode word itself makes an edge, which the 8259's initialization forgets.
  for (const [port, value] of [
    [0x43, 0x34],
    [0x40, 0x9c],
    [0x40, 0x2e],
    [0x20, 0x11],
    [0x21, 0x30],
    [0x21, 0x04],
    [0x21, 0x01],
    [0x21, 0xfe],
  ])
    pc.writePort(port, 1, value);
  const apic = pc.interrupts(0);
  assert.equal(apic.isPending(), false);
  advance(10.1e6);
  assert.equal(apic.isPending(), true);
  assert.equal(apic.acknowledge(), 0x30);
  // Now the I/O APIC: mask the 8259, enable the local APIC, vector 0x41 at pin 2.
  pc.writePort(0x21, 1, 0xff);
  pc.writeMmio(0xfee000f0, 4, 0x1ff);
  for (const [register, value] of [
    [0x14, 0x41],
    [0x15, 0],
  ]) {
    pc.writeMmio(0xfec00000, 4, register);
    pc.writeMmio(0xfec00010, 4, value);
  }
  advance(10.1e6);
  advance(10.1e6);
  assert.equal(apic.acknowledge(), 0x41);
});

test('without firmware, interrupts are as firmware leaves them: the timer ticks, and its real-mode handler is there', () => {
  const { pc, memory, advance } = board();
  advance(56e6);
  assert.equal(pc.interrupts(0).acknowledge(), 8);
  const [offset, segment] = new Uint16Array(memory.read(gpa(8 * 4), 4).slice().buffer);
  const handler = memory.read(gpa(segment * 16 + offset), 18);
  assert.deepEqual([handler[0], handler[17]], [0x50, 0xcf]);
  const [iretOffset] = new Uint16Array(memory.read(gpa(0x1c * 4), 2).slice().buffer);
  assert.equal(memory.read(gpa(0xf0000 + iretOffset), 1)[0], 0xcf);
});

test('the local APIC answers at its base and follows it', () => {
  const { pc } = board();
  assert.equal(pc.readMmio(0xfee00030, 4) & 0xff, 0x14);
  const base = pc.interrupts(0).readRegister(0x1b);
  assert.ok(base);
  assert.equal(pc.interrupts(0).writeRegister(0x1b, (base.low & 0xfff) | 0xfe000000, 0), true);
  assert.equal(pc.readMmio(0xfe000030, 4) & 0xff, 0x14);
  assert.equal(pc.readMmio(0xfee00030, 4), 0xffffffff);
  // Over the I/O APIC: nothing throws, and a reset puts it back.
  pc.interrupts(0).writeRegister(0x1b, (base.low & 0xfff) | 0xfec00000, 0);
  pc.readMmio(0xfec00000, 4);
  pc.reset();
  assert.equal(pc.readMmio(0xfee00030, 4) & 0xff, 0x14);
});

for (const model of [PC, Q35])
  test(`a snapshot of every device of ${model.name} can be taken and given back`, () => {
    const { pc } = board({ model });
    const names = pc.devices.map((d) => d.name);
    assert.equal(new Set(names).size, names.length);
    const saved = pc.devices.map((d) => d.save());
    pc.writePort(0x3ff, 1, 0x5a);
    for (const [i, device] of pc.devices.entries()) device.restore(saved[i]);
    assert.notEqual(pc.readPort(0x3ff, 1), 0x5a);
  });

test('firmware moves the power management block, and the tables say where it is', () => {
  const { pc, log } = board();
  const configure = (register: number, value: number): void => {
    pc.writePort(0xcf8, 4, 0x80000b00 + register);
    pc.writePort(0xcfc, 4, value);
  };
  // Over a serial port: nothing throws, and the port is there again afterwards.
  configure(0x40, 0x3c0);
  configure(0x40, 0xb000);
  pc.writePort(0x3ff, 1, 0x5a);
  assert.equal(pc.readPort(0x3ff, 1), 0x5a);
  assert.deepEqual([pc.readPort(0x608, 4), pc.readPort(0xb004, 2)], [0xffffffff, 0]);
  pc.writePort(0x510, 2, 0x19);
  const read = (count: number): Buffer => Buffer.from(Array.from({ length: count }, () => pc.readPort(0x511, 1)));
  const entries = Array.from({ length: read(4).readUInt32BE() }, () => read(64));
  const entry = entries.find((e) => e.subarray(8).toString('latin1').startsWith('etc/acpi/tables\0'));
  assert.ok(entry);
  pc.writePort(0x510, 2, entry.readUInt16BE(4));
  const tables = read(entry.readUInt32BE());
  const fadt = tables.indexOf('FACP');
  assert.deepEqual(
    [56, 64, 76, 80].map((at) => tables.readUInt32LE(fadt + at)),
    [0xb000, 0xb004, 0xb008, 0xb020],
  );
  pc.writePort(0x604, 2, 0x2000);
  assert.deepEqual(log, []);
  pc.writePort(0xb004, 2, 0x2000);
  assert.deepEqual(log, ['off 0']);
});

test("the tables that fw_cfg offers are the board's", () => {
  const { pc } = board();
  pc.writePort(0x510, 2, 0x19);
  const read = (count: number): number[] => Array.from({ length: count }, () => pc.readPort(0x511, 1));
  const [a, b, c, d] = read(4);
  const count = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  const names = Array.from({ length: count }, () => Buffer.from(read(64).slice(8)).toString('latin1').replace(/\0.*$/s, ''));
  for (const name of [
    'etc/e820',
    'etc/acpi/tables',
    'etc/acpi/rsdp',
    'etc/table-loader',
    'etc/smbios/smbios-tables',
    'etc/smbios/smbios-anchor',
  ])
    assert.ok(names.includes(name), name);
});

/** What a CPU sees of PCI through ports. */
function pciOf(pc: PcBoard) {
  const at = (number: number, offset: number): void => pc.writePort(0xcf8, 4, (0x80000000 | (number << 8) | offset) >>> 0);
  return {
    read: (number: number, offset: number): number => {
      at(number, offset);
      return pc.readPort(0xcfc, 4);
    },
    write: (number: number, offset: number, value: number): void => {
      at(number, offset);
      pc.writePort(0xcfc, 4, value);
    },
  };
}

test('without firmware, windows of PCI devices are placed and decoded, interrupts routed, configuration of q35 is memory', () => {
  const { pc } = board({ model: Q35, devices: [{ model: 'edu' }, { model: 'edu', addr: '8.1' }] });
  const pci = pciOf(pc);
  assert.deepEqual([pci.read(0, 0), pci.read(0xf8, 0), pci.read(8, 0)], [0x29c08086, 0x29188086, 0x11e81234]);
  assert.deepEqual([pci.read(8, 0x10), pci.read(0x41, 0x10)], [0xc0000000, 0xc0100000]);
  assert.equal(pci.read(8, 4) & 7, 2, 'decoding, not mastering');
  assert.equal(pc.readMmio(0xc0100000, 4), 0x010000ed);
  assert.deepEqual([pci.read(8, 0x3c) & 0xffff, pci.read(0xf8, 0x68)], [0x010a, 0x0b0b0a0a]);
  // The same through memory, which a write to PCIEXBAR moves.
  assert.equal(pc.readMmio(0xb0000000 + (8 << 12) + 0x10, 4), 0xc0000000);
  assert.equal(pc.readMmio(0xb0000000 + (8 << 12) + 0x100, 4), 0xffffffff);
  assert.equal(pc.readMmio(0xb0100000, 4), 0xffffffff, 'bus 1');
  pc.writeMmio(0xb0000000 + (8 << 12) + 0x10, 4, 0xd0000000);
  assert.equal(pc.readMmio(0xd0000000, 4), 0x010000ed);
  pci.write(0, 0x60, 0xe0000001);
  assert.equal(pc.readMmio(0xe0000000, 4), 0x29c08086);
  assert.equal(pc.readMmio(0xb0000000, 4), 0xffffffff);
  // A window cannot hide the board's own registers.
  const version = pc.readMmio(0xfee00030, 4);
  pci.write(8, 0x10, 0xfee00000);
  assert.equal(pc.readMmio(0xfee00030, 4), version);
});

test("a PCI interrupt reaches the I/O APIC at the input that is PCI's own and, routed, at an ISA interrupt", () => {
  const { pc } = board({ model: Q35, devices: [{ model: 'edu' }] });
  const unmask = (pin: number, entry: number): void => {
    pc.writeMmio(0xfec00000, 4, 0x10 + pin * 2);
    pc.writeMmio(0xfec00010, 4, entry);
  };
  pc.writeMmio(0xfee000f0, 4, 0x1ff);
  pc.writePort(0x21, 1, 0xff);
  unmask(21, 0x8061); // device 1, INTA: PIRQF
  pc.writeMmio(0xc0000060, 4, 1);
  assert.equal(pc.interrupts(0).acknowledge(), 0x61);
  pc.writeMmio(0xc0000064, 4, 1);
  pc.writeMmio(0xfee000b0, 4, 0);
  assert.equal(pc.interrupts(0).isPending(), false);
  unmask(10, 0x62);
  pc.writeMmio(0xc0000060, 4, 1);
  assert.equal(pc.interrupts(0).acknowledge(), 0x62);
});

test('an IOMMU is for q35, once; two devices cannot have the same ports', () => {
  const iommu = { model: 'intel-iommu' };
  assert.throws(() => board({ devices: [iommu] }), /choose the machine q35/);
  assert.throws(() => board({ model: Q35, devices: [iommu, iommu] }), /has an IOMMU already/);
  assert.throws(() => board({ devices: [{ model: 'isa-serial' }] }), /0x3f8 is claimed by two devices/);
  const { pc } = board({ model: Q35, devices: [iommu, { model: 'pvpanic', ioport: 0x506 }] });
  assert.equal(pc.readMmio(0xfed90000, 4), 0x10);
  assert.deepEqual([pc.readPort(0x505, 1), pc.readPort(0x506, 1)], [0xff, 3]);
});
