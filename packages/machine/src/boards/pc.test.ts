import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { GuestClock } from '@anillo/devices/clock/guest-clock';
import { RegionMemory } from '@anillo/memory/region-memory';
import { MIB } from './memory-map.ts';
import { PcBoard } from './pc.ts';

function board(memoryMib = 4) {
  let hostNs = 0;
  const log: string[] = [];
  const clock = new GuestClock({ hostNowNs: () => hostNs, hostWallMs: () => 1_700_000_000_000 });
  const note = (what: string) => (status?: number) => {
    log.push(status === undefined ? what : `${what} ${status}`);
  };
  const pc = new PcBoard(
    {
      memoryBytes: memoryMib * MIB,
      cpuModel: 'x86-64-v3',
      clock,
      serial: [undefined, undefined],
      debugExit: { port: 0xf4, byteCount: 4 },
      testDevice: true,
      tscHz: 1e9,
    },
    {
      powerOff: note('off'),
      reset: note('reset'),
      panicked: note('panic'),
      debugExit: note('exit'),
      suspend: note('suspend'),
      wake: note('wake'),
      activity: () => {},
    },
  );
  let offset = 0;
  const regions = pc.regions.map((r) => {
    const region = { ...r, start: gpa(r.start), offset };
    offset += r.byteCount;
    return region;
  });
  const memory = new RegionMemory(new ArrayBuffer(offset), regions);
  pc.attach(memory);
  pc.reset();
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

test('a snapshot of every device can be taken and given back', () => {
  const { pc } = board();
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
