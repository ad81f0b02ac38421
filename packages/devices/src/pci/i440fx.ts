// Host bridge at 0:0.0 that calls itself an Intel 82441FX: firmware and kernels know it. Its PAM and SMRAM registers are stored only;
// 0xc0000..0xfffff is what the board makes it.

import type { Device } from '../device.ts';
import { COMMAND, CONFIG } from './config-space.ts';
import type { PciBus } from './pci-bus.ts';
import { PciFunction } from './pci-function.ts';

const IDENTITY = { vendor: 0x8086, device: 0x1237, revision: 2, classCode: 0x060000 } as const;
const PAM = { at: 0x59, count: 7 } as const;
const SMRAM = { at: 0x72, writable: 0x7f, powerOn: 0x02 } as const;

export class I440fx implements Device {
  readonly name = 'i440fx';
  readonly #fn = new PciFunction({ identity: IDENTITY });

  constructor(bus: PciBus) {
    const { config } = this.#fn;
    config.define(CONFIG.command, COMMAND.memory | COMMAND.master, 2);
    for (let i = 0; i < PAM.count; i++) config.allow(PAM.at + i, i === 0 ? 0xf0 : 0xff, 1);
    config.allow(SMRAM.at, SMRAM.writable, 1);
    config.define(SMRAM.at, SMRAM.powerOn, 1);
    bus.attach(this.#fn, 0);
  }

  reset(): void {
    this.#fn.reset();
  }

  save(): Uint8Array {
    return this.#fn.save();
  }

  restore(state: Uint8Array): void {
    this.#fn.restore(state);
  }
}
