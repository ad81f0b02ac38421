// Real-time clock and CMOS memory: Motorola MC146818 data sheet, with the PC's century and memory-size cells. Ports 0x70 (index, bit 7 masks NMI) and 0x71.
// The time is the board's wall clock plus an offset that the guest sets; while SET (register B bit 7) is on, the cells hold it. Cells survive a reset,
// as the battery makes them. Periodic flags are computed when register C is read, timers run only for enabled interrupts.

import { struct } from '@anillo/base/struct';
import type { Clock, Device, IoRange, IrqLine, Timer } from '../device.ts';
import { DeviceState } from '../device-state.ts';

const CELL = {
  seconds: 0,
  secondsAlarm: 1,
  minutes: 2,
  minutesAlarm: 3,
  hours: 4,
  hoursAlarm: 5,
  weekday: 6,
  day: 7,
  month: 8,
  year: 9,
  a: 10,
  b: 11,
  c: 12,
  d: 13,
  shutdown: 15,
  century: 0x32,
} as const;
const B = { set: 0x80, periodic: 0x40, alarm: 0x20, update: 0x10, binary: 0x04, hours24: 0x02 } as const;
const UPDATE_IN_PROGRESS = 0x80;
const INTERRUPT = 0x80;
const VALID_RAM = 0x80;
/** Divider 32.768 kHz running, periodic rate 1024 Hz. */
const A_POWER_ON = 0x26;
const DIVIDER_RUNNING = 0x20;
const UPDATE_MS = 0.244;
const SECOND_NS = 1e9;
const DAY_SECONDS = 86400;
const IS_TIME: ReadonlySet<number> = new Set([
  CELL.seconds,
  CELL.minutes,
  CELL.hours,
  CELL.weekday,
  CELL.day,
  CELL.month,
  CELL.year,
  CELL.century,
]);

const STATE = struct({
  cells: ['u8', 128],
  /** Guest's time minus wall clock. */
  offsetMs: 'f64',
  /** Second and periodic tick up to which flags were set. */
  lastSecond: 'f64',
  lastTick: 'f64',
  index: 'u8',
  irqEnabled: 'u8',
});

export interface CmosRtcOptions {
  readonly clock: Clock;
  /** IRQ 8. */
  readonly irq: IrqLine;
  /** The alarm went off (ACPI's RTC_STS). */
  readonly onAlarm?: () => void;
  readonly stateBuffer?: ArrayBufferLike;
}

export class CmosRtc implements Device {
  readonly name = 'cmos-rtc';
  readonly ports: readonly IoRange[];
  readonly #options: CmosRtcOptions;
  readonly #timer: Timer;
  readonly #state: DeviceState<(typeof STATE)['spec']>;

  constructor(options: CmosRtcOptions) {
    this.#options = options;
    this.#state = new DeviceState(STATE, options.stateBuffer);
    this.#timer = options.clock.createTimer(() => this.#tick());
    const s = this.#state.view;
    this.ports = [
      {
        start: 0x70,
        byteCount: 2,
        widestBytes: 1,
        read: (offset) => (offset === 0 ? 0xff : this.#read(s.index & 0x7f)),
        write: (offset, _, value) => {
          if (offset === 0) s.index = value;
          else this.#write(s.index & 0x7f, value);
        },
      },
    ];
    s.cells[CELL.a] = A_POWER_ON;
    s.cells[CELL.b] = B.hours24;
    this.reset();
  }

  reset(): void {
    const s = this.#state.view;
    s.index = 0;
    s.irqEnabled = 1;
    s.cells[CELL.b] &= ~(B.periodic | B.alarm | B.update);
    s.cells[CELL.c] = 0;
    this.#mark();
    this.#update();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
    this.#update();
  }

  /** Bit 7 of port 0x70. */
  get nmiMasked(): boolean {
    return (this.#state.view.index & 0x80) !== 0;
  }

  setCell(index: number, value: number): void {
    this.#state.view.cells[index & 0x7f] = value;
  }

  getCell(index: number): number {
    return this.#state.view.cells[index & 0x7f];
  }

  /** The cells from which firmware learns of RAM: base 0x15, extended 0x17 and 0x30 (KiB), above 16 MiB 0x34 and above 4 GiB 0x5b (64 KiB). */
  setMemorySize(bytesBelow4GiB: number, bytesAbove4GiB: number): void {
    const put = (index: number, value: number, byteCount: number) => {
      for (let i = 0; i < byteCount; i++) this.setCell(index + i, Math.floor(value / 256 ** i) & 0xff);
    };
    const extendedKiB = Math.min(0xffff, Math.max(0, bytesBelow4GiB / 1024 - 1024));
    put(0x15, 640, 2);
    put(0x17, extendedKiB, 2);
    put(0x30, extendedKiB, 2);
    put(0x34, Math.min(0xffff, Math.max(0, (bytesBelow4GiB - 16 * 2 ** 20) / 65536)), 2);
    put(0x5b, bytesAbove4GiB / 65536, 3);
  }

  /** Off while the HPET replaces IRQ 8. */
  setIrqEnabled(enabled: boolean): void {
    this.#state.view.irqEnabled = enabled ? 1 : 0;
    this.#update();
  }

  // --- Time ---

  get #b(): number {
    return this.#state.view.cells[CELL.b];
  }

  get #isRunning(): boolean {
    return (this.#b & B.set) === 0 && (this.#state.view.cells[CELL.a] & 0x70) === DIVIDER_RUNNING;
  }

  #nowMs(): number {
    return this.#options.clock.wallMs() + this.#state.view.offsetMs;
  }

  #encode(value: number): number {
    return (this.#b & B.binary) !== 0 ? value : (Math.floor(value / 10) << 4) | (value % 10);
  }

  #decode(cell: number): number {
    return (this.#b & B.binary) !== 0 ? cell : (cell >> 4) * 10 + (cell & 15);
  }

  #encodeHours(hours: number): number {
    if ((this.#b & B.hours24) !== 0) return this.#encode(hours);
    return this.#encode(hours % 12 === 0 ? 12 : hours % 12) | (hours >= 12 ? 0x80 : 0);
  }

  #decodeHours(cell: number): number {
    if ((this.#b & B.hours24) !== 0) return this.#decode(cell);
    return (this.#decode(cell & 0x7f) % 12) + ((cell & 0x80) !== 0 ? 12 : 0);
  }

  /** Time of day into the cells. */
  #fill(): void {
    const { cells } = this.#state.view;
    const ms = this.#nowMs();
    const date = new Date(Number.isFinite(ms) ? ms : 0);
    const year = date.getUTCFullYear() || 0;
    cells[CELL.seconds] = this.#encode(date.getUTCSeconds());
    cells[CELL.minutes] = this.#encode(date.getUTCMinutes());
    cells[CELL.hours] = this.#encodeHours(date.getUTCHours());
    cells[CELL.weekday] = this.#encode(date.getUTCDay() + 1);
    cells[CELL.day] = this.#encode(date.getUTCDate());
    cells[CELL.month] = this.#encode(date.getUTCMonth() + 1);
    cells[CELL.year] = this.#encode(year % 100);
    cells[CELL.century] = this.#encode(Math.floor(year / 100));
  }

  /** The cells' time becomes the time; the fraction of the second goes on. */
  #adopt(): void {
    const s = this.#state.view;
    const at = (cell: number) => this.#decode(s.cells[cell]);
    const year = at(CELL.century) * 100 + at(CELL.year);
    const date = new Date(0);
    date.setUTCFullYear(year, at(CELL.month) - 1, at(CELL.day));
    date.setUTCHours(this.#decodeHours(s.cells[CELL.hours]), at(CELL.minutes), at(CELL.seconds), 0);
    const wallMs = this.#options.clock.wallMs();
    const fractionMs = (((wallMs + s.offsetMs) % 1000) + 1000) % 1000;
    s.offsetMs = date.getTime() + fractionMs - wallMs;
    this.#mark();
  }

  // --- Interrupts ---

  /** Periodic interrupt's interval; 0: off. Rates 1 and 2 are those of 8 and 9. */
  get #periodNs(): number {
    const rate = this.#state.view.cells[CELL.a] & 15;
    return rate === 0 ? 0 : (SECOND_NS * 2 ** ((rate < 3 ? rate + 7 : rate) - 1)) / 32768;
  }

  /** Flags are counted from now on. */
  #mark(): void {
    const s = this.#state.view;
    s.lastSecond = Math.floor(this.#nowMs() / 1000);
    s.lastTick = this.#periodNs === 0 ? 0 : Math.floor(this.#options.clock.nowNs() / this.#periodNs);
  }

  /** Whether the alarm's time lies in the seconds after `from` up to `to`; a day has them all. */
  #alarmPassed(from: number, to: number): boolean {
    const { cells } = this.#state.view;
    const wanted = (cell: number, decode: (value: number) => number) => (cells[cell] >= 0xc0 ? -1 : decode(cells[cell]));
    const seconds = wanted(CELL.secondsAlarm, (value) => this.#decode(value));
    const minutes = wanted(CELL.minutesAlarm, (value) => this.#decode(value));
    const hours = wanted(CELL.hoursAlarm, (value) => this.#decodeHours(value));
    for (let at = to; at > from && at > to - DAY_SECONDS; at--) {
      const second = ((at % DAY_SECONDS) + DAY_SECONDS) % DAY_SECONDS;
      if (seconds >= 0 && second % 60 !== seconds) continue;
      if (minutes >= 0 && Math.floor(second / 60) % 60 !== minutes) continue;
      if (hours < 0 || Math.floor(second / 3600) === hours) return true;
    }
    return false;
  }

  /** Sets the flags of register C for what happened since the last call. */
  #catchUp(): void {
    const s = this.#state.view;
    const { lastSecond, lastTick } = s;
    this.#mark();
    if (s.lastTick > lastTick) s.cells[CELL.c] |= B.periodic;
    if (!this.#isRunning || s.lastSecond <= lastSecond) return;
    s.cells[CELL.c] |= B.update;
    if (!this.#alarmPassed(lastSecond, s.lastSecond)) return;
    s.cells[CELL.c] |= B.alarm;
    if ((this.#b & B.alarm) !== 0) this.#options.onAlarm?.();
  }

  #tick(): void {
    this.#catchUp();
    this.#update();
  }

  /** Drives IRQ 8 and times the next event that somebody enabled. */
  #update(): void {
    const s = this.#state.view;
    const { cells } = s;
    const asserted = (cells[CELL.c] & this.#b & (B.periodic | B.alarm | B.update)) !== 0;
    if (asserted) cells[CELL.c] |= INTERRUPT;
    if (asserted && s.irqEnabled !== 0) this.#options.irq.raise();
    else this.#options.irq.lower();
    const now = this.#options.clock.nowNs();
    let next = Infinity;
    if ((this.#b & B.periodic) !== 0 && this.#periodNs > 0) next = (Math.floor(now / this.#periodNs) + 1) * this.#periodNs;
    // A microsecond later than the second's end, so that rounding never comes before it.
    if ((this.#b & (B.alarm | B.update)) !== 0 && this.#isRunning)
      next = Math.min(next, now + (1000 - (this.#nowMs() % 1000)) * 1e6 + 1000);
    this.#timer.arm(next);
  }

  // --- Registers ---

  #read(index: number): number {
    const { cells } = this.#state.view;
    if (IS_TIME.has(index) && this.#isRunning) this.#fill();
    switch (index) {
      case CELL.a:
        return cells[CELL.a] | (this.#isRunning && this.#nowMs() % 1000 >= 1000 - UPDATE_MS ? UPDATE_IN_PROGRESS : 0);
      case CELL.c: {
        this.#catchUp();
        this.#update();
        const flags = cells[CELL.c];
        cells[CELL.c] = 0;
        this.#update();
        return flags;
      }
      case CELL.d:
        return VALID_RAM;
      default:
        return cells[index];
    }
  }

  #write(index: number, value: number): void {
    const { cells } = this.#state.view;
    const wasRunning = this.#isRunning;
    if (index === CELL.c || index === CELL.d) return;
    if (IS_TIME.has(index)) {
      if (wasRunning) this.#fill();
      cells[index] = value;
      if (wasRunning) this.#adopt();
      return;
    }
    if (index !== CELL.a && index !== CELL.b) {
      cells[index] = value;
      return;
    }
    this.#catchUp();
    if (wasRunning) this.#fill();
    // SET stops the update and clears its enable.
    cells[index] = index === CELL.a ? value & 0x7f : (value & B.set) !== 0 ? value & ~B.update : value;
    if (!wasRunning && this.#isRunning) this.#adopt();
    this.#mark();
    this.#update();
  }
}
