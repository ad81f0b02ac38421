// Local APIC: xAPIC (MMIO page) and x2APIC (MSRs 0x800..0x83f), SDM 3A chapter 12; version 0x14 with 6 LVT entries and EOI-broadcast suppression.
// Departures: after reset the boot processor's LINT0 is ExtINT and LINT1 NMI, both unmasked (the virtual wire that firmware would set up), since kernels
// are also booted without firmware. SMIs are dropped. The timer's input clock is 1 GHz (apic-timer.ts). Delivery status is always idle.

import type { AccessBytes, Clock, Device, IoRange } from '../device.ts';
import { DeviceState } from '../device-state.ts';
import {
  acceptsFixed,
  apicBase,
  isApicEnabled,
  isSoftwareEnabled,
  isX2apic,
  matchesDestination,
  processorPriority,
  x2apicLogicalId,
} from './apic-addressing.ts';
import { type ApicBus, type ApicEndpoint, DELIVERY } from './apic-bus.ts';
import { BROADCAST } from './apic-message.ts';
import { ApicTimer } from './apic-timer.ts';
import type { InterruptController } from './interrupt-controller.ts';
import { LintPins, REMOTE_IRR } from './lint-pins.ts';
import {
  APIC_LVT_WRITABLE,
  APIC_REG as REG,
  BASE_ENABLED,
  BASE_EXTD,
  isLegalApicBase,
  isX2apicReadable,
  isX2apicWritable,
  LOCAL_APIC_STATE,
  APIC_ERROR,
  highestVector,
  readPlain,
} from './local-apic-registers.ts';

const VERSION = 0x0105_0014;
const MASKED = 1 << 16;
const LEVEL = 1 << 15;
const SUPPRESS_EOI_BROADCAST = 1 << 12;
const BASE_BSP = 1 << 8;
const MSR_APIC_BASE = 0x1b;
const MSR_TSC_DEADLINE = 0x6e0;
const MSR_X2APIC = 0x800;

export interface LocalApicOptions {
  readonly id: number;
  readonly clock: Clock;
  readonly bus: ApicBus;
  /** Its LINT0 is wired to the 8259 (default: id 0). */
  readonly bootProcessor?: boolean;
  /** INTA cycle of the 8259 (boot processor). */
  readonly acknowledgePic?: () => number;
  /** Guest time at which the TSC reaches a value; without it TSC-deadline takes the TSC as counting nanoseconds. */
  readonly tscToNs?: (low: number, high: number) => number;
  /** MAXPHYADDR of the CPU model: address bits from there on are reserved in MSR 0x1b (default 40). */
  readonly physicalAddressBits?: number;
  readonly stateBuffer?: ArrayBufferLike;
  /** The registers in `stateBuffer` are in use already: another thread has reset them. */
  readonly isPoweredOn?: boolean;
}

export class LocalApic implements Device, ApicEndpoint, InterruptController {
  readonly name: string;
  readonly id: number;
  onChange: (() => void) | undefined = undefined;
  /** INIT arrived (registers are already reset): the vCPU resets and waits for a SIPI. */
  onInit: (() => void) | undefined = undefined;
  /** Start-up IPI: a vCPU that waits for it starts at vector << 12 in real mode. */
  onSipi: ((vector: number) => void) | undefined = undefined;
  /** The register page moved: its new base, or undefined when it is gone (disabled or x2APIC). */
  onWindowChange: ((base: number | undefined) => void) | undefined = undefined;
  /** Registers of the 4 KiB page. On a bus with several vCPUs the accessing vCPU's own window must be taken. */
  readonly window: IoRange;
  readonly #options: LocalApicOptions;
  readonly #state: DeviceState<(typeof LOCAL_APIC_STATE)['spec']>;
  readonly #bootProcessor: boolean;
  readonly #timer: ApicTimer;
  readonly #lint: LintPins;

  constructor(options: LocalApicOptions) {
    this.name = `lapic${options.id}`;
    this.id = options.id;
    this.#options = options;
    this.#bootProcessor = options.bootProcessor ?? options.id === 0;
    this.#state = new DeviceState(LOCAL_APIC_STATE, options.stateBuffer);
    const apic = this;
    this.window = {
      get start() {
        return apicBase(apic.#state.view);
      },
      byteCount: 0x1000,
      overlay: true,
      read: (offset, byteCount) => this.#readPage(offset, byteCount),
      write: (offset, byteCount, value) => this.#writePage(offset, byteCount, value),
    };
    this.#lint = new LintPins(this.#state.view, this, () => this.#notify());
    this.#timer = new ApicTimer({
      clock: options.clock,
      cells: this.#state.view,
      tscToNs: options.tscToNs ?? ((low, high) => (high >>> 0) * 4294967296 + (low >>> 0)),
      onExpire: () => this.#accept(this.#state.view.lvtTimer & 0xff, false),
    });
    if (options.isPoweredOn !== true) this.reset();
  }

  /** MSR 0x1b bit 11 (CPUID's APIC bit follows it). */
  get enabled(): boolean {
    return isApicEnabled(this.#state.view);
  }

  get x2apic(): boolean {
    return isX2apic(this.#state.view);
  }

  get windowBase(): number | undefined {
    return this.enabled && !this.x2apic ? apicBase(this.#state.view) : undefined;
  }

  /** Takes part in lowest-priority arbitration. */
  get acceptsFixed(): boolean {
    return acceptsFixed(this.#state.view);
  }

  get arbitrationPriority(): number {
    return this.#ppr();
  }

  reset(): void {
    const s = this.#state.view;
    this.#state.clear();
    s.baseLow = (0xfee00000 | BASE_ENABLED | (this.#bootProcessor ? BASE_BSP : 0)) >>> 0;
    this.#resetRegisters();
    this.onWindowChange?.(this.windowBase);
  }

  /** All but MSR 0x1b and the task priority, which CR8 reaches even without an APIC. */
  #resetRegisters(): void {
    const s = this.#state.view;
    s.xapicId = this.id & 0xff;
    s.ldr = s.esr = s.errors = s.icr = s.icrHigh = s.initialCount = s.divideConfiguration = 0;
    s.dfr = 0xffffffff;
    s.svr = 0xff;
    s.isr.fill(0);
    s.tmr.fill(0);
    s.irr.fill(0);
    s.lvtTimer = MASKED;
    s.lvt.fill(MASKED);
    s.extInt = 0;
    if (this.#bootProcessor) {
      s.lvt[REG.lint0 - REG.lvt] = DELIVERY.extInt << 8;
      s.lvt[REG.lint1 - REG.lvt] = DELIVERY.nmi << 8;
    }
    this.#timer.stop();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
    this.#timer.rearm();
    this.onWindowChange?.(this.windowBase);
    this.onChange?.();
  }

  get nmiPending(): boolean {
    return this.#state.view.nmi !== 0;
  }

  /** Takes the latched NMI. */
  takeNmi(): boolean {
    const pending = this.nmiPending;
    this.#state.view.nmi = 0;
    return pending;
  }

  takeUnhalt(): boolean {
    const wanted = this.#state.view.unhalt !== 0;
    this.#state.view.unhalt = 0;
    return wanted;
  }

  raiseNmi(): void {
    this.#state.view.nmi = 1;
    this.onChange?.();
  }

  /** The 8259's interrupt passes through: by LINT0 as ExtINT, by the plain INTR pin without an APIC, or as an ExtINT message of the I/O APIC. */
  #extIntPending(): boolean {
    const s = this.#state.view;
    if (s.extInt !== 0) return true;
    if (s.lint[0] === 0 || this.#options.acknowledgePic === undefined) return false;
    const lvt = s.lvt[REG.lint0 - REG.lvt];
    return !this.enabled || ((lvt & MASKED) === 0 && ((lvt >>> 8) & 7) === DELIVERY.extInt);
  }

  #ppr(): number {
    return processorPriority(this.#state.view);
  }

  /** Vector that may be delivered now, or -1. */
  #deliverable(): number {
    const vector = highestVector(this.#state.view.irr);
    return vector >= 0 && this.acceptsFixed && vector >>> 4 > this.#ppr() >>> 4 ? vector : -1;
  }

  isPending(): boolean {
    return this.#extIntPending() || this.#deliverable() >= 0;
  }

  acknowledge(): number {
    const s = this.#state.view;
    if (this.#extIntPending()) {
      s.extInt = 0;
      return this.#options.acknowledgePic?.() ?? -1;
    }
    const vector = this.#deliverable();
    if (vector < 0) return -1;
    const bit = 1 << (vector & 31);
    s.irr[vector >> 5] &= ~bit;
    s.isr[vector >> 5] |= bit;
    return vector;
  }

  getTaskPriority(): number {
    return this.#state.view.tpr >>> 4;
  }

  setTaskPriority(priority: number): void {
    this.#writeTpr((priority & 15) << 4);
  }

  sendInterrupt(command: number, destination: number): boolean {
    const hasVector = ((command >>> 8) & 7) <= DELIVERY.lowest;
    return (!hasVector || (command & 0xff) >= 16) && this.#options.bus.send(command & 0x7ff, destination, this);
  }

  #writeTpr(value: number): void {
    this.#state.view.tpr = value & 0xff;
    this.#notify();
  }

  #notify(): void {
    if (this.isPending()) this.onChange?.();
  }

  matches(destination: number, logical: boolean): boolean {
    return matchesDestination(this.#state.view, this.id, destination, logical);
  }

  /** A message of the bus; whether it was accepted. */
  deliver(mode: number, vector: number, level: boolean): boolean {
    switch (mode) {
      case DELIVERY.fixed:
      case DELIVERY.lowest:
        return this.#accept(vector, level);
      case DELIVERY.nmi:
        this.raiseNmi();
        return true;
      case DELIVERY.init:
        this.#init();
        return true;
      case DELIVERY.startup:
        this.onSipi?.(vector);
        return true;
      case DELIVERY.unhalt:
        this.#state.view.unhalt = 1;
        this.onChange?.();
        return true;
      case DELIVERY.extInt:
        this.#state.view.extInt = 1;
        this.onChange?.();
        return true;
      default:
        return false;
    }
  }

  /** 12.4.7.3: as after reset, but the ID, MSR 0x1b and the pins stay. */
  #init(): void {
    const { xapicId } = this.#state.view;
    this.#resetRegisters();
    this.#state.view.xapicId = xapicId;
    this.#state.view.tpr = 0;
    this.#state.view.nmi = 0;
    this.#state.view.unhalt = 0;
    this.onInit?.();
  }

  #accept(vector: number, level: boolean): boolean {
    if (!this.acceptsFixed) return false;
    if (vector < 16) {
      this.#error(APIC_ERROR.receiveIllegalVector);
      return false;
    }
    const s = this.#state.view;
    const bit = 1 << (vector & 31);
    s.irr[vector >> 5] |= bit;
    if (level) s.tmr[vector >> 5] |= bit;
    else s.tmr[vector >> 5] &= ~bit;
    this.#notify();
    return true;
  }

  #error(bit: number): void {
    const s = this.#state.view;
    s.errors |= bit;
    const lvt = s.lvt[REG.lvtError - REG.lvt];
    if ((lvt & MASKED) === 0 && (lvt & 0xff) >= 16) this.#accept(lvt & 0xff, false);
  }

  /** LINT0 pin: the 8259's INTR output. */
  setLint0(level: boolean): void {
    this.#lint.set(0, level);
  }

  /** LINT1 pin: the board's NMI. */
  setLint1(level: boolean): void {
    this.#lint.set(1, level);
  }

  #eoi(): void {
    const s = this.#state.view;
    const vector = highestVector(s.isr);
    if (vector < 0) return;
    const bit = 1 << (vector & 31);
    s.isr[vector >> 5] &= ~bit;
    if ((s.tmr[vector >> 5] & bit) !== 0) {
      this.#lint.endOfInterrupt(vector);
      if ((s.svr & SUPPRESS_EOI_BROADCAST) === 0) this.#options.bus.endOfInterrupt(vector);
    }
    this.#notify();
  }

  #sendIpi(command: number, destination: number): void {
    const mode = (command >>> 8) & 7;
    // 12.6.1: INIT with level de-assert only synchronised arbitration IDs on processors long gone.
    if (mode === DELIVERY.init && (command & LEVEL) !== 0 && (command & (1 << 14)) === 0) return;
    if (mode <= DELIVERY.lowest && (command & 0xff) < 16) {
      this.#error(APIC_ERROR.sendIllegalVector);
      return;
    }
    // The trigger mode is for INIT alone: an IPI is always an edge.
    this.#options.bus.send(command & ~LEVEL, destination >>> 0, this);
  }

  #readReg(reg: number): number {
    const s = this.#state.view;
    const plain = readPlain(s, reg);
    if (plain !== undefined) return plain;
    switch (reg) {
      case REG.id:
        return this.x2apic ? this.id : (s.xapicId << 24) >>> 0;
      case REG.version:
        return VERSION;
      case REG.apr:
      case REG.ppr:
        return this.#ppr();
      case REG.ldr:
        return this.x2apic ? x2apicLogicalId(this.id) : s.ldr;
      case REG.currentCount:
        return this.#timer.readCurrentCount();
      case REG.eoi:
      case REG.rrd:
      case REG.selfIpi:
        return 0;
      default:
        this.#error(APIC_ERROR.illegalRegister);
        return 0;
    }
  }

  #writeLvt(reg: number, value: number): void {
    const s = this.#state.view;
    const at = reg - REG.lvt;
    const next = (value & APIC_LVT_WRITABLE[at]) | (isSoftwareEnabled(this.#state.view) ? 0 : MASKED);
    if (at === 0) this.#timer.writeLvt(next);
    else s.lvt[at] = (s.lvt[at] & REMOTE_IRR) | next;
    if (reg === REG.lint0 || reg === REG.lint1) this.#lint.sense(reg === REG.lint0 ? 0 : 1, false);
  }

  #writeSvr(value: number): void {
    const s = this.#state.view;
    s.svr = value & 0x13ff;
    if (isSoftwareEnabled(this.#state.view)) {
      this.#notify();
      return;
    }
    this.#timer.writeLvt(s.lvtTimer | MASKED);
    for (let i = 0; i < s.lvt.length; i++) s.lvt[i] |= MASKED;
  }

  /** Registers common to both modes. */
  #writeReg(reg: number, value: number): void {
    const s = this.#state.view;
    if (reg >= REG.lvt && reg <= REG.lvtError) {
      this.#writeLvt(reg, value);
      return;
    }
    switch (reg) {
      case REG.id:
        s.xapicId = value >>> 24;
        return;
      case REG.tpr:
        this.#writeTpr(value);
        return;
      case REG.eoi:
        this.#eoi();
        return;
      case REG.ldr:
        s.ldr = value & 0xff000000;
        return;
      case REG.dfr:
        s.dfr = value | 0x0fffffff;
        return;
      case REG.svr:
        this.#writeSvr(value);
        return;
      case REG.esr:
        s.esr = s.errors;
        s.errors = 0;
        return;
      case REG.icrHigh:
        s.icrHigh = value & 0xff000000;
        return;
      case REG.icr:
        s.icr = value & 0xccfff;
        this.#sendIpi(s.icr, this.x2apic ? s.icrHigh : s.icrHigh >>> 24 === 0xff ? BROADCAST : s.icrHigh >>> 24);
        return;
      case REG.initialCount:
        this.#timer.writeInitialCount(value >>> 0);
        return;
      case REG.divide:
        this.#timer.writeDivide(value);
        return;
    }
  }

  #readPage(offset: number, byteCount: AccessBytes): number {
    if (this.windowBase === undefined) return 0xffffffff;
    const within = offset & 15;
    return within + byteCount > 4 ? 0 : this.#readReg(offset >> 4) >>> (within * 8);
  }

  /** 12.4.1: registers are written as aligned 32-bit words. */
  #writePage(offset: number, byteCount: AccessBytes, value: number): void {
    if (this.windowBase === undefined || byteCount !== 4 || (offset & 15) !== 0) return;
    const reg = offset >> 4;
    if (reg !== REG.selfIpi) this.#writeReg(reg, value);
  }

  readRegister(index: number): { low: number; high: number } | undefined {
    const s = this.#state.view;
    if (index === MSR_APIC_BASE) return { low: s.baseLow, high: s.baseHigh };
    if (index === MSR_TSC_DEADLINE) return { low: s.deadlineLow, high: s.deadlineHigh };
    const reg = index - MSR_X2APIC;
    if (!this.x2apic || !isX2apicReadable(reg)) return undefined;
    return { low: this.#readReg(reg) >>> 0, high: reg === REG.icr ? s.icrHigh : 0 };
  }

  writeRegister(index: number, low: number, high: number): boolean {
    if (index === MSR_APIC_BASE) return this.#writeBase(low, high);
    if (index === MSR_TSC_DEADLINE) {
      this.writeTscDeadline(low, high);
      return true;
    }
    const reg = index - MSR_X2APIC;
    if (!this.x2apic || !isX2apicWritable(reg, low, high)) return false;
    if (reg === REG.icr) this.#state.view.icrHigh = high;
    if (reg === REG.selfIpi) this.#sendIpi((1 << 18) | (low & 0xff), 0);
    else this.#writeReg(reg, low);
    return true;
  }

  #writeBase(low: number, high: number): boolean {
    const s = this.#state.view;
    const from = s.baseLow & (BASE_ENABLED | BASE_EXTD);
    if (!isLegalApicBase(from, low, high, this.#options.physicalAddressBits ?? 40)) return false;
    const windowBefore = this.windowBase;
    s.baseLow = ((low & ~BASE_BSP) | (s.baseLow & BASE_BSP)) >>> 0;
    s.baseHigh = high;
    if (from !== 0 && !this.enabled) this.#resetRegisters();
    if (this.windowBase !== windowBefore) this.onWindowChange?.(this.windowBase);
    this.#notify();
    return true;
  }

  writeTscDeadline(low: number, high: number): void {
    this.#timer.writeDeadline(low >>> 0, high >>> 0);
  }

  /** The guest wrote its TSC: the deadline's time moved. */
  retargetTscDeadline(): void {
    this.#timer.retarget();
  }
}
