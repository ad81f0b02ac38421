// PCI configuration mechanism #1 (PCI Local Bus 3.0, 3.2.2.3.2): ports 0xcf8 (address, a dword only) and 0xcfc (data). And the decoding of mechanism
// ECAM (PCI Express 3.0, 7.2.2), by which a host bridge puts each function's configuration into memory: 4 KiB a function, 1 MiB a bus.
// Departure: the address's two low bits are kept and ORed into the register's offset, as QEMU does and some of its guests rely on.

import { struct } from '@anillo/base/struct';
import type { AccessBytes, Device, IoRange } from '../device.ts';
import { DeviceState } from '../device-state.ts';
import type { RootBus } from './root-bus.ts';

const ENABLE = 0x80000000;
const ONES = 0xffffffff;
const ECAM_FUNCTION_SHIFT = 12;

const STATE = struct({ address: 'u32' });

export class ConfigMechanism implements Device {
  readonly name = 'pci-config';
  readonly ports: readonly IoRange[];
  readonly #bus: RootBus;
  readonly #state = new DeviceState(STATE);

  constructor(bus: RootBus) {
    this.#bus = bus;
    this.ports = [
      {
        start: 0xcf8,
        byteCount: 8,
        read: (offset, byteCount) => this.#read(offset, byteCount),
        write: (offset, byteCount, value) => this.#write(offset, byteCount, value),
      },
    ];
  }

  reset(): void {
    this.#state.clear();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }

  /** The function that the address register names, with its bus; or -1. */
  get #target(): number {
    const { address } = this.#state.view;
    return (address & ENABLE) === 0 ? -1 : (address >>> 8) & 0xffff;
  }

  #read(offset: number, byteCount: AccessBytes): number {
    const { address } = this.#state.view;
    if (offset < 4) return offset === 0 && byteCount === 4 ? address : ONES;
    return this.#target < 0 ? ONES : this.#bus.readConfigAt(this.#target, (address & 0xff) | (offset - 4), byteCount);
  }

  #write(offset: number, byteCount: AccessBytes, value: number): void {
    const { address } = this.#state.view;
    if (offset >= 4 && this.#target >= 0) this.#bus.writeConfigAt(this.#target, (address & 0xff) | (offset - 4), byteCount, value);
    else if (offset === 0 && byteCount === 4) this.#state.view.address = value & 0x80ffffff;
  }
}

/** A window for mechanism ECAM. */
export const ecamRange = (bus: RootBus, start: number, byteCount: number): IoRange => ({
  start,
  byteCount,
  underlay: true,
  read: (offset, count) => bus.readConfigAt(offset >>> ECAM_FUNCTION_SHIFT, offset & 0xfff, count),
  write: (offset, count, value) => bus.writeConfigAt(offset >>> ECAM_FUNCTION_SHIFT, offset & 0xfff, count, value),
});
