// Programmable interval timer 8254 (Intel data sheet) at 1.193182 MHz: three counters, modes 0..5, latch and read-back, BCD; port 0x61 with counter 2's
// gate and output, the speaker bits and the refresh toggle. Counter 0's output is IRQ 0. Counts and outputs are functions of the time since the load;
// only rising edges of counter 0 are timed. Departures: a count takes effect when written (not a clock later); the null-count bit reads 0.

import { struct } from '@anillo/base/struct';
import type { Clock, Device, IoRange, IrqLine, Timer } from '../device.ts';
import { DeviceState } from '../device-state.ts';

export const PIT_HZ = 1193182;
const TICK_NS = 1e9 / PIT_HZ;
const REFRESH_NS = 15085;
const ACCESS = { latch: 0, low: 1, high: 2, word: 3 } as const;

const STATE = struct({
  /** Guest time of the load (or trigger); below 0: waits for one. */
  startNs: ['f64', 3],
  /** Ticks counted when the gate went low; below 0: counting. */
  frozenTicks: ['f64', 3],
  reload: ['u32', 3],
  latched: ['u16', 3],
  latchState: ['u8', 3],
  status: ['u8', 3],
  statusLatched: ['u8', 3],
  readHigh: ['u8', 3],
  writeHigh: ['u8', 3],
  writeLow: ['u8', 3],
  access: ['u8', 3],
  mode: ['u8', 3],
  bcd: ['u8', 3],
  gate: ['u8', 3],
  speaker: 'u8',
  irqEnabled: 'u8',
});

const fromBcd = (value: number) => (value >> 12) * 1000 + ((value >> 8) & 15) * 100 + ((value >> 4) & 15) * 10 + (value & 15);
const toBcd = (value: number) =>
  ((Math.floor(value / 1000) % 10) << 12) | ((Math.floor(value / 100) % 10) << 8) | ((Math.floor(value / 10) % 10) << 4) | (value % 10);

/** Output after `ticks` since the load; ticks below 0: not triggered. */
function outputAt(mode: number, reload: number, ticks: number): boolean {
  switch (mode) {
    case 0:
      return ticks >= reload;
    case 1:
      return ticks < 0 || ticks >= reload;
    case 2:
      return ticks < 0 || ticks % reload !== reload - 1;
    case 3:
      return ticks < 0 || ticks % reload < (reload + 1) >> 1;
    default:
      return ticks !== reload;
  }
}

/** First tick after `ticks` at which the output rises, or Infinity. */
function nextRise(mode: number, reload: number, ticks: number): number {
  switch (mode) {
    case 0:
    case 1:
      return ticks < reload ? reload : Infinity;
    case 2:
    case 3:
      return (Math.floor(ticks / reload) + 1) * reload;
    default:
      return ticks <= reload ? reload + 1 : Infinity;
  }
}

export interface I8254Options {
  readonly clock: Clock;
  /** IRQ 0. */
  readonly irq: IrqLine;
  readonly stateBuffer?: ArrayBufferLike;
}

export class I8254 implements Device {
  readonly name = 'i8254';
  readonly ports: readonly IoRange[];
  readonly #clock: Clock;
  readonly #irq: IrqLine;
  readonly #timer: Timer;
  readonly #state: DeviceState<(typeof STATE)['spec']>;

  constructor(options: I8254Options) {
    this.#clock = options.clock;
    this.#irq = options.irq;
    this.#state = new DeviceState(STATE, options.stateBuffer);
    this.#timer = options.clock.createTimer(() => this.#rise());
    this.ports = [
      {
        start: 0x40,
        byteCount: 4,
        widestBytes: 1,
        read: (offset) => (offset === 3 ? 0xff : this.#readCounter(offset)),
        write: (offset, _, value) => (offset === 3 ? this.#control(value) : this.#writeCounter(offset, value)),
      },
      {
        start: 0x61,
        byteCount: 1,
        widestBytes: 1,
        read: () => this.#readPort61(),
        write: (_offset, _bytes, value) => this.#writePort61(value),
      },
    ];
    this.reset();
  }

  reset(): void {
    const s = this.#state.view;
    this.#state.clear();
    s.startNs.fill(-1);
    s.frozenTicks.fill(-1);
    s.reload.fill(0x10000);
    s.access.fill(ACCESS.word);
    s.mode.fill(3);
    s.gate[0] = s.gate[1] = 1;
    s.irqEnabled = 1;
    this.#irq.lower();
    this.#timer.disarm();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
    const s = this.#state.view;
    for (let i = 0; i < 3; i++) if (s.reload[i] === 0) s.reload[i] = 0x10000;
    this.#arm();
  }

  /** Off while the HPET replaces IRQ 0. */
  setIrqEnabled(enabled: boolean): void {
    this.#state.view.irqEnabled = enabled ? 1 : 0;
    this.#updateIrq();
  }

  /** Ticks since the load; below 0: not loaded or triggered. */
  #ticks(i: number): number {
    const s = this.#state.view;
    if (s.startNs[i] < 0) return -1;
    return s.frozenTicks[i] >= 0 ? s.frozenTicks[i] : Math.max(0, Math.floor((this.#clock.nowNs() - s.startNs[i]) / TICK_NS + 1e-6));
  }

  #output(i: number): boolean {
    const s = this.#state.view;
    return outputAt(s.mode[i], s.reload[i], this.#ticks(i));
  }

  #count(i: number): number {
    const s = this.#state.view;
    const wrap = s.bcd[i] !== 0 ? 10000 : 0x10000;
    const reload = s.reload[i];
    const ticks = Math.max(0, this.#ticks(i));
    let count: number;
    if (s.mode[i] === 2) count = reload - (ticks % reload);
    else if (s.mode[i] === 3) count = reload - (((ticks * 2) % reload) & ~1);
    else count = (((reload - ticks) % wrap) + wrap) % wrap;
    count %= wrap;
    return s.bcd[i] !== 0 ? toBcd(count) : count;
  }

  // --- Counter 0's interrupt ---

  #updateIrq(): void {
    const s = this.#state.view;
    if (s.irqEnabled !== 0 && s.startNs[0] >= 0 && this.#output(0)) this.#irq.raise();
    else this.#irq.lower();
  }

  #rise(): void {
    if (this.#state.view.irqEnabled !== 0) {
      this.#irq.lower();
      this.#irq.raise();
    }
    this.#arm();
  }

  #arm(): void {
    const s = this.#state.view;
    const ticks = this.#ticks(0);
    if (ticks < 0) this.#timer.disarm();
    else this.#timer.arm(s.startNs[0] + nextRise(s.mode[0], s.reload[0], ticks) * TICK_NS);
  }

  // --- Counter registers ---

  #control(value: number): void {
    const s = this.#state.view;
    const select = value >> 6;
    if (select === 3) {
      for (let i = 0; i < 3; i++) {
        if ((value & (2 << i)) === 0) continue;
        if ((value & 0x20) === 0) this.#latchCount(i);
        if ((value & 0x10) === 0) this.#latchStatus(i);
      }
      return;
    }
    const access = (value >> 4) & 3;
    if (access === ACCESS.latch) {
      this.#latchCount(select);
      return;
    }
    s.access[select] = access;
    // Modes 6 and 7 are 2 and 3.
    s.mode[select] = ((value >> 1) & 7) > 5 ? (value >> 1) & 3 : (value >> 1) & 7;
    s.bcd[select] = value & 1;
    s.readHigh[select] = s.writeHigh[select] = s.latchState[select] = s.statusLatched[select] = 0;
    s.startNs[select] = s.frozenTicks[select] = -1;
    if (select !== 0) return;
    this.#timer.disarm();
    if (s.irqEnabled === 0 || s.mode[0] === 0) this.#irq.lower();
    else this.#irq.raise();
  }

  /** Latch state: how many bytes of the latch are still to be read. */
  #latchCount(i: number): void {
    const s = this.#state.view;
    if (s.latchState[i] !== 0) return;
    s.latched[i] = this.#count(i);
    s.latchState[i] = s.access[i] === ACCESS.word ? 2 : 1;
  }

  #latchStatus(i: number): void {
    const s = this.#state.view;
    if (s.statusLatched[i] !== 0) return;
    s.status[i] = (this.#output(i) ? 0x80 : 0) | (s.access[i] << 4) | (s.mode[i] << 1) | s.bcd[i];
    s.statusLatched[i] = 1;
  }

  #readCounter(i: number): number {
    const s = this.#state.view;
    if (s.statusLatched[i] !== 0) {
      s.statusLatched[i] = 0;
      return s.status[i];
    }
    const latched = s.latchState[i] !== 0;
    const count = latched ? s.latched[i] : this.#count(i);
    const high = s.access[i] === ACCESS.high || (s.access[i] === ACCESS.word && s.readHigh[i] !== 0);
    if (s.access[i] === ACCESS.word) s.readHigh[i] ^= 1;
    if (latched) s.latchState[i]--;
    return high ? count >> 8 : count & 0xff;
  }

  #writeCounter(i: number, value: number): void {
    const s = this.#state.view;
    if (s.access[i] === ACCESS.low) this.#load(i, value);
    else if (s.access[i] === ACCESS.high) this.#load(i, value << 8);
    else if (s.writeHigh[i] !== 0) {
      s.writeHigh[i] = 0;
      this.#load(i, s.writeLow[i] | (value << 8));
    } else {
      s.writeLow[i] = value;
      s.writeHigh[i] = 1;
    }
  }

  #load(i: number, written: number): void {
    const s = this.#state.view;
    const count = s.bcd[i] !== 0 ? fromBcd(written) : written;
    s.reload[i] = count === 0 ? (s.bcd[i] !== 0 ? 10000 : 0x10000) : count;
    // Modes 1 and 5 start at the gate's rise; a reload of a running mode 2 or 3 counter restarts it, which hardware does at the period's end.
    if (s.mode[i] !== 1 && s.mode[i] !== 5) this.#start(i);
  }

  #start(i: number): void {
    const s = this.#state.view;
    s.startNs[i] = this.#clock.nowNs();
    s.frozenTicks[i] = s.gate[i] !== 0 || s.mode[i] === 1 || s.mode[i] === 5 ? -1 : 0;
    if (i !== 0) return;
    this.#updateIrq();
    this.#arm();
  }

  #setGate(i: number, gate: number): void {
    const s = this.#state.view;
    if (s.gate[i] === gate) return;
    const ticks = this.#ticks(i);
    s.gate[i] = gate;
    if (s.mode[i] === 1 || s.mode[i] === 5) {
      if (gate !== 0) this.#start(i);
    } else if (s.mode[i] === 2 || s.mode[i] === 3) {
      // A low gate forces the output high, a rise reloads.
      if (s.startNs[i] < 0) return;
      if (gate !== 0) this.#start(i);
      else s.frozenTicks[i] = 0;
    } else if (ticks >= 0) {
      s.frozenTicks[i] = gate !== 0 ? -1 : ticks;
      if (gate !== 0) s.startNs[i] = Math.max(0, this.#clock.nowNs() - ticks * TICK_NS);
    }
  }

  #readPort61(): number {
    const s = this.#state.view;
    const refresh = Math.floor(this.#clock.nowNs() / REFRESH_NS) & 1;
    return (s.speaker & 0x0e) | s.gate[2] | (refresh << 4) | (this.#output(2) ? 0x20 : 0);
  }

  #writePort61(value: number): void {
    this.#state.view.speaker = value & 0x0f;
    this.#setGate(2, value & 1);
  }
}
