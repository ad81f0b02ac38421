// Message signalled interrupts of a PCI function (PCI Local Bus 3.0, 6.8.1): 64-bit addresses, no masking of single vectors. The registers are the state.

import type { ConfigSpace } from './config-space.ts';

const ID = 0x05;
const BYTES = 14;
const AT = { control: 2, addressLow: 4, addressHigh: 8, data: 12 } as const;
const CONTROL = { enable: 1 << 0, wanted: 1, given: 4, givenMask: 7 << 4, is64: 1 << 7 } as const;

export interface InterruptMessage {
  readonly address: number;
  readonly data: number;
}

export class MsiCapability {
  readonly #config: ConfigSpace;
  readonly #at: number;
  readonly #log2Vectors: number;

  /** `vectorCount` is a power of two up to 32. */
  constructor(config: ConfigSpace, vectorCount: number) {
    this.#config = config;
    this.#log2Vectors = Math.log2(vectorCount);
    this.#at = config.addCapability(ID, BYTES);
    config.define(this.#at + AT.control, CONTROL.is64 | (this.#log2Vectors << CONTROL.wanted), 2);
    config.allow(this.#at + AT.control, CONTROL.enable | CONTROL.givenMask, 2);
    config.allow(this.#at + AT.addressLow, ~3, 4);
    config.allow(this.#at + AT.addressHigh, -1, 4);
    config.allow(this.#at + AT.data, 0xffff, 2);
  }

  get isEnabled(): boolean {
    return (this.#config.readConfig(this.#at + AT.control, 2) & CONTROL.enable) !== 0;
  }

  /** What to write for that vector. A function that was given fewer vectors than it wanted shares them. */
  message(vector: number): InterruptMessage {
    const get = (at: number, byteCount: 2 | 4): number => this.#config.readConfig(this.#at + at, byteCount);
    const given = Math.min((get(AT.control, 2) & CONTROL.givenMask) >> CONTROL.given, this.#log2Vectors);
    const mask = (1 << given) - 1;
    return { address: get(AT.addressHigh, 4) * 2 ** 32 + get(AT.addressLow, 4), data: (get(AT.data, 2) & ~mask) | (vector & mask) };
  }
}
