// PCI configuration mechanism #1 (PCI Local Bus 3.0, 3.2.2.3.2; ports 0xcf8 and 0xcfc) with bus 0 and the host bridge at 0:0.0, which calls itself an
// Intel 82441FX: firmware and kernels know it. Its PAM and SMRAM registers are stored only; 0xc0000..0xfffff is what the board makes it.

import { struct } from '@anillo/base/struct';
import type { AccessBytes, Device, IoRange } from '../device.ts';
import { DeviceState } from '../device-state.ts';
import { ConfigSpace, type PciFunction } from './config-space.ts';

const ENABLE = 0x80000000;
const IDENTITY = { vendor: 0x8086, device: 0x1237, revision: 2, classCode: 0x060000 } as const;
const COMMAND = 0x04;
const COMMAND_AFTER_RESET = 0x0006;
const PAM0 = 0x59;
const PAM_COUNT = 7;
const SMRAM = 0x72;

const STATE = struct({ address: 'u32' });

export interface HostBridgeOptions {
  readonly stateBuffer?: ArrayBufferLike;
}

export class HostBridge implements Device {
  readonly name = 'pci-host-bridge';
  readonly ports: readonly IoRange[];
  readonly #state: DeviceState<(typeof STATE)['spec']>;
  readonly #own = new ConfigSpace(IDENTITY);
  /** By device << 3 | function. */
  readonly #functions: (PciFunction | undefined)[] = new Array(256).fill(undefined);

  constructor(options: HostBridgeOptions = {}) {
    this.#state = new DeviceState(STATE, options.stateBuffer);
    for (let i = 0; i < PAM_COUNT; i++) this.#own.allow(PAM0 + i, i === 0 ? 0xf0 : 0xff, 1);
    this.#own.allow(SMRAM, 0x7f, 1);
    this.#functions[0] = this.#own;
    this.ports = [
      {
        start: 0xcf8,
        byteCount: 8,
        read: (offset, byteCount) => this.#read(offset, byteCount),
        write: (offset, byteCount, value) => this.#write(offset, byteCount, value),
      },
    ];
    this.reset();
  }

  /** Puts a function on bus 0. */
  attach(device: number, fn: number, pciFunction: PciFunction): void {
    this.#functions[(device << 3) | fn] = pciFunction;
  }

  reset(): void {
    this.#state.clear();
    this.#own.reset();
    this.#own.set(COMMAND, COMMAND_AFTER_RESET, 2);
    this.#own.set(SMRAM, 0x02, 1);
  }

  /** Address register, then the bridge's configuration space. */
  save(): Uint8Array {
    const address = this.#state.save();
    const own = this.#own.save();
    const bytes = new Uint8Array(address.length + own.length);
    bytes.set(address);
    bytes.set(own, address.length);
    return bytes;
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state.subarray(0, STATE.bytes));
    this.#own.restore(state.subarray(STATE.bytes));
  }

  /** The function that the address register names. */
  #target(): PciFunction | undefined {
    const { address } = this.#state.view;
    if ((address & ENABLE) === 0 || ((address >>> 16) & 0xff) !== 0) return undefined;
    return this.#functions[(address >>> 8) & 0xff];
  }

  #read(offset: number, byteCount: AccessBytes): number {
    const { address } = this.#state.view;
    if (offset < 4) return offset === 0 && byteCount === 4 ? address : 0xffffffff;
    return this.#target()?.readConfig((address & 0xfc) | (offset - 4), byteCount) ?? 0xffffffff;
  }

  #write(offset: number, byteCount: AccessBytes, value: number): void {
    const { address } = this.#state.view;
    if (offset >= 4) this.#target()?.writeConfig((address & 0xfc) | (offset - 4), byteCount, value);
    else if (offset === 0 && byteCount === 4) this.#state.view.address = value & 0x80fffffc;
  }
}
