// What device tests stand on: guest time under the test's hand, lines and board control that remember, a character back end with both ends in reach.

import { GuestClock } from '../clock/guest-clock.ts';
import type { BoardControl, CharBackend, IoRange, IrqLine } from '../device.ts';
import { IoBus } from '../bus/io-bus.ts';
import { MmioBus } from '../bus/mmio-bus.ts';

export const WALL_START_MS = Date.UTC(2024, 1, 28, 23, 59, 58);

export class RecordedLine implements IrqLine {
  level = false;
  /** Changes from low to high. */
  rises = 0;

  raise(): void {
    if (!this.level) this.rises++;
    this.level = true;
  }

  lower(): void {
    this.level = false;
  }
}

export class RecordedControl implements BoardControl {
  readonly log: string[] = [];
  /** What waits for the machine to go on. */
  readonly waiting: (() => void)[] = [];

  powerOff(status: number): void {
    this.log.push(`off ${status}`);
  }

  reset(): void {
    this.log.push('reset');
  }

  debugExit(status: number): void {
    this.log.push(`exit ${status}`);
  }

  panicked(): void {
    this.log.push('panicked');
  }

  hostFailed(sentence: string, tryAgain?: () => void): void {
    this.log.push(`host failed: ${sentence}`);
    if (tryAgain !== undefined) this.waiting.push(tryAgain);
  }
}

export class BufferedBackend implements CharBackend {
  readonly sent: number[] = [];
  readonly #input: number[] = [];
  /** Bytes that it still takes. */
  room = Infinity;
  onDrain: (() => void) | undefined = undefined;
  onInput: (() => void) | undefined = undefined;

  write(byte: number): boolean {
    if (this.room <= 0) return false;
    this.room--;
    this.sent.push(byte);
    return true;
  }

  get available(): number {
    return this.#input.length;
  }

  read(): number {
    return this.#input.shift() ?? 0;
  }

  type(text: string): void {
    for (const character of text) this.#input.push(character.charCodeAt(0));
    this.onInput?.();
  }

  get text(): string {
    return String.fromCharCode(...this.sent);
  }
}

export class DeviceRig {
  hostNs = 0;
  readonly clock = new GuestClock({ hostNowNs: () => this.hostNs, hostWallMs: () => WALL_START_MS });
  readonly io = new IoBus();
  readonly memory = new MmioBus();
  readonly control = new RecordedControl();
  readonly lines: RecordedLine[] = Array.from({ length: 24 }, () => new RecordedLine());

  readonly irq = (gsi: number): RecordedLine => this.lines[gsi];

  plug<D extends { readonly ports?: readonly IoRange[]; readonly mmio?: readonly IoRange[] }>(device: D): D {
    for (const range of device.ports ?? []) this.io.add(range);
    for (const range of device.mmio ?? []) this.memory.add(range);
    return device;
  }

  /** Lets guest time pass, with the timers at their times. */
  advance(ns: number): void {
    const target = this.hostNs + ns;
    while (this.clock.nextDeadlineNs() <= target) {
      this.hostNs = Math.max(this.hostNs, this.clock.nextDeadlineNs());
      if (this.clock.runDue() === 0) break;
    }
    this.hostNs = target;
  }

  in8(port: number): number {
    return this.io.read(port, 1);
  }

  out8(port: number, value: number): void {
    this.io.write(port, 1, value);
  }
}
