import assert from 'node:assert/strict';
import { accessSync, constants, globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { PC } from '../boards/pc.ts';
import { GIB, MIB, pcMemoryMap } from '../boards/memory-map.ts';
import { multibootHeader, tinyBzImage, tinyElf } from './tiny-images.ts';
import { detectKernel, planKernel } from './detect.ts';
import { checkFirmware, planFirmware } from './firmware.ts';
import type { BootContext, BootModule, BootPlan } from './load-plan.ts';

const context = (mib = 512, longMode = true): BootContext => ({
  map: pcMemoryMap(mib * MIB, 0, PC.layout),
  longMode,
  rsdpAddress: 0xf0000,
});
const plan = (
  bytes: Uint8Array,
  o: { modules?: BootModule[]; append?: string; mib?: number; longMode?: boolean; name?: string } = {},
): BootPlan =>
  planKernel({ bytes, name: o.name ?? 'vmlinuz', modules: o.modules ?? [], append: o.append ?? '' }, context(o.mib, o.longMode));

/** Memory as the plan leaves it. */
function readPlanned(p: BootPlan, address: number, byteCount: number): Uint8Array {
  const out = new Uint8Array(byteCount).fill(0xee);
  for (const s of p.segments) {
    for (let i = 0; i < byteCount; i++) {
      const into = address + i - s.address;
      if (into >= 0 && into < s.byteCount) out[i] = s.bytes[into] ?? 0;
    }
  }
  return out;
}
const view = (p: BootPlan, address: number, byteCount: number): DataView => new DataView(readPlanned(p, address, byteCount).buffer);
const text = (p: BootPlan, address: number): string =>
  Buffer.from(readPlanned(p, address, 256))
    .toString('latin1')
    .split('\0')[0];

function assertNoOverlap(p: BootPlan): void {
  const sorted = [...p.segments].sort((a, b) => a.address - b.address);
  for (let i = 1; i < sorted.length; i++)
    assert.ok(sorted[i - 1].address + sorted[i - 1].byteCount <= sorted[i].address, `segment at ${sorted[i].address.toString(16)}`);
}

const throws = (code: string, says: RegExp, run: () => unknown): void => {
  assert.throws(run, (e) => {
    assert.ok(e instanceof AnilloError, String(e));
    assert.equal(e.code, code);
    assert.match(e.message, says);
    assert.match(e.message, /^[^.]+(\.[^ ][^.]*)*\.$/, 'one sentence');
    return true;
  });
};

test('bzImage, 64-bit entry: zero page, initrd, command line, page tables', () => {
  const initrd = new Uint8Array(5000).fill(0x77);
  const p = plan(tinyBzImage(), { modules: [{ bytes: initrd, commandLine: '' }], append: 'console=ttyS0' });
  assertNoOverlap(p);
  assert.match(p.description, /Linux 6\.1\.0-tiny \(64-bit entry/);
  assert.equal(p.start.mode, 'long64');
  assert.equal(p.start.pc, 0x1000200);
  const zero = p.start.registers.rsi;
  const page = view(p, zero, 4096);
  assert.equal(page.getUint32(0x202, true), 0x53726448);
  assert.equal(page.getUint8(0x210), 0xff);
  assert.equal(page.getUint8(0x211) & 0x81, 0x81);
  assert.equal(page.getUint32(0x214, true), 0x1000000);
  assert.equal(page.getUint32(0x070, true), 0xf0000);
  assert.equal(page.getUint8(0x1ef), 0);
  assert.equal(text(p, page.getUint32(0x228, true)), 'console=ttyS0');
  const initrdAt = page.getUint32(0x218, true);
  assert.equal(page.getUint32(0x21c, true), 5000);
  assert.equal(initrdAt % 4096, 0);
  assert.deepEqual(readPlanned(p, initrdAt, 5000), initrd);
  assert.equal(initrdAt + 8192, 512 * MIB);
  const { e820 } = context().map;
  assert.equal(page.getUint8(0x1e8), e820.length);
  e820.forEach((e, i) => {
    assert.deepEqual(
      [
        Number(page.getBigUint64(0x2d0 + 20 * i, true)),
        Number(page.getBigUint64(0x2d8 + 20 * i, true)),
        page.getUint32(0x2e0 + 20 * i, true),
      ],
      [e.start, e.byteCount, e.type],
    );
  });
  // The page tables map the first and the last 2 MiB of 4 GiB to themselves.
  for (const linear of [0, 0x1000200, 0xffe00000]) {
    const level = (base: number, index: number): number => view(p, base + 8 * index, 8).getUint32(0, true);
    const l4 = level(p.start.cr3 as number, 0);
    const l3 = level(l4 & ~0xfff, Math.floor(linear / GIB));
    const l2 = level(l3 & ~0xfff, Math.floor((linear % GIB) / 0x200000));
    assert.equal(l2 & 0xfff, 0x83);
    assert.equal((l2 & ~0xfff) >>> 0, linear - (linear % 0x200000));
  }
  const gdt = p.start.gdt;
  assert.ok(gdt);
  assert.equal(gdt.codeSelector, 0x10);
  assert.equal(view(p, gdt.base + 0x10, 8).getUint32(4, true), 0x00af9b00);
  assert.equal(view(p, gdt.base + 0x18, 8).getUint32(4, true), 0x00cf9300);
});

test('bzImage, 32-bit kernel: protected mode, initrd below its limit', () => {
  const p = plan(tinyBzImage({ is64: false, initrdLast: 0x37ffffff }), {
    longMode: false,
    mib: 2048,
    modules: [{ bytes: new Uint8Array(100), commandLine: '' }],
  });
  assert.equal(p.start.mode, 'protected32');
  assert.equal(p.start.pc, 0x1000000);
  assert.equal(p.start.cr3, undefined);
  assert.equal(view(p, p.start.registers.rsi, 4096).getUint32(0x218, true), 0x37fff000);
});

test('bzImage of old protocols: no relocation, short command line', () => {
  const p = plan(tinyBzImage({ protocol: 0x203, is64: true }), { append: 'a' });
  assert.equal(p.start.mode, 'protected32');
  assert.equal(p.start.pc, 0x100000);
  throws('BAD_OPTION', /256 bytes and this kernel takes 255/, () => plan(tinyBzImage({ protocol: 0x203 }), { append: 'x'.repeat(256) }));
  throws('BAD_IMAGE', /protocol 2\.01.*2\.4/, () => plan(tinyBzImage({ protocol: 0x201 })));
});

test('bzImage: what does not fit or does not run here', () => {
  throws('BAD_MEMORY', /at least 17 MiB.*has 16 MiB/, () => plan(tinyBzImage(), { mib: 16 }));
  throws('BAD_MEMORY', /has 1 MiB/, () => plan(tinyBzImage(), { mib: 1 }));
  throws('BAD_IMAGE', /initrd \(20 MiB\) does not fit into 32 MiB/, () =>
    plan(tinyBzImage(), { mib: 32, modules: [{ bytes: new Uint8Array(20 * MIB), commandLine: '' }] }),
  );
  throws('BAD_IMAGE', /64-bit and the CPU model is not/, () => plan(tinyBzImage(), { longMode: false }));
  throws('BAD_IMAGE', /truncated/, () => plan(tinyBzImage().subarray(0, 3000)));
  throws('BAD_IMAGE', /truncated/, () => plan(tinyBzImage().subarray(0, 0x210)));
  throws('BAD_OPTION', /takes 2047/, () => plan(tinyBzImage(), { append: 'x'.repeat(2048) }));
  throws('BAD_IMAGE', /initrd is empty/, () => plan(tinyBzImage(), { modules: [{ bytes: new Uint8Array(0), commandLine: '' }] }));
});

test('PVH: start information, memory map, module', () => {
  const p = plan(tinyElf({ pvhEntry: 0x1000123, segments: [{ address: 0x1000000, bytes: Uint8Array.of(1, 2, 3), byteCount: 100 }] }), {
    append: 'root=/dev/x',
    modules: [{ bytes: Uint8Array.of(9, 9), commandLine: '' }],
  });
  assertNoOverlap(p);
  assert.equal(p.start.mode, 'protected32');
  assert.equal(p.start.pc, 0x1000123);
  assert.deepEqual([...readPlanned(p, 0x1000000, 5)], [1, 2, 3, 0, 0]);
  const info = view(p, p.start.registers.rbx, 56);
  assert.equal(info.getUint32(0, true), 0x336ec578);
  assert.deepEqual([info.getUint32(4, true), info.getUint32(12, true)], [1, 1]);
  assert.equal(text(p, info.getUint32(24, true)), 'root=/dev/x');
  assert.equal(info.getUint32(32, true), 0xf0000);
  const module = view(p, info.getUint32(16, true), 32);
  assert.equal(module.getUint32(8, true), 2);
  assert.deepEqual([...readPlanned(p, module.getUint32(0, true), 2)], [9, 9]);
  assert.equal(info.getUint32(48, true), context().map.e820.length);
  assert.equal(view(p, info.getUint32(40, true), 24).getUint32(16, true), 1);
});

test('multiboot ELF: argv, modules, memory map', () => {
  const code = new Uint8Array(64);
  code.set(multibootHeader(3), 16);
  const modules = [
    { bytes: Uint8Array.of(1, 2, 3), commandLine: 'env one=1' },
    { bytes: Uint8Array.of(4), commandLine: 'two' },
  ];
  const p = plan(tinyElf({ bits: 32, entry: 0x400010, segments: [{ address: 0x400000, bytes: code }] }), {
    name: '/x/test.flat',
    append: 'arg 1',
    modules,
  });
  assertNoOverlap(p);
  assert.deepEqual([p.start.pc, p.start.registers.rax], [0x400010, 0x2badb002]);
  const info = view(p, p.start.registers.rbx, 120);
  assert.equal(info.getUint32(0, true) & 0x4d, 0x4d);
  assert.equal(text(p, info.getUint32(16, true)), '/x/test.flat arg 1');
  assert.equal(info.getUint32(8, true), 511 * 1024);
  assert.equal(info.getUint32(20, true), 2);
  const list = view(p, info.getUint32(24, true), 32);
  assert.deepEqual([...readPlanned(p, list.getUint32(0, true), 3)], [1, 2, 3]);
  assert.equal(list.getUint32(4, true) - list.getUint32(0, true), 3);
  assert.deepEqual([text(p, list.getUint32(8, true)), text(p, list.getUint32(24, true))], ['env one=1', 'two']);
  assert.equal(info.getUint32(44, true), context().map.e820.length * 24);
  assert.equal(view(p, info.getUint32(48, true), 24).getUint32(0, true), 20);
});

test('multiboot at 16 KiB: what is placed keeps clear of it', () => {
  const code = new Uint8Array(0x8000);
  code.set(multibootHeader(0), 0);
  const p = plan(tinyElf({ bits: 32, entry: 0x4000, segments: [{ address: 0x4000, bytes: code }] }));
  assertNoOverlap(p);
});

test('multiboot with addresses in its header', () => {
  const file = new Uint8Array(0x100);
  file.set(multibootHeader(0x10000, [0x200020, 0x200000, 0, 0x200200, 0x200040]), 0x30);
  file[0x10] = 0xab; // the file's byte at the load address
  const p = plan(file);
  assert.equal(p.start.pc, 0x200040);
  const [segment] = p.segments;
  assert.deepEqual([segment.address, segment.bytes.length, segment.byteCount, segment.bytes[0]], [0x200000, 0xf0, 0x200, 0xab]);
  throws('BAD_IMAGE', /contradict/, () => plan(Uint8Array.from([...multibootHeader(0x10000, [0x100000, 0x200000, 0, 0, 0]), 0])));
  throws('BAD_IMAGE', /truncated/, () => plan(Uint8Array.from([...multibootHeader(0x10000, [0x200000, 0x200000, 0x300000, 0, 0]), 0])));
  throws('BAD_IMAGE', /flags 0x8/, () => plan(Uint8Array.from([...multibootHeader(0x10008, [0x200000, 0x200000, 0, 0, 0]), 0])));
  throws('BAD_IMAGE', /not ELF/, () => plan(multibootHeader(0)));
});

test('ELF files that cannot be booted', () => {
  const pvh = (o: object) => tinyElf({ pvhEntry: 0x1000000, ...o });
  throws('BAD_IMAGE', /without a PVH note/, () => plan(tinyElf()));
  throws('BAD_IMAGE', /for AArch64/, () => plan(pvh({ machine: 183 })));
  throws('BAD_IMAGE', /for RISC-V/, () => plan(pvh({ machine: 243 })));
  throws('BAD_IMAGE', /object or core/, () => plan(pvh({ type: 1 })));
  throws('BAD_IMAGE', /damaged/, () => plan(pvh({ segments: [{ address: 0x1000000, bytes: new Uint8Array(9), byteCount: 3 }] })));
  throws('BAD_MEMORY', /at least 1025 MiB/, () => plan(pvh({ segments: [{ address: GIB, bytes: new Uint8Array(9) }] })));
  throws('BAD_MEMORY', /0xa0000/, () => plan(pvh({ segments: [{ address: 0xa0000, bytes: new Uint8Array(9) }] })));
  throws('BAD_MEMORY', /link it/, () => plan(pvh({ segments: [{ address: 2 ** 40, bytes: new Uint8Array(9) }] })));
  throws('BAD_IMAGE', /64-bit and the CPU model is not/, () => plan(pvh({}), { longMode: false }));
  const code = new Uint8Array(64);
  code.set(multibootHeader(0));
  const multiboot = tinyElf({ bits: 32, entry: 0x400000, segments: [{ address: 0x400000, bytes: code }] });
  assert.equal(plan(multiboot).start.pc, 0x400000);
  throws('BAD_IMAGE', /truncated/, () => plan(multiboot.subarray(0, multiboot.length - 1)));
  const whole = pvh({});
  for (let length = 5; length < whole.length; length++) assert.throws(() => plan(whole.subarray(0, length)), AnilloError, String(length));
});

test('files that are no kernels are named', () => {
  const withBytes = (at: number, bytes: number[]): Uint8Array => {
    const file = new Uint8Array(0x9000);
    file.set(bytes, at);
    return file;
  };
  throws('BAD_IMAGE', /empty/, () => detectKernel(new Uint8Array(0)));
  throws('BAD_IMAGE', /AArch64/, () => detectKernel(withBytes(0x38, [0x41, 0x52, 0x4d, 0x64])));
  throws('BAD_IMAGE', /gzip/, () => detectKernel(withBytes(0, [0x1f, 0x8b, 8])));
  throws('BAD_IMAGE', /cpio/, () => detectKernel(new TextEncoder().encode('070701...')));
  throws('BAD_IMAGE', /Debian package/, () => detectKernel(new TextEncoder().encode('!<arch>\n')));
  throws('BAD_IMAGE', /older than/, () => detectKernel(withBytes(0x1fe, [0x55, 0xaa])));
  throws('BAD_IMAGE', /none that can be booted/, () => detectKernel(new TextEncoder().encode('hello')));
});

test('no file makes the detector fail in another way', () => {
  let seed = 12345;
  const random = (): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed >>> 8;
  };
  for (const original of [
    tinyBzImage(),
    tinyElf({ pvhEntry: 1 }),
    tinyElf({ bits: 32, segments: [{ address: 0x100000, bytes: multibootHeader(0) }] }),
  ]) {
    for (let round = 0; round < 3000; round++) {
      const file = original.slice(0, random() % 4 === 0 ? random() % original.length : original.length);
      for (let i = 0; i < 3; i++) file[random() % Math.min(file.length, 0x280)] = random();
      try {
        assertNoOverlap(plan(file));
      } catch (e) {
        assert.ok(e instanceof AnilloError, String(e));
      }
    }
  }
});

test('firmware', () => {
  assert.deepEqual(planFirmware(new Uint8Array(0x20000)).start, { mode: 'reset', pc: 0xfff0, registers: {} });
  throws('BAD_IMAGE', /empty/, () => checkFirmware(new Uint8Array(0)));
  throws('BAD_IMAGE', /64 KiB/, () => checkFirmware(new Uint8Array(0x1234)));
});

const isReadable = (file: string): boolean => {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
};
const realKernels = process.arch === 'x64' ? globSync('/boot/vmlinuz-*').filter(isReadable) : [];

test('kernels of this system', { skip: realKernels.length === 0 ? 'none in /boot' : false }, () => {
  for (const file of realKernels) {
    const bytes = new Uint8Array(readFileSync(file));
    const p = plan(bytes, { modules: [{ bytes: new Uint8Array(3 * MIB), commandLine: '' }] });
    assertNoOverlap(p);
    assert.match(p.description, /^Linux \d+\.\d+.*64-bit entry/);
    throws('BAD_IMAGE', /truncated/, () => plan(bytes.subarray(0, bytes.length >> 1)));
  }
});
