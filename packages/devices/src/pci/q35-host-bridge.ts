// Memory controller hub at 0:0.0 that calls itself an Intel 82Q35 (order number 316966): its PCIEXBAR (5.1.16) puts configuration into memory (ECAM).
// PAM and SMRAM registers are stored only, as in i440fx.ts.

import type { Device, IoRange } from '../device.ts';
import { COMMAND, CONFIG } from './config-space.ts';
import { ecamRange } from './config-mechanism.ts';
import { PciFunction } from './pci-function.ts';
import type { RootBus } from './root-bus.ts';

const IDENTITY = { vendor: 0x8086, device: 0x29c0, revision: 0, classCode: 0x060000 } as const;
export const PCIEXBAR = { at: 0x60, enable: 1, lengthShift: 1, writableLow: 0xf0000007, writableHigh: 0xf } as const;
const PAM = { at: 0x90, count: 7 } as const;
const SMRAM = { at: 0x9d, writable: 0x7f, powerOn: 0x02 } as const;
const MIB = 2 ** 20;
/** By the register's length field; the last is reserved. */
const ECAM_BYTES = [256 * MIB, 128 * MIB, 64 * MIB, 0] as const;

export interface EcamPlace {
  readonly start: number;
  readonly byteCount: number;
}

export class Q35HostBridge implements Device {
  readonly name = 'q35-host-bridge';
  readonly #bus: RootBus;
  readonly #onEcam: (place: EcamPlace | undefined) => void;
  readonly #fn = new PciFunction({ identity: IDENTITY });
  #ecam: IoRange | undefined;

  /** `onEcam`: configuration in memory moved there, or is gone. */
  constructor(bus: RootBus, onEcam: (place: EcamPlace | undefined) => void) {
    this.#bus = bus;
    this.#onEcam = onEcam;
    const { config } = this.#fn;
    config.define(CONFIG.command, COMMAND.memory | COMMAND.master, 2);
    config.allow(PCIEXBAR.at, PCIEXBAR.writableLow, 4);
    config.allow(PCIEXBAR.at + 4, PCIEXBAR.writableHigh, 4);
    for (let i = 0; i < PAM.count; i++) config.allow(PAM.at + i, i === 0 ? 0xf0 : 0xff, 1);
    config.allow(SMRAM.at, SMRAM.writable, 1);
    config.define(SMRAM.at, SMRAM.powerOn, 1);
    this.#fn.onConfigWrite = () => this.#place();
    bus.attach(this.#fn, 0);
  }

  reset(): void {
    this.#fn.reset();
    this.#place();
  }

  save(): Uint8Array {
    return this.#fn.save();
  }

  restore(state: Uint8Array): void {
    this.#fn.restore(state);
    this.#place();
  }

  #place(): void {
    const low = this.#fn.readConfig(PCIEXBAR.at, 4);
    const byteCount = (low & PCIEXBAR.enable) === 0 ? 0 : ECAM_BYTES[(low >> PCIEXBAR.lengthShift) & 3];
    const high = this.#fn.readConfig(PCIEXBAR.at + 4, 4);
    // Bits below the window's size do not count.
    const start = high * 2 ** 32 + (byteCount === 0 ? 0 : Math.floor(low / byteCount) * byteCount);
    const isPlaced = byteCount !== 0 && start !== 0;
    if (isPlaced ? this.#ecam?.start === start && this.#ecam.byteCount === byteCount : this.#ecam === undefined) return;
    if (this.#ecam !== undefined) this.#bus.mmio.remove(this.#ecam);
    this.#ecam = isPlaced ? ecamRange(this.#bus, start, byteCount) : undefined;
    if (this.#ecam !== undefined) this.#bus.mmio.add(this.#ecam);
    this.#onEcam(this.#ecam);
  }
}
