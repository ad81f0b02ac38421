// Pair of 8259A programmable interrupt controllers, cascaded at the master's IRQ 2, with the ELCR (Intel 8259A data sheet; ELCR: 82371AB data sheet 4.2.4).
// Departures: trigger mode is the ELCR's (ICW1's LTIM is ignored, as in PC chip sets); an edge stays latched when the line falls before INTA;
// after power-on all inputs are masked.
// Initialisation of a chip: idle --ICW1--> expects ICW2 --> ICW3 (cascaded) --> ICW4 (if announced) --> idle.

import { struct } from '@anillo/base/struct';
import type { Device, IoRange } from '../device.ts';
import { DeviceState } from '../device-state.ts';

const MASTER = 0;
const SLAVE = 1;
const CASCADE = 1 << 2;
const SPURIOUS = 7;
const ELCR_WRITABLE = [0xf8, 0xde] as const;
const EXPECT = { nothing: 0, icw2: 1, icw3: 2, icw4: 3 } as const;

const STATE = struct({
  irr: ['u8', 2],
  imr: ['u8', 2],
  isr: ['u8', 2],
  lines: ['u8', 2],
  elcr: ['u8', 2],
  vectorBase: ['u8', 2],
  expect: ['u8', 2],
  needsIcw4: ['u8', 2],
  single: ['u8', 2],
  lowestPriority: ['u8', 2],
  readIsr: ['u8', 2],
  poll: ['u8', 2],
  specialMask: ['u8', 2],
  autoEoi: ['u8', 2],
  rotateOnAutoEoi: ['u8', 2],
  fullyNested: ['u8', 2],
  output: 'u8',
});

export interface I8259Options {
  readonly onOutput?: (level: boolean) => void;
  readonly stateBuffer?: ArrayBufferLike;
}

export class I8259 implements Device {
  readonly name = 'i8259';
  readonly ports: readonly IoRange[];
  /** The INTR output changed; wired to the boot CPU's LINT0. */
  onOutput: ((level: boolean) => void) | undefined;
  readonly #state: DeviceState<(typeof STATE)['spec']>;

  constructor(options: I8259Options = {}) {
    this.onOutput = options.onOutput;
    this.#state = new DeviceState(STATE, options.stateBuffer);
    const chipPorts = (start: number, chip: number): IoRange => ({
      start,
      byteCount: 2,
      widestBytes: 1,
      read: (offset) => this.#read(chip, offset),
      write: (offset, _, value) => this.#write(chip, offset, value),
    });
    this.ports = [
      chipPorts(0x20, MASTER),
      chipPorts(0xa0, SLAVE),
      {
        start: 0x4d0,
        byteCount: 2,
        widestBytes: 1,
        read: (offset) => this.#state.view.elcr[offset],
        write: (offset, _, value) => {
          this.#state.view.elcr[offset] = value & ELCR_WRITABLE[offset];
          this.#update();
        },
      },
    ];
    this.reset();
  }

  /** Lines are inputs: they keep their levels. */
  reset(): void {
    const s = this.#state.view;
    const lines = s.lines.slice();
    this.#state.clear();
    s.lines.set(lines);
    s.imr.fill(0xff);
    s.lowestPriority.fill(7);
    this.onOutput?.(false);
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
    this.onOutput?.(this.output);
  }

  get output(): boolean {
    return this.#state.view.output !== 0;
  }

  setLine(irq: number, level: boolean): void {
    const s = this.#state.view;
    const chip = irq >> 3;
    const bit = 1 << (irq & 7);
    if (irq === 2) return;
    if (level && (s.lines[chip] & bit) === 0 && (s.elcr[chip] & bit) === 0) s.irr[chip] |= bit;
    if (level) s.lines[chip] |= bit;
    else s.lines[chip] &= ~bit;
    this.#update();
  }

  /** Requests: latched edges, level lines, and for the master the slave's output. */
  #requests(chip: number): number {
    const s = this.#state.view;
    const own = (s.irr[chip] & ~s.elcr[chip]) | (s.lines[chip] & s.elcr[chip]);
    return chip === MASTER && this.#candidate(SLAVE) >= 0 ? own | CASCADE : own;
  }

  /** Of a set of inputs the one that goes first, as distance from the highest priority; 8: none. */
  #priority(chip: number, inputs: number): number {
    const first = this.#state.view.lowestPriority[chip] + 1;
    for (let distance = 0; distance < 8; distance++) if ((inputs & (1 << ((first + distance) & 7))) !== 0) return distance;
    return 8;
  }

  /** The input that asks for service now, or -1. */
  #candidate(chip: number): number {
    const s = this.#state.view;
    let inService = s.isr[chip];
    let inputs = this.#requests(chip) & ~s.imr[chip];
    // Special fully nested mode: a slave in service does not block its own higher inputs.
    if (chip === MASTER && s.fullyNested[chip] !== 0) inService &= ~CASCADE;
    // Special mask mode: everything but the inputs in service themselves may interrupt.
    if (s.specialMask[chip] !== 0) {
      inputs &= ~inService;
      inService = 0;
    }
    const wanted = this.#priority(chip, inputs);
    return wanted < this.#priority(chip, inService) ? (s.lowestPriority[chip] + 1 + wanted) & 7 : -1;
  }

  #update(): void {
    const level = this.#candidate(MASTER) >= 0;
    if (level === this.output) return;
    this.#state.view.output = level ? 1 : 0;
    this.onOutput?.(level);
  }

  #take(chip: number, input: number): void {
    const s = this.#state.view;
    const bit = 1 << input;
    s.irr[chip] &= ~bit;
    if (s.autoEoi[chip] === 0) s.isr[chip] |= bit;
    else if (s.rotateOnAutoEoi[chip] !== 0) s.lowestPriority[chip] = input;
  }

  /** INTA cycle: the vector. An interrupt that went away gives the spurious input 7, which sets no in-service bit. */
  acknowledge(): number {
    const s = this.#state.view;
    let vector = s.vectorBase[MASTER] + SPURIOUS;
    const input = this.#candidate(MASTER);
    if (input >= 0) {
      vector = s.vectorBase[MASTER] + input;
      if (1 << input === CASCADE && s.single[MASTER] === 0) {
        const slaveInput = this.#candidate(SLAVE);
        vector = s.vectorBase[SLAVE] + (slaveInput < 0 ? SPURIOUS : slaveInput);
        this.#take(MASTER, input);
        if (slaveInput >= 0) this.#take(SLAVE, slaveInput);
      } else {
        this.#take(MASTER, input);
      }
    }
    this.#update();
    return vector;
  }

  #read(chip: number, offset: number): number {
    const s = this.#state.view;
    if (s.poll[chip] !== 0) {
      s.poll[chip] = 0;
      const input = this.#candidate(chip);
      if (input < 0) return 0;
      this.#take(chip, input);
      this.#update();
      return 0x80 | input;
    }
    if (offset === 1) return s.imr[chip];
    return s.readIsr[chip] !== 0 ? s.isr[chip] : this.#requests(chip);
  }

  #write(chip: number, offset: number, value: number): void {
    const s = this.#state.view;
    if (offset === 1) this.#writeData(chip, value);
    else if ((value & 0x10) !== 0) this.#startInitialisation(chip, value);
    else if ((value & 0x08) === 0) this.#endOfInterrupt(chip, value >> 5, value & 7);
    else {
      // OCW3
      if ((value & 4) !== 0) s.poll[chip] = 1;
      if ((value & 2) !== 0) s.readIsr[chip] = value & 1;
      if ((value & 0x40) !== 0) s.specialMask[chip] = (value >> 5) & 1;
    }
    this.#update();
  }

  #startInitialisation(chip: number, icw1: number): void {
    const s = this.#state.view;
    s.irr[chip] = s.imr[chip] = s.isr[chip] = 0;
    s.readIsr[chip] = s.poll[chip] = s.specialMask[chip] = s.autoEoi[chip] = s.rotateOnAutoEoi[chip] = s.fullyNested[chip] = 0;
    s.lowestPriority[chip] = 7;
    s.needsIcw4[chip] = icw1 & 1;
    s.single[chip] = (icw1 >> 1) & 1;
    s.expect[chip] = EXPECT.icw2;
  }

  #writeData(chip: number, value: number): void {
    const s = this.#state.view;
    const afterIcw3 = s.needsIcw4[chip] !== 0 ? EXPECT.icw4 : EXPECT.nothing;
    switch (s.expect[chip]) {
      case EXPECT.icw2:
        s.vectorBase[chip] = value & 0xf8;
        s.expect[chip] = s.single[chip] !== 0 ? afterIcw3 : EXPECT.icw3;
        return;
      case EXPECT.icw3:
        s.expect[chip] = afterIcw3;
        return;
      case EXPECT.icw4:
        s.autoEoi[chip] = (value >> 1) & 1;
        s.fullyNested[chip] = (value >> 4) & 1;
        s.expect[chip] = EXPECT.nothing;
        return;
      default:
        s.imr[chip] = value;
    }
  }

  /** OCW2: bits of `command` are rotate (4), specific (2), EOI (1). */
  #endOfInterrupt(chip: number, command: number, level: number): void {
    const s = this.#state.view;
    if (command === 0 || command === 4) {
      s.rotateOnAutoEoi[chip] = command >> 2;
      return;
    }
    if (command === 2) return;
    let input = level;
    if ((command & 2) === 0) {
      const distance = this.#priority(chip, s.isr[chip]);
      if (distance === 8) return;
      input = (s.lowestPriority[chip] + 1 + distance) & 7;
    }
    if ((command & 1) !== 0) s.isr[chip] &= ~(1 << input);
    if ((command & 4) !== 0) s.lowestPriority[chip] = input;
  }
}
