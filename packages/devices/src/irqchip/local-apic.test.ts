import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { LocalApicBus } from './apic-bus.ts';
import { I8259 } from './i8259.ts';
import { IoApic } from './io-apic.ts';
import { LocalApic } from './local-apic.ts';

const OFFSET = {
  id: 0x20,
  version: 0x30,
  tpr: 0x80,
  ppr: 0xa0,
  eoi: 0xb0,
  ldr: 0xd0,
  dfr: 0xe0,
  svr: 0xf0,
  tmr: 0x180,
  irr: 0x200,
  esr: 0x280,
  icr: 0x300,
  icrHigh: 0x310,
  timer: 0x320,
  lint0: 0x350,
  lint1: 0x360,
  error: 0x370,
  initial: 0x380,
  current: 0x390,
  divide: 0x3e0,
};
const BASE_MSR = 0x1b;
const ENABLED = 0xfee00900;

class ApicRig extends DeviceRig {
  readonly bus = new LocalApicBus();
  readonly pic = new I8259();
  readonly apics: LocalApic[];
  changes = 0;

  constructor(count = 1) {
    super();
    this.apics = Array.from(
      { length: count },
      (_, id) => new LocalApic({ id, clock: this.clock, bus: this.bus, acknowledgePic: () => this.pic.acknowledge() }),
    );
    for (const apic of this.apics) {
      this.bus.attach(apic);
      this.write(OFFSET.svr, 0x1ff, apic);
    }
    this.pic.onOutput = (level) => this.apic.setLint0(level);
    this.apic.onChange = () => this.changes++;
  }

  get apic(): LocalApic {
    return this.apics[0];
  }

  read(offset: number, apic = this.apic): number {
    return apic.window.read(offset, 4) >>> 0;
  }

  write(offset: number, value: number, apic = this.apic): void {
    apic.window.write(offset, 4, value);
  }

  ipi(command: number, destination = 0): void {
    this.write(OFFSET.icrHigh, destination << 24);
    this.write(OFFSET.icr, command);
  }

  take(apic = this.apic): number {
    return apic.isPending() ? apic.acknowledge() : -1;
  }
}

test('version says 0x14, six LVT entries, EOI suppression', () => {
  assert.equal(new ApicRig().read(OFFSET.version), 0x01050014);
});

test('priorities: higher vector first, lower waits for EOI, TPR holds back its class', () => {
  const rig = new ApicRig();
  rig.ipi(0x40000 | 0x66);
  rig.ipi(0x40000 | 0x78);
  assert.equal(rig.take(), 0x78);
  assert.equal(rig.read(OFFSET.ppr), 0x70);
  assert.equal(rig.take(), -1);
  rig.ipi(0x40000 | 0x7f);
  assert.equal(rig.take(), -1, 'same class');
  rig.write(OFFSET.eoi, 0);
  assert.equal(rig.take(), 0x7f);
  rig.write(OFFSET.eoi, 0);
  rig.apic.setTaskPriority(6);
  assert.equal(rig.read(OFFSET.tpr), 0x60);
  assert.equal(rig.take(), -1);
  const before = rig.changes;
  rig.apic.setTaskPriority(5);
  assert.ok(rig.changes > before, 'tells the vCPU');
  assert.equal(rig.take(), 0x66);
});

test('illegal vectors set ESR, and only after it is written', () => {
  const rig = new ApicRig();
  rig.write(OFFSET.error, 0xfe);
  rig.ipi(0x40000 | 5);
  assert.equal(rig.read(OFFSET.esr), 0);
  rig.write(OFFSET.esr, 0);
  assert.equal(rig.read(OFFSET.esr), 0x20);
  assert.equal(rig.take(), 0xfe);
  rig.apic.window.read(0x3f0 - 0x10 * 3, 4);
  rig.write(OFFSET.esr, 0);
  assert.equal(rig.read(OFFSET.esr), 0x80);
});

test('timer: one-shot, periodic, change of mode as kvm-unit-tests want it', () => {
  const rig = new ApicRig();
  rig.write(OFFSET.divide, 0xb);
  rig.write(OFFSET.timer, 0xee);
  rig.write(OFFSET.initial, 0x10000);
  rig.advance(0xffff);
  assert.equal(rig.read(OFFSET.current), 1);
  assert.equal(rig.take(), -1);
  rig.advance(1);
  assert.equal(rig.read(OFFSET.current), 0);
  assert.equal(rig.take(), 0xee);
  rig.write(OFFSET.eoi, 0);
  rig.write(OFFSET.timer, 0x200ee);
  assert.equal(rig.read(OFFSET.current), 0, 'an expired one-shot does not come back as periodic');
  rig.write(OFFSET.initial, 1000);
  for (let i = 0; i < 3; i++) {
    rig.advance(1000);
    assert.equal(rig.take(), 0xee);
    rig.write(OFFSET.eoi, 0);
  }
  rig.advance(600);
  rig.write(OFFSET.timer, 0xee);
  assert.equal(rig.read(OFFSET.current), 400);
  rig.advance(400);
  assert.equal(rig.take(), 0xee);
  rig.write(OFFSET.eoi, 0);
  rig.advance(5000);
  assert.equal(rig.take(), -1);
});

test('timer: divider, masked expiry is lost, periodic goes on while masked', () => {
  const rig = new ApicRig();
  rig.write(OFFSET.divide, 0x3);
  rig.write(OFFSET.timer, 0x300ee & ~0x20000);
  rig.write(OFFSET.initial, 100);
  rig.advance(800);
  assert.equal(rig.read(OFFSET.current), 50);
  rig.advance(900);
  rig.write(OFFSET.timer, 0xee);
  assert.equal(rig.take(), -1);
  rig.write(OFFSET.timer, 0x300ee);
  rig.write(OFFSET.initial, 100);
  rig.advance(2400);
  assert.equal(rig.read(OFFSET.current), 50);
  rig.write(OFFSET.timer, 0x200ee);
  assert.equal(rig.take(), -1);
  rig.advance(800);
  assert.equal(rig.take(), 0xee);
});

test('TSC deadline: a deadline in the past fires in the write and clears itself', () => {
  const rig = new ApicRig();
  rig.advance(1000);
  rig.apic.writeRegister(0x6e0, 5, 0);
  assert.deepEqual(rig.apic.readRegister(0x6e0), { low: 0, high: 0 }, 'ignored in other modes');
  rig.write(OFFSET.timer, 0x400ef);
  rig.apic.writeRegister(0x6e0, 1000, 0);
  assert.equal(rig.take(), 0xef);
  assert.deepEqual(rig.apic.readRegister(0x6e0), { low: 0, high: 0 });
  rig.write(OFFSET.eoi, 0);
  rig.apic.writeRegister(0x6e0, 5000, 0);
  rig.advance(3999);
  assert.equal(rig.take(), -1);
  rig.advance(1);
  assert.equal(rig.take(), 0xef);
  rig.write(OFFSET.eoi, 0);
  rig.apic.writeRegister(0x6e0, 0, 1);
  rig.apic.writeRegister(0x6e0, 0, 0);
  assert.equal(rig.clock.nextDeadlineNs(), Infinity, 'zero disarms');
});

test('MSR 0x1b: legal and illegal changes of mode, the window follows', () => {
  const rig = new ApicRig();
  const { apic } = rig;
  const write = (low: number, high = 0) => apic.writeRegister(BASE_MSR, low | 0, high);
  assert.deepEqual(apic.readRegister(BASE_MSR), { low: ENABLED, high: 0 });
  assert.equal(write(ENABLED | 1), false, 'reserved low bit');
  assert.equal(write(ENABLED, 0x100), false, 'reserved high bit');
  assert.equal(write(0xfee00500), false, 'EXTD without EN');
  const bases: (number | undefined)[] = [];
  apic.onWindowChange = (base) => bases.push(base);
  assert.ok(write(ENABLED | 0x400));
  assert.equal(apic.readRegister(0x802)?.low, 0);
  assert.equal(rig.read(OFFSET.version), 0xffffffff, 'no page in x2APIC mode');
  assert.equal(write(ENABLED), false, 'x2APIC to xAPIC');
  assert.ok(write(0xfee00100));
  assert.equal(write(ENABLED | 0x400), false, 'disabled to x2APIC');
  assert.ok(write(0xfed40900));
  assert.equal(apic.windowBase, 0xfed40000);
  assert.deepEqual(bases, [undefined, 0xfed40000]);
  assert.equal(apic.readRegister(0x803), undefined, 'MSRs only in x2APIC mode');
});

test('disabled: TPR is still CR8, the registers are as after reset when enabled again', () => {
  const rig = new ApicRig();
  rig.write(OFFSET.id, 0x05000000);
  rig.write(OFFSET.timer, 0x33);
  rig.apic.writeRegister(BASE_MSR, 0xfee00100 | 0, 0);
  rig.apic.setTaskPriority(15);
  assert.equal(rig.apic.getTaskPriority(), 15);
  rig.apic.writeRegister(BASE_MSR, ENABLED | 0, 0);
  assert.equal(rig.read(OFFSET.id), 0);
  assert.equal(rig.read(OFFSET.timer), 0x10000);
  assert.equal(rig.read(OFFSET.tpr), 0xf0);
});

test('x2APIC MSRs: what exists, reserved bits, 64-bit ICR, self IPI', () => {
  const rig = new ApicRig(2);
  const { apic } = rig;
  apic.writeRegister(BASE_MSR, ENABLED | 0x400 | 0, 0);
  const readable = new Set([
    2,
    3,
    8,
    10,
    13,
    15,
    0x28,
    0x30,
    0x32,
    0x33,
    0x34,
    0x35,
    0x36,
    0x37,
    0x38,
    0x39,
    0x3e,
    ...Array.from({ length: 24 }, (_, i) => 0x10 + i),
  ]);
  const writable = new Set([8, 11, 15, 0x28, 0x30, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x3e, 0x3f]);
  for (let reg = 0; reg < 0x100; reg++) {
    assert.equal(apic.readRegister(0x800 + reg) !== undefined, readable.has(reg), `read ${reg.toString(16)}`);
    const value = readable.has(reg) ? (apic.readRegister(0x800 + reg)?.low ?? 0) : 0;
    assert.equal(apic.writeRegister(0x800 + reg, value, 0), writable.has(reg), `write ${reg.toString(16)}`);
    if (reg !== 0x30) assert.equal(apic.writeRegister(0x800 + reg, -1, -1), false);
  }
  for (const bad of [0x100, 0xff00, 0xff000000]) assert.equal(apic.writeRegister(0x83f, bad, 0), false);
  while (rig.take() >= 0) apic.writeRegister(0x80b, 0, 0);
  apic.writeRegister(0x83f, 0xf1, 0);
  assert.equal(rig.take(), 0xf1);
  apic.writeRegister(0x80b, 0, 0);
  apic.writeRegister(0x830, 0xf2, -1);
  assert.equal(rig.take(), 0xf2, 'broadcast');
  assert.equal(rig.take(rig.apics[1]), 0xf2);
  assert.equal(apic.readRegister(0x80d)?.low, 1);
});

test('destinations: flat, cluster, x2APIC cluster, shorthands, lowest priority', () => {
  const rig = new ApicRig(4);
  const receive = (apic: LocalApic) => {
    const isTaken = rig.take(apic) >= 0;
    if (isTaken) rig.write(OFFSET.eoi, 0, apic);
    return isTaken ? 1 : 0;
  };
  const got = () => rig.apics.map(receive).join('');
  for (const [i, apic] of rig.apics.entries()) rig.write(OFFSET.ldr, 1 << (24 + i), apic);
  rig.ipi(0x800 | 0x50, 0b1010);
  assert.equal(got(), '0101');
  rig.ipi(0x50, 2);
  assert.equal(got(), '0010');
  rig.ipi(0x50, 0xff);
  assert.equal(got(), '1111');
  rig.ipi(0x80000 | 0x50);
  assert.equal(got(), '1111');
  rig.ipi(0xc0000 | 0x50);
  assert.equal(got(), '0111');
  rig.apics[1].setTaskPriority(3);
  rig.ipi(0x900 | 0x50, 0b0110);
  assert.equal(got(), '0010');
  rig.apics.forEach((apic, i) => {
    rig.write(OFFSET.dfr, 0x0fffffff, apic);
    rig.write(OFFSET.ldr, ((i >> 1) << 28) | (1 << (24 + (i & 1))), apic);
  });
  rig.ipi(0x800 | 0x50, 0x13);
  assert.equal(got(), '0011');
});

test('NMI, INIT and SIPI', () => {
  const rig = new ApicRig(2);
  const [, other] = rig.apics;
  const log: string[] = [];
  other.onInit = () => log.push('init');
  other.onSipi = (vector) => log.push(`sipi ${vector}`);
  rig.ipi(0x4400, 1);
  assert.equal(other.nmiPending, true);
  assert.equal(other.takeNmi(), true);
  assert.equal(other.takeNmi(), false);
  rig.ipi(0xc500, 1);
  rig.ipi(0x8500, 1);
  rig.ipi(0x4600 | 9, 1);
  assert.deepEqual(log, ['init', 'sipi 9']);
  assert.equal(rig.read(OFFSET.svr, other), 0xff);
});

test('the 8259 passes through LINT0 until it is masked, and the APIC goes after it', () => {
  const rig = new ApicRig();
  rig.plug(rig.pic);
  for (const [port, value] of [
    [0x20, 0x11],
    [0x21, 0x20],
    [0x21, 4],
    [0x21, 1],
    [0x21, 0],
  ])
    rig.out8(port, value);
  rig.pic.setLine(1, true);
  assert.equal(rig.take(), 0x21);
  rig.out8(0x20, 0x20);
  rig.write(OFFSET.lint0, 0x10700);
  rig.pic.setLine(3, true);
  assert.equal(rig.take(), -1);
  rig.write(OFFSET.lint0, 0x700);
  assert.equal(rig.take(), 0x23);
  rig.out8(0x20, 0x20);
  rig.pic.setLine(4, true);
  rig.apic.writeRegister(BASE_MSR, 0xfee00100 | 0, 0);
  assert.equal(rig.take(), 0x24, 'INTR pin of a disabled APIC');
});

test('LINT1 is NMI at its rise; a level-triggered fixed LINT0 comes again until it is low', () => {
  const rig = new ApicRig();
  rig.apic.setLint1(true);
  rig.apic.setLint1(true);
  assert.equal(rig.apic.takeNmi(), true);
  assert.equal(rig.apic.takeNmi(), false);
  rig.write(OFFSET.lint0, 0x8044);
  rig.apic.setLint0(true);
  assert.equal(rig.take(), 0x44);
  assert.equal(rig.read(OFFSET.lint0) & 0x4000, 0x4000);
  rig.write(OFFSET.eoi, 0);
  assert.equal(rig.take(), 0x44);
  rig.apic.setLint0(false);
  rig.write(OFFSET.eoi, 0);
  assert.equal(rig.take(), -1);
});

test('software disable masks the LVT and drops fixed interrupts', () => {
  const rig = new ApicRig();
  rig.write(OFFSET.timer, 0xee);
  rig.write(OFFSET.svr, 0xff);
  assert.equal(rig.read(OFFSET.timer), 0x100ee);
  rig.write(OFFSET.timer, 0xee);
  assert.equal(rig.read(OFFSET.timer), 0x100ee);
  rig.ipi(0x40000 | 0x50);
  assert.equal(rig.take(), -1);
});

test('a snapshot brings back pending interrupts and a running timer', () => {
  const rig = new ApicRig();
  rig.write(OFFSET.divide, 0xb);
  rig.write(OFFSET.timer, 0xee);
  rig.write(OFFSET.initial, 1000);
  rig.ipi(0x40000 | 0x50);
  const state = rig.apic.save();
  rig.apic.reset();
  assert.equal(rig.take(), -1);
  rig.apic.restore(state);
  assert.equal(rig.take(), 0x50);
  rig.write(OFFSET.eoi, 0);
  rig.advance(1000);
  assert.equal(rig.take(), 0xee);
});

test('EOI of a level interrupt reaches the I/O APIC unless it is suppressed', () => {
  const rig = new ApicRig();
  const ioApic = new IoApic({ bus: rig.bus });
  rig.bus.attachIoApic(ioApic);
  rig.plug(ioApic);
  const redirect = (value: number) => {
    rig.memory.write(0xfec00000, 4, 0x10 + 2 * 14);
    rig.memory.write(0xfec00010, 4, value);
  };
  const remoteIrr = () => {
    rig.memory.write(0xfec00000, 4, 0x10 + 2 * 14);
    return rig.memory.read(0xfec00010, 4) & 0x4000;
  };
  redirect(0x8077);
  ioApic.setPin(14, true);
  assert.equal(rig.take(), 0x77);
  assert.ok(rig.read(OFFSET.tmr + 0x30) & (1 << (0x77 & 31)));
  assert.equal(remoteIrr(), 0x4000);
  rig.write(OFFSET.eoi, 0);
  assert.equal(rig.take(), 0x77, 'still high');
  ioApic.setPin(14, false);
  rig.write(OFFSET.svr, 0x11ff);
  rig.write(OFFSET.eoi, 0);
  assert.equal(remoteIrr(), 0x4000);
  rig.memory.write(0xfec00040, 4, 0x77);
  assert.equal(remoteIrr(), 0);
});

test('pins of a disabled APIC are INTR and NMI; an edge-triggered fixed LINT0 comes once', () => {
  const rig = new ApicRig();
  rig.write(OFFSET.lint0, 0x44);
  rig.apic.setLint0(true);
  assert.equal(rig.take(), 0x44);
  rig.write(OFFSET.eoi, 0);
  assert.equal(rig.take(), -1);
  rig.apic.setLint0(false);
  rig.apic.writeRegister(BASE_MSR, 0xfee00100 | 0, 0);
  const before = rig.changes;
  rig.apic.setLint0(true);
  assert.equal(rig.apic.nmiPending, false);
  assert.ok(rig.changes > before);
  rig.apic.setLint1(true);
  assert.equal(rig.apic.takeNmi(), true);
});

test('LINT0 as ExtINT tells the vCPU', () => {
  const rig = new ApicRig();
  const before = rig.changes;
  rig.apic.setLint0(true);
  assert.ok(rig.changes > before);
});

test('messages by hypercall: vectors from 16 on, NMIs, and kicks, which wait until they are taken', () => {
  const rig = new ApicRig(2);
  const [sender, target] = rig.apics;
  assert.equal(sender.sendInterrupt(0x0f, 1), false);
  assert.equal(sender.sendInterrupt(0x400, 1), true);
  assert.equal(target.takeNmi(), true);
  assert.equal(target.takeUnhalt(), false);
  assert.equal(sender.sendInterrupt(0x300, 1), true);
  assert.equal(target.isPending(), false);
  assert.deepEqual([target.takeUnhalt(), target.takeUnhalt()], [true, false]);
  sender.sendInterrupt(0x300, 1);
  sender.sendInterrupt(0x500, 1);
  assert.equal(target.takeUnhalt(), false, 'INIT forgets it');
});
