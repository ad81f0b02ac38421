// MSI-X of a PCI function (PCI Local Bus 3.0, 6.8.2): a table of messages and the bits of those that wait while masked, in a window of the function.

import { struct } from '@anillo/base/struct';
import type { AccessBytes } from '../device.ts';
import { DeviceState } from '../device-state.ts';
import type { ConfigSpace } from './config-space.ts';
import type { InterruptMessage } from './msi-capability.ts';

const ID = 0x11;
const BYTES = 12;
const AT = { control: 2, table: 4, pending: 8 } as const;
const CONTROL = { masked: 1 << 14, enable: 1 << 15 } as const;
export const MSIX_VECTORS_MAX = 128;
export const MSIX_WINDOW_BYTES = 4096;
const PENDING_OFFSET = 0x800;
const ENTRY_WORDS = 4;
const WORD = { addressLow: 0, addressHigh: 1, data: 2, control: 3 } as const;
const ENTRY_MASKED = 1;

const STATE = struct({ table: ['u32', MSIX_VECTORS_MAX * ENTRY_WORDS], pending: ['u32', MSIX_VECTORS_MAX / 32] });

export class MsixCapability {
  /** A vector that waited may go now. */
  onUnmasked: ((vector: number) => void) | undefined = undefined;
  readonly #config: ConfigSpace;
  readonly #at: number;
  readonly #vectorCount: number;
  readonly #state = new DeviceState(STATE);

  /** `vectorCount` is 1 to 128; `bar` is the index of the window that `read` and `write` serve. */
  constructor(config: ConfigSpace, vectorCount: number, bar: number) {
    this.#config = config;
    this.#vectorCount = vectorCount;
    this.#at = config.addCapability(ID, BYTES);
    config.define(this.#at + AT.control, vectorCount - 1, 2);
    config.define(this.#at + AT.table, bar, 4);
    config.define(this.#at + AT.pending, PENDING_OFFSET | bar, 4);
    config.allow(this.#at + AT.control, CONTROL.masked | CONTROL.enable, 2);
    this.reset();
  }

  reset(): void {
    this.#state.clear();
    const { table } = this.#state.view;
    for (let at: number = WORD.control; at < table.length; at += ENTRY_WORDS) table[at] = ENTRY_MASKED;
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }

  get #control(): number {
    return this.#config.readConfig(this.#at + AT.control, 2);
  }

  get isEnabled(): boolean {
    return (this.#control & CONTROL.enable) !== 0;
  }

  /** What to write for that vector; undefined: it is masked and waits. */
  message(vector: number): InterruptMessage | undefined {
    const { table, pending } = this.#state.view;
    if (vector < 0 || vector >= this.#vectorCount) return undefined;
    const at = vector * ENTRY_WORDS;
    if ((this.#control & CONTROL.masked) !== 0 || (table[at + WORD.control] & ENTRY_MASKED) !== 0) {
      pending[vector >> 5] |= 1 << (vector & 31);
      return undefined;
    }
    pending[vector >> 5] &= ~(1 << (vector & 31));
    return { address: table[at + WORD.addressHigh] * 2 ** 32 + table[at + WORD.addressLow], data: table[at + WORD.data] };
  }

  /** Sends what waited; after a write to the table or the control register. */
  service(): void {
    const { table, pending } = this.#state.view;
    if ((this.#control & (CONTROL.enable | CONTROL.masked)) !== CONTROL.enable) return;
    for (let vector = 0; vector < this.#vectorCount; vector++) {
      const waits = (pending[vector >> 5] & (1 << (vector & 31))) !== 0;
      if (waits && (table[vector * ENTRY_WORDS + WORD.control] & ENTRY_MASKED) === 0) this.onUnmasked?.(vector);
    }
  }

  read(offset: number, byteCount: AccessBytes): number {
    const { table, pending } = this.#state.view;
    const word = offset >> 2;
    const isTable = word < this.#vectorCount * ENTRY_WORDS;
    const value = isTable ? table[word] : offset < PENDING_OFFSET ? 0 : (pending[(offset - PENDING_OFFSET) >> 2] ?? 0);
    return (value >>> ((offset & 3) * 8)) & (byteCount === 4 ? -1 : (1 << (byteCount * 8)) - 1);
  }

  /** Software writes whole words; narrower writes are dropped. */
  write(offset: number, byteCount: AccessBytes, value: number): void {
    const word = offset >> 2;
    if (byteCount !== 4 || (offset & 3) !== 0 || word >= this.#vectorCount * ENTRY_WORDS) return;
    const kind = word % ENTRY_WORDS;
    this.#state.view.table[word] = kind === WORD.control ? value & ENTRY_MASKED : kind === WORD.addressLow ? value & ~3 : value;
    this.service();
  }
}
