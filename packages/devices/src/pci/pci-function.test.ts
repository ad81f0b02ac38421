import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { PciRig, RIG_MEMORY_BYTES } from '../testing/pci-rig.ts';
import { CONFIG } from './config-space.ts';
import { PciFunction, type PciFunctionOptions } from './pci-function.ts';

const AT = 2 << 3;
const IDENTITY = { vendor: 0x1234, device: 0x5678, revision: 3, classCode: 0x010203, subsystemVendor: 0x9abc, subsystem: 0xdef0 } as const;

function rigWith(options: Partial<PciFunctionOptions> = {}) {
  const rig = new PciRig();
  const log: string[] = [];
  const window = (bar: number, kind: 'io' | 'memory32' | 'memory64', byteCount: number) => ({
    bar,
    kind,
    byteCount,
    read: (offset: number) => bar * 0x1000 + offset,
    write: (offset: number, _: number, value: number) => {
      log.push(`${bar}+${offset}=${value}`);
    },
  });
  const windows = [window(0, 'memory32', 0x1000), window(1, 'io', 0x20), window(2, 'memory64', 0x100000)];
  const fn = new PciFunction({ identity: IDENTITY, hasPin: true, windows, ...options });
  rig.bus.attach(fn);
  return { rig, fn, log };
}

test('identity is what was declared, and cannot be written', () => {
  const { rig } = rigWith();
  for (const offset of [0, 8, 0x2c]) rig.configure(AT, offset, 0);
  assert.deepEqual(
    [0, 8, 0x2c, 0x3c].map((offset) => rig.config(AT, offset)),
    [0x56781234, 0x01020303, 0xdef09abc, 0x100],
  );
  rig.configure(AT, CONFIG.interruptLine, 0x1ff, 2);
  assert.equal(rig.config(AT, CONFIG.interruptLine, 2), 0x1ff);
});

test('windows are sized by writing ones', () => {
  const { rig } = rigWith();
  for (let bar = 0; bar < 6; bar++) rig.configure(AT, CONFIG.bar + bar * 4, 0xffffffff);
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].map((bar) => rig.config(AT, CONFIG.bar + bar * 4)),
    [0xfffff000, 0xffffffe1, 0xfff00004, 0xffffffff, 0, 0],
  );
});

test('windows are decoded where and while configuration says, and a snapshot takes them along', () => {
  const { rig, fn, log } = rigWith();
  rig.configure(AT, CONFIG.bar, 0xc0000000);
  rig.configure(AT, CONFIG.bar + 4, 0xc000);
  rig.configure(AT, CONFIG.bar + 8, 0x00100000);
  rig.configure(AT, CONFIG.bar + 12, 0x80);
  assert.equal(rig.memory.read(0xc0000004, 4), 0xffffffff);
  rig.configure(AT, CONFIG.command, 2, 2);
  assert.deepEqual([rig.memory.read(0xc0000004, 4), rig.io.read(0xc004, 4)], [4, 0xffffffff]);
  assert.equal(rig.memory.read(0x80_0010_0008, 4), 0x2008);
  rig.configure(AT, CONFIG.command, 3, 2);
  assert.equal(rig.io.read(0xc004, 4), 0x1004);
  rig.io.write(0xc000, 1, 7);
  assert.deepEqual(log, ['1+0=7']);
  const state = fn.save();
  rig.configure(AT, CONFIG.bar, 0xd0000000);
  assert.deepEqual([rig.memory.read(0xc0000004, 4), rig.memory.read(0xd0000004, 4)], [0xffffffff, 4]);
  fn.reset();
  assert.deepEqual([rig.memory.read(0xd0000004, 4), rig.io.read(0xc004, 4)], [0xffffffff, 0xffffffff]);
  fn.restore(state);
  assert.equal(rig.memory.read(0xc0000004, 4), 4);
});

test('windows may lie over each other and over the board, which goes first', () => {
  const { rig } = rigWith();
  rig.memory.add({ start: 0xfec00000, byteCount: 0x100, read: () => 0x55, write: () => {} });
  rig.io.add({ start: 0x60, byteCount: 1, read: () => 0x66, write: () => {} });
  rig.configure(AT, CONFIG.bar, 0xfec00000);
  rig.configure(AT, CONFIG.bar + 4, 0x60);
  rig.configure(AT, CONFIG.bar + 8, 0xfec00000);
  rig.configure(AT, CONFIG.command, 3, 2);
  assert.deepEqual([rig.memory.read(0xfec00000, 1), rig.memory.read(0xfec00100, 4), rig.in8(0x60), rig.in8(0x61)], [0x55, 0x100, 0x66, 1]);
  rig.configure(AT, CONFIG.bar + 4, 0xffffffe0);
  assert.equal(rig.in8(0xffe0), 0xff, 'beyond the last port');
  rig.configure(AT, CONFIG.bar, 0);
  assert.equal(rig.memory.read(0, 4), 0xffffffff, 'address 0 is none');
});

test('the pin is a level that the command register and messages keep back', () => {
  const { rig, fn } = rigWith({ msiVectors: 1 });
  fn.setPin(true);
  const input = 1 << rig.bus.inputOf(2, 0);
  assert.deepEqual([rig.pirqs, rig.config(AT, CONFIG.status, 2) & 8], [input, 8]);
  rig.configure(AT, CONFIG.command, 1 << 10, 2);
  assert.deepEqual([rig.pirqs, rig.config(AT, CONFIG.status, 2) & 8], [0, 8]);
  rig.configure(AT, CONFIG.command, 0, 2);
  assert.equal(rig.pirqs, input);
  rig.configure(AT, 0x42, 1, 2);
  assert.equal(rig.pirqs, 0);
  rig.configure(AT, 0x42, 0, 2);
  assert.equal(rig.pirqs, input);
  fn.setPin(false);
  assert.equal(rig.pirqs, 0);
});

test('MSI: a message for each vector given, by bus mastering', () => {
  const { rig, fn } = rigWith({ msiVectors: 4 });
  assert.deepEqual(
    [rig.config(AT, CONFIG.capabilities, 1), rig.config(AT, 0x40), rig.config(AT, CONFIG.status, 2) & 0x10],
    [0x40, 0x840005, 0x10],
  );
  assert.equal(fn.sendMessage(0), false, 'not enabled');
  rig.configure(AT, 0x44, 0xfee01007);
  rig.configure(AT, 0x4c, 0xffff5552);
  rig.configure(AT, 0x42, 0x0011, 2);
  assert.equal(fn.sendMessage(3), true);
  assert.deepEqual(rig.messages, [], 'mastering is off');
  rig.configure(AT, CONFIG.command, 4, 2);
  for (const vector of [0, 1, 2, 3]) fn.sendMessage(vector);
  assert.deepEqual(
    rig.messages.map(({ address, data, source }) => [address, data, source]),
    [0x5552, 0x5553, 0x5552, 0x5553].map((data) => [0xfee01004, data, AT]),
  );
  // An address that is memory: the message is written there.
  rig.configure(AT, 0x44, 0x100);
  fn.sendMessage(0);
  assert.equal(rig.ram.read32(gpa(0x100)), 0x5552);
  rig.configure(AT, 0x48, 1);
  fn.sendMessage(0);
  assert.equal(rig.config(AT, CONFIG.status, 2) & 0x2000, 0x2000, 'above 4 GiB there is nothing');
  rig.configure(AT, CONFIG.status, 0x2000, 2);
  assert.equal(rig.config(AT, CONFIG.status, 2) & 0x2000, 0);
});

test('MSI-X: entries, masks, what waits, and registers that are hostile', () => {
  const { rig, fn } = rigWith({ windows: [], msix: { vectors: 3, bar: 4 } });
  rig.configure(AT, CONFIG.bar + 16, 0xc0000000);
  rig.configure(AT, CONFIG.command, 6, 2);
  assert.deepEqual([rig.config(AT, 0x40), rig.config(AT, 0x44), rig.config(AT, 0x48)], [0x00020011, 4, 0x804]);
  assert.equal(rig.memory.read(0xc000000c, 4), 1, 'masked after reset');
  for (let vector = 0; vector < 3; vector++) {
    rig.memory.write(0xc0000000 + vector * 16, 4, 0xfee00003);
    rig.memory.write(0xc0000008 + vector * 16, 4, 0x30 + vector);
  }
  assert.equal(fn.sendMessage(0), false);
  rig.configure(AT, 0x42, 0x8000, 2);
  assert.equal(fn.sendMessage(1), true);
  assert.deepEqual([rig.messages.length, rig.memory.read(0xc0000800, 4)], [0, 2]);
  const state = fn.save();
  rig.memory.write(0xc000001c, 4, 0);
  assert.deepEqual([rig.messages, rig.memory.read(0xc0000800, 4)], [[{ address: 0xfee00000, data: 0x31, source: AT }], 0]);
  fn.restore(state);
  rig.configure(AT, 0x42, 0xc000, 2);
  rig.memory.write(0xc000001c, 4, 0xfffffffe);
  assert.equal(rig.messages.length, 1, 'the whole function is masked');
  rig.configure(AT, 0x42, 0x8000, 2);
  assert.equal(rig.messages.length, 2);
  for (const vector of [-1, 3, 1000]) fn.sendMessage(vector);
  rig.memory.write(0xc0000040, 4, 1);
  rig.memory.write(0xc0000ffc, 4, 1);
  assert.deepEqual([rig.messages.length, rig.memory.read(0xc0000ffc, 4), rig.memory.read(0xc0000040, 4)], [2, 0, 0]);
});

test('bus mastering needs the command register, and memory', () => {
  const { rig, fn } = rigWith();
  const bytes = new Uint8Array(8);
  rig.put(0xffc, 0x11111111, 0x22222222);
  assert.equal(fn.readMemory(0xffc, bytes), false);
  assert.equal(bytes[0], 0xff);
  rig.configure(AT, CONFIG.command, 4, 2);
  assert.equal(fn.readMemory(0xffc, bytes), true);
  assert.deepEqual([...bytes], [0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x22]);
  assert.equal(fn.writeMemory(RIG_MEMORY_BYTES - 4, bytes), false, 'half of it is beyond');
  assert.equal(fn.writeMemory(2 ** 63, bytes), false);
  assert.equal(fn.writeMemory(0xfee00000, bytes), false, 'a message has four bytes');
});

test('function 0 says that there are others, and a full place is refused', () => {
  const { rig } = rigWith();
  assert.equal(rig.config(AT, CONFIG.headerType, 1), 0);
  rig.bus.attach(new PciFunction({ identity: IDENTITY }), AT | 2);
  assert.deepEqual(
    [rig.config(AT, CONFIG.headerType, 1), rig.config(AT, 0x0c) >>> 16, rig.config(AT | 2, CONFIG.headerType, 1)],
    [0x80, 0x80, 0],
  );
  assert.throws(() => rig.bus.attach(new PciFunction({ identity: IDENTITY }), AT), /PCI address 0x2\.0 is taken/);
  assert.equal(rig.config(AT, 0x100), 0xffffffff);
});
