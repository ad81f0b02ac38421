// High precision event timer: IA-PC HPET specification 1.0a. 100 MHz 64-bit counter, three comparators (periodic capable, 32- or 64-bit), legacy
// replacement (comparator 0 -> IRQ 0, 1 -> IRQ 8), edge or level. FSB delivery is not offered. 64-bit accesses arrive as two 32-bit ones, low first:
// a read of the counter's low half keeps the high half for the read that follows.

import { struct } from '@anillo/base/struct';
import type { AccessBytes, Clock, Device, IoRange, IrqLine, Timer } from '../device.ts';
import { DeviceState } from '../device-state.ts';

export const HPET_PERIOD_FS = 10_000_000;
const TICK_NS = 10;
const COMPARATORS = 3;
const DEFAULT_BASE = 0xfed00000;
/** Vendor 0x8086, legacy replacement, 64-bit counter, three comparators, revision 1. */
const CAPABILITIES_LOW = 0x8086a201;
/** GSIs that a comparator may use: 2, 8, 16..23. */
const ROUTES = 0x00ff0104;
const ENABLE = 1;
const LEGACY = 2;
/** Comparator configuration: bits of the low half. */
const TN = {
  level: 1 << 1,
  enable: 1 << 2,
  periodic: 1 << 3,
  periodicCapable: 1 << 4,
  size64: 1 << 5,
  setValue: 1 << 6,
  mode32: 1 << 8,
  route: 0x3e00,
} as const;
const TN_WRITABLE = TN.level | TN.enable | TN.periodic | TN.setValue | TN.mode32 | TN.route;
const GSIS = [0, 2, 8, 16, 17, 18, 19, 20, 21, 22, 23] as const;
const MASK32 = 0xffffffffn;
const NEVER = -1;

const STATE = struct({
  counter: 'u64',
  comparator: ['u64', COMPARATORS],
  period: ['u64', COMPARATORS],
  /** Guest time at which the counter had the value `counter`, while enabled. */
  startNs: 'f64',
  /** Guest time of the next match; below 0: none. */
  matchNs: ['f64', COMPARATORS],
  config: 'u32',
  interruptStatus: 'u32',
  timerConfig: ['u32', COMPARATORS],
  keptHigh: 'u32',
  isHighKept: 'u8',
  /** Comparator (1-based) whose high half, if written next, goes with the low half's SETVAL. */
  setValueHigh: 'u8',
});

export interface HpetOptions {
  readonly clock: Clock;
  /** A new input of a GSI. */
  readonly irq: (gsi: number) => IrqLine;
  /** Legacy replacement went on or off: IRQ 0 of the 8254 and IRQ 8 of the RTC are cut off while it is on. */
  readonly onLegacyReplacement?: (enabled: boolean) => void;
  readonly base?: number;
  readonly stateBuffer?: ArrayBufferLike;
}

export class Hpet implements Device {
  readonly name = 'hpet';
  readonly mmio: readonly IoRange[];
  readonly #options: HpetOptions;
  readonly #lines: ReadonlyMap<number, IrqLine>;
  readonly #timers: readonly Timer[];
  readonly #state: DeviceState<(typeof STATE)['spec']>;

  constructor(options: HpetOptions) {
    this.#options = options;
    this.#state = new DeviceState(STATE, options.stateBuffer);
    this.#lines = new Map(GSIS.map((gsi) => [gsi, options.irq(gsi)]));
    this.#timers = Array.from({ length: COMPARATORS }, (_, n) => options.clock.createTimer(() => this.#match(n)));
    this.mmio = [
      {
        start: options.base ?? DEFAULT_BASE,
        byteCount: 0x400,
        read: (offset, byteCount) => this.#read(offset, byteCount),
        write: (offset, byteCount, value) => this.#write(offset, byteCount, value),
      },
    ];
    this.reset();
  }

  reset(): void {
    const wasLegacy = this.#isLegacy;
    this.#state.clear();
    const s = this.#state.view;
    for (let n = 0; n < COMPARATORS; n++) s.comparator[n] = 0xffffffffffffffffn;
    s.matchNs.fill(NEVER);
    for (const line of this.#lines.values()) line.lower();
    this.#armAll();
    if (wasLegacy) this.#options.onLegacyReplacement?.(false);
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  /** Devices behind `onLegacyReplacement` keep their part in their own state. */
  restore(state: Uint8Array): void {
    this.#state.restore(state);
    this.#armTimers();
  }

  get #isEnabled(): boolean {
    return (this.#state.view.config & ENABLE) !== 0;
  }

  get #isLegacy(): boolean {
    return (this.#state.view.config & LEGACY) !== 0;
  }

  #counter(): bigint {
    const s = this.#state.view;
    if (!this.#isEnabled) return s.counter;
    return BigInt.asUintN(64, s.counter + BigInt(Math.floor((this.#options.clock.nowNs() - s.startNs) / TICK_NS)));
  }

  /** The low half without big integers: guests read it as their clock. */
  #counterLow(): number {
    const s = this.#state.view;
    const ticks = this.#isEnabled ? Math.floor((this.#options.clock.nowNs() - s.startNs) / TICK_NS) : 0;
    const low = Number(s.counter & MASK32) + (ticks % 4294967296);
    s.keptHigh = Number(s.counter >> 32n) + Math.floor(ticks / 4294967296) + (low >= 4294967296 ? 1 : 0);
    s.isHighKept = 1;
    return low % 4294967296;
  }

  // --- Comparators ---

  #is32(n: number): boolean {
    return (this.#state.view.timerConfig[n] & TN.mode32) !== 0;
  }

  /** Ticks after which comparator `n` matches, counted from counter value `from`. */
  #ticksToMatch(n: number, from: bigint): number {
    return Number(BigInt.asUintN(this.#is32(n) ? 32 : 64, this.#state.view.comparator[n] - from));
  }

  /** Plans the next match after a change of counter or comparator. */
  #plan(n: number): void {
    const s = this.#state.view;
    if (!this.#isEnabled) s.matchNs[n] = NEVER;
    else {
      const counter = this.#counter();
      this.#advance(n, counter);
      const atTicks = Number(counter - s.counter) + this.#ticksToMatch(n, counter);
      s.matchNs[n] = s.startNs + atTicks * TICK_NS;
    }
    this.#armTimers();
  }

  /** A periodic comparator that lies behind the counter goes on by whole periods. */
  #advance(n: number, counter: bigint): void {
    const s = this.#state.view;
    const period = s.period[n];
    if ((s.timerConfig[n] & TN.periodic) === 0 || period === 0n) return;
    const width = this.#is32(n) ? 32 : 64;
    const behind = BigInt.asUintN(width, counter - s.comparator[n]);
    if (behind === 0n || behind >> BigInt(width - 1) !== 0n) return;
    s.comparator[n] = BigInt.asUintN(64, s.comparator[n] + ((behind + period - 1n) / period) * period);
  }

  #armAll(): void {
    for (let n = 0; n < COMPARATORS; n++) this.#plan(n);
  }

  #armTimers(): void {
    const { matchNs, timerConfig } = this.#state.view;
    for (let n = 0; n < COMPARATORS; n++) {
      const level = (timerConfig[n] & TN.level) !== 0;
      if (matchNs[n] >= 0 && ((timerConfig[n] & TN.enable) !== 0 || level)) this.#timers[n].arm(matchNs[n]);
      else this.#timers[n].disarm();
    }
  }

  #match(n: number): void {
    const s = this.#state.view;
    const period = s.period[n];
    if ((s.timerConfig[n] & TN.periodic) !== 0 && period > 0n) {
      s.comparator[n] = BigInt.asUintN(64, s.comparator[n] + period);
      this.#plan(n);
    } else if (this.#is32(n)) {
      // The next match is after the counter's low half has wrapped.
      s.matchNs[n] += 4294967296 * TICK_NS;
    } else {
      s.matchNs[n] = NEVER;
    }
    this.#interrupt(n);
    this.#armTimers();
  }

  #gsi(n: number): number {
    if (this.#isLegacy && n < 2) return n === 0 ? 0 : 8;
    return (this.#state.view.timerConfig[n] >> 9) & 31;
  }

  #interrupt(n: number): void {
    const s = this.#state.view;
    const line = this.#lines.get(this.#gsi(n));
    if ((s.timerConfig[n] & TN.level) !== 0) {
      s.interruptStatus |= 1 << n;
      this.#updateLevels();
    } else if ((s.timerConfig[n] & TN.enable) !== 0) {
      line?.raise();
      line?.lower();
    }
  }

  /** Level-triggered comparators hold their lines while their status bits are set. */
  #updateLevels(): void {
    const s = this.#state.view;
    let held = 0;
    for (let n = 0; n < COMPARATORS; n++) {
      if ((s.interruptStatus & (1 << n)) !== 0 && (s.timerConfig[n] & TN.enable) !== 0) held |= 1 << this.#gsi(n);
    }
    for (const [gsi, line] of this.#lines) {
      if ((held & (1 << gsi)) !== 0) line.raise();
      else line.lower();
    }
  }

  // --- Registers ---

  #read(offset: number, byteCount: AccessBytes): number {
    const at = offset & ~3;
    const value = at === 0xf4 && this.#state.view.isHighKept !== 0 ? this.#takeHigh() : this.#readDword(at);
    return (value >>> ((offset & 3) * 8)) & (byteCount === 4 ? -1 : (1 << (byteCount * 8)) - 1);
  }

  #takeHigh(): number {
    this.#state.view.isHighKept = 0;
    return this.#state.view.keptHigh;
  }

  #readDword(at: number): number {
    const s = this.#state.view;
    s.isHighKept = 0;
    if (at >= 0x100) return this.#readComparator((at - 0x100) >> 5, at & 0x1c);
    switch (at) {
      case 0x00:
        return CAPABILITIES_LOW;
      case 0x04:
        return HPET_PERIOD_FS;
      case 0x10:
        return s.config;
      case 0x20:
        return s.interruptStatus;
      case 0xf0:
        return this.#counterLow();
      case 0xf4:
        return Number(this.#counter() >> 32n);
      default:
        return 0;
    }
  }

  #readComparator(n: number, register: number): number {
    const s = this.#state.view;
    if (n >= COMPARATORS) return 0;
    switch (register) {
      case 0x00:
        return s.timerConfig[n] | TN.periodicCapable | TN.size64;
      case 0x04:
        return ROUTES;
      case 0x08:
        return Number(s.comparator[n] & MASK32);
      case 0x0c:
        return this.#is32(n) ? 0 : Number(s.comparator[n] >> 32n);
      default:
        return 0;
    }
  }

  /** Registers are written as 32-bit words; narrower writes are dropped. */
  #write(offset: number, byteCount: AccessBytes, value: number): void {
    if (byteCount !== 4 || (offset & 3) !== 0) return;
    const s = this.#state.view;
    s.isHighKept = 0;
    const setValueHigh = s.setValueHigh - 1;
    s.setValueHigh = 0;
    if (offset >= 0x100) {
      const n = (offset - 0x100) >> 5;
      if (n < COMPARATORS) this.#writeComparator(n, offset & 0x1c, value >>> 0, setValueHigh === n);
    } else if (offset === 0x10) {
      this.#writeConfig(value);
    } else if (offset === 0x20) {
      s.interruptStatus &= ~value;
      this.#updateLevels();
    } else if (offset === 0xf0 || offset === 0xf4) {
      const now = this.#counter();
      s.counter = offset === 0xf0 ? (now & ~MASK32) | BigInt(value >>> 0) : (now & MASK32) | (BigInt(value >>> 0) << 32n);
      s.startNs = this.#options.clock.nowNs();
      this.#armAll();
    }
  }

  #writeConfig(value: number): void {
    const s = this.#state.view;
    const changed = (s.config ^ value) & (ENABLE | LEGACY);
    if ((changed & ENABLE) !== 0) {
      s.counter = this.#counter();
      s.startNs = this.#options.clock.nowNs();
    }
    s.config = value & (ENABLE | LEGACY);
    if ((changed & ENABLE) !== 0) this.#armAll();
    if ((changed & LEGACY) === 0) return;
    this.#options.onLegacyReplacement?.(this.#isLegacy);
    this.#updateLevels();
  }

  #writeComparator(n: number, register: number, value: number, isSetValueHigh: boolean): void {
    const s = this.#state.view;
    const bits = BigInt(value);
    const isPeriodic = (s.timerConfig[n] & TN.periodic) !== 0;
    const setsComparator = !isPeriodic || (s.timerConfig[n] & TN.setValue) !== 0 || (isSetValueHigh && register === 0x0c);
    if (register === 0x00) {
      s.timerConfig[n] = value & TN_WRITABLE;
      if ((value & TN.level) === 0) s.interruptStatus &= ~(1 << n);
      this.#updateLevels();
    } else if (register === 0x08) {
      // A periodic comparator's value is set only with SETVAL; the period (2.3.9.2.2) with every write.
      if (setsComparator) s.comparator[n] = this.#is32(n) ? bits : (s.comparator[n] & ~MASK32) | bits;
      if (isPeriodic) s.period[n] = this.#is32(n) ? bits : (s.period[n] & ~MASK32) | bits;
      if ((s.timerConfig[n] & TN.setValue) !== 0) s.setValueHigh = n + 1;
      s.timerConfig[n] &= ~TN.setValue;
    } else if (register === 0x0c && !this.#is32(n)) {
      if (setsComparator) s.comparator[n] = (s.comparator[n] & MASK32) | (bits << 32n);
      if (isPeriodic) s.period[n] = (s.period[n] & MASK32) | (bits << 32n);
    }
    this.#plan(n);
  }
}
