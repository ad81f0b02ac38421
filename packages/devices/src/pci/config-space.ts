// Configuration space of a PCI function (PCI Local Bus 3.0, 6.1): 256 bytes, with a mask of the bits that a guest may write.

import { struct } from '@anillo/base/struct';
import type { AccessBytes } from '../device.ts';
import { DeviceState } from '../device-state.ts';

const STATE = struct({ bytes: ['u8', 256] });

/** What a bus needs of a function; accesses lie within one aligned dword. */
export interface PciFunction {
  readConfig(offset: number, byteCount: AccessBytes): number;
  writeConfig(offset: number, byteCount: AccessBytes, value: number): void;
}

export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly revision: number;
  /** Base class, subclass and interface: 0xCCSSII. */
  readonly classCode: number;
}

export class ConfigSpace implements PciFunction {
  readonly #state: DeviceState<(typeof STATE)['spec']>;
  readonly #identity: PciIdentity;
  readonly #writable = new Uint8Array(256);

  constructor(identity: PciIdentity, stateBuffer?: ArrayBufferLike) {
    this.#identity = identity;
    this.#state = new DeviceState(STATE, stateBuffer);
    this.reset();
  }

  /** Lets the guest write `mask` at `offset`. */
  allow(offset: number, mask: number, byteCount: AccessBytes): void {
    for (let i = 0; i < byteCount; i++) this.#writable[offset + i] |= mask >>> (i * 8);
  }

  /** Sets a register from the device's side. */
  set(offset: number, value: number, byteCount: AccessBytes): void {
    for (let i = 0; i < byteCount; i++) this.#state.view.bytes[offset + i] = value >>> (i * 8);
  }

  reset(): void {
    const { vendor, device, revision, classCode } = this.#identity;
    this.#state.clear();
    this.set(0, vendor, 2);
    this.set(2, device, 2);
    this.set(8, revision | (classCode << 8), 4);
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }

  readConfig(offset: number, byteCount: AccessBytes): number {
    let value = 0;
    for (let i = byteCount - 1; i >= 0; i--) value = (value << 8) | this.#state.view.bytes[(offset + i) & 255];
    return value >>> 0;
  }

  writeConfig(offset: number, byteCount: AccessBytes, value: number): void {
    const { bytes } = this.#state.view;
    for (let i = 0; i < byteCount; i++) {
      const at = (offset + i) & 255;
      const mask = this.#writable[at];
      bytes[at] = (bytes[at] & ~mask) | ((value >>> (i * 8)) & mask);
    }
  }
}
