// Wires the board's interrupt lines (GSI 0..23) to the 8259 pair and the I/O APIC: GSI 0..15 are the ISA interrupts and reach both, 16..23 the
// I/O APIC alone. ISA IRQ 0 arrives at I/O APIC pin 2 (the MADT tells: interrupt source override 0 -> 2). Devices on one line are ORed.

import { AnilloError } from '@anillo/base/anillo-error';
import { struct } from '@anillo/base/struct';
import type { Device, IrqLine } from '../device.ts';
import { DeviceState } from '../device-state.ts';
import type { I8259 } from './i8259.ts';
import { IO_APIC_PINS, type IoApic } from './io-apic.ts';

const ISA_LINES = 16;
const SOURCES_PER_LINE = 32;
const TIMER_GSI = 0;
const TIMER_PIN = 2;

/** Per line: a bit for each source that asserts it. */
const STATE = struct({ asserted: ['u32', IO_APIC_PINS] });

export interface IrqRouterOptions {
  readonly pic: I8259;
  readonly ioApic: IoApic;
  readonly stateBuffer?: ArrayBufferLike;
}

export class IrqRouter implements Device {
  readonly name = 'irq-router';
  readonly #pic: I8259;
  readonly #ioApic: IoApic;
  readonly #state: DeviceState<(typeof STATE)['spec']>;
  readonly #sourceCount = new Uint8Array(IO_APIC_PINS);

  constructor(options: IrqRouterOptions) {
    this.#pic = options.pic;
    this.#ioApic = options.ioApic;
    this.#state = new DeviceState(STATE, options.stateBuffer);
  }

  /** A further input of a GSI. Snapshots number the inputs in the order of these calls. */
  line(gsi: number): IrqLine {
    if (!Number.isInteger(gsi) || gsi < 0 || gsi >= IO_APIC_PINS || this.#sourceCount[gsi] === SOURCES_PER_LINE) {
      throw new AnilloError(
        'BAD_OPTION',
        `Interrupt ${gsi} cannot be given to a device; choose one of 0..${IO_APIC_PINS - 1} with fewer than ${SOURCES_PER_LINE} users.`,
      );
    }
    const bit = 1 << this.#sourceCount[gsi]++;
    const { asserted } = this.#state.view;
    return {
      raise: () => {
        const before = asserted[gsi];
        asserted[gsi] = before | bit;
        if (before === 0) this.#set(gsi, true);
      },
      lower: () => {
        const before = asserted[gsi];
        asserted[gsi] = before & ~bit;
        if (before !== 0 && asserted[gsi] === 0) this.#set(gsi, false);
      },
    };
  }

  #set(gsi: number, level: boolean): void {
    const { asserted } = this.#state.view;
    if (gsi < ISA_LINES) this.#pic.setLine(gsi, level);
    const shared = gsi === TIMER_GSI ? asserted[TIMER_PIN] : gsi === TIMER_PIN ? asserted[TIMER_GSI] : 0;
    if (shared === 0) this.#ioApic.setPin(gsi === TIMER_GSI ? TIMER_PIN : gsi, level);
  }

  /** All lines low. */
  reset(): void {
    const { asserted } = this.#state.view;
    for (let gsi = 0; gsi < IO_APIC_PINS; gsi++) {
      if (asserted[gsi] === 0) continue;
      asserted[gsi] = 0;
      this.#set(gsi, false);
    }
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  /** The chips' own states hold the levels that they have seen; nothing is sent. */
  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }
}
