// Configuration space of a PCI function (PCI Local Bus 3.0, 6.1): 256 bytes with the header of type 0, its power-on values, and masks of the bits that
// a guest may write or clear by writing ones. Capabilities are a list of blocks from 0x40 on (6.7).

import { struct } from '@anillo/base/struct';
import type { AccessBytes } from '../device.ts';
import { DeviceState } from '../device-state.ts';

export const CONFIG_SPACE = struct({
  vendor: 'u16',
  device: 'u16',
  command: 'u16',
  status: 'u16',
  revision: 'u8',
  interface: 'u8',
  subclass: 'u8',
  baseClass: 'u8',
  cacheLine: 'u8',
  latency: 'u8',
  headerType: 'u8',
  selfTest: 'u8',
  bar: ['u32', 6],
  cardbus: 'u32',
  subsystemVendor: 'u16',
  subsystem: 'u16',
  expansionRom: 'u32',
  capabilities: 'u8',
  reserved: ['u8', 7],
  interruptLine: 'u8',
  interruptPin: 'u8',
  minimumGrant: 'u8',
  maximumLatency: 'u8',
  specific: ['u8', 192],
});
/** Offsets of the header's registers. */
export const CONFIG = CONFIG_SPACE.offset;
export const CONFIG_BYTES = CONFIG_SPACE.bytes;

export const COMMAND = { io: 1 << 0, memory: 1 << 1, master: 1 << 2, interruptDisable: 1 << 10 } as const;
export const STATUS = { interrupt: 1 << 3, capabilities: 1 << 4, mediumDevsel: 1 << 9, masterAbort: 1 << 13 } as const;
export const MULTIPLE_FUNCTIONS = 0x80;

/** What configuration mechanisms need of a function; accesses begin within its 256 bytes. */
export interface ConfigTarget {
  readConfig(offset: number, byteCount: AccessBytes): number;
  writeConfig(offset: number, byteCount: AccessBytes, value: number): void;
}

export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly revision: number;
  /** Base class, subclass and interface: 0xCCSSII. */
  readonly classCode: number;
  readonly subsystemVendor?: number;
  readonly subsystem?: number;
}

export class ConfigSpace implements ConfigTarget {
  /** The header's registers, live. */
  readonly header: DeviceState<(typeof CONFIG_SPACE)['spec']>['view'];
  readonly #state: DeviceState<(typeof CONFIG_SPACE)['spec']>;
  readonly #bytes: Uint8Array;
  readonly #powerOn = new Uint8Array(CONFIG_BYTES);
  readonly #writable = new Uint8Array(CONFIG_BYTES);
  readonly #forbidden = new Uint8Array(CONFIG_BYTES);
  readonly #clearable = new Uint8Array(CONFIG_BYTES);
  #capabilityEnd = CONFIG.specific;
  #lastCapabilityLink: number = CONFIG.capabilities;

  constructor(identity: PciIdentity, buffer: ArrayBufferLike = new ArrayBuffer(CONFIG_BYTES)) {
    this.#state = new DeviceState(CONFIG_SPACE, buffer);
    this.#bytes = new Uint8Array(buffer, 0, CONFIG_BYTES);
    this.header = this.#state.view;
    this.define(CONFIG.vendor, identity.vendor, 2);
    this.define(CONFIG.device, identity.device, 2);
    this.define(CONFIG.revision, identity.revision | (identity.classCode << 8), 4);
    this.define(CONFIG.subsystemVendor, identity.subsystemVendor ?? 0, 2);
    this.define(CONFIG.subsystem, identity.subsystem ?? 0, 2);
  }

  /** Sets what a register holds after power-on, and now. */
  define(offset: number, value: number, byteCount: AccessBytes): void {
    for (let i = 0; i < byteCount; i++) this.#powerOn[offset + i] = this.#bytes[offset + i] = value >>> (i * 8);
  }

  /** Sets what a register holds now, until the function is reset. */
  put(offset: number, value: number, byteCount: AccessBytes): void {
    for (let i = 0; i < byteCount; i++) this.#bytes[offset + i] = value >>> (i * 8);
  }

  /** Lets the guest write `mask` at `offset`. */
  allow(offset: number, mask: number, byteCount: AccessBytes): void {
    for (let i = 0; i < byteCount; i++) this.#writable[offset + i] |= mask >>> (i * 8);
  }

  /** Keeps `mask` at `offset` as it is, until the function is reset. */
  forbid(offset: number, mask: number, byteCount: AccessBytes): void {
    for (let i = 0; i < byteCount; i++) this.#forbidden[offset + i] |= mask >>> (i * 8);
  }

  /** Lets the guest clear the bits of `mask` at `offset` by writing ones. */
  allowClear(offset: number, mask: number, byteCount: AccessBytes): void {
    for (let i = 0; i < byteCount; i++) this.#clearable[offset + i] |= mask >>> (i * 8);
  }

  /** Appends a capability of that id and size (its two bytes of head counted); returns where it is. */
  addCapability(id: number, byteCount: number): number {
    const at = this.#capabilityEnd;
    this.#capabilityEnd = (at + byteCount + 3) & ~3;
    this.define(at, id, 2);
    this.define(this.#lastCapabilityLink, at, 1);
    this.define(CONFIG.status, this.header.status | STATUS.capabilities, 2);
    this.#lastCapabilityLink = at + 1;
    return at;
  }

  reset(): void {
    this.#bytes.set(this.#powerOn);
    this.#forbidden.fill(0);
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }

  readConfig(offset: number, byteCount: AccessBytes): number {
    let value = 0;
    for (let i = byteCount - 1; i >= 0; i--) value = (value << 8) | this.#bytes[(offset + i) & 255];
    return value >>> 0;
  }

  writeConfig(offset: number, byteCount: AccessBytes, value: number): void {
    for (let i = 0; i < byteCount; i++) {
      const at = (offset + i) & 255;
      const byte = (value >>> (i * 8)) & 0xff;
      const mask = this.#writable[at] & ~this.#forbidden[at];
      this.#bytes[at] = (this.#bytes[at] & ~mask & ~(byte & this.#clearable[at])) | (byte & mask);
    }
  }
}
