// Interrupt inputs PIRQA.. of a south bridge: each goes to the ISA interrupt that its routing register names (PIIX3, 290550, 4.1.10; ICH9, 316972,
// 13.1.19), and where the bridge has such, to an I/O APIC input of its own as well. Inputs that share one are ORed.

import type { IrqLine } from '../device.ts';

/** Bit 7 of a routing register: nowhere. */
export const ROUTE_OFF = 0x80;
const ROUTE = 0x0f;
/** ISA interrupts that a routing register may name; the others are the board's own. */
const ROUTABLE = 0b1101_1110_1111_1000;

export interface PirqRouterOptions {
  readonly irq: (gsi: number) => IrqLine;
  /** Routing register of an input. */
  readonly route: (input: number) => number;
  readonly inputCount: number;
  /** Interrupt of PIRQA at the I/O APIC, the others after it; undefined: there are none. */
  readonly firstOwnGsi?: number;
}

export class PirqRouter {
  readonly #options: PirqRouterOptions;
  readonly #lines = new Map<number, IrqLine>();
  #levels = 0;
  /** Interrupts that are asserted now, by GSI. */
  #driven = 0;

  constructor(options: PirqRouterOptions) {
    this.#options = options;
    const { firstOwnGsi, inputCount } = options;
    for (let gsi = 0; gsi < 16; gsi++) if ((ROUTABLE & (1 << gsi)) !== 0) this.#lines.set(gsi, options.irq(gsi));
    if (firstOwnGsi === undefined) return;
    for (let input = 0; input < inputCount; input++) this.#lines.set(firstOwnGsi + input, options.irq(firstOwnGsi + input));
  }

  /** Levels of the inputs, or the routing registers, changed. */
  update(levels = this.#levels): void {
    const { inputCount, route, firstOwnGsi } = this.#options;
    this.#levels = levels;
    let wanted = 0;
    for (let input = 0; input < inputCount; input++) {
      if ((levels & (1 << input)) === 0) continue;
      const register = route(input);
      if ((register & ROUTE_OFF) === 0) wanted |= 1 << (register & ROUTE);
      if (firstOwnGsi !== undefined) wanted |= 1 << (firstOwnGsi + input);
    }
    const changed = wanted ^ this.#driven;
    this.#driven = wanted;
    for (const [gsi, line] of this.#lines) {
      if ((changed & (1 << gsi)) === 0) continue;
      if ((wanted & (1 << gsi)) !== 0) line.raise();
      else line.lower();
    }
  }
}
