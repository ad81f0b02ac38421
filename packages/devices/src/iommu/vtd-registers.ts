// Registers of the remapping hardware (Intel VT-d specification, order number D51397, chapter 11), kept as 32-bit words by offset, beside what the
// set-pointer commands latched.

import { struct } from '@anillo/base/struct';
import { DeviceState } from '../device-state.ts';

/** Offsets. Of 64-bit registers the low word's. */
export const VTD = {
  version: 0x00,
  capability: 0x08,
  extendedCapability: 0x10,
  globalCommand: 0x18,
  globalStatus: 0x1c,
  rootTable: 0x20,
  contextCommand: 0x28,
  faultStatus: 0x34,
  faultEvent: 0x38,
  queueHead: 0x80,
  queueTail: 0x88,
  queueAddress: 0x90,
  completionStatus: 0x9c,
  completionEvent: 0xa0,
  interruptTable: 0xb8,
  invalidateAddress: 0xf0,
  iotlbInvalidate: 0xf8,
  faultRecord: 0x220,
  end: 0x2a0,
} as const;

/** Bits of the global command register; each has its place in the status register too (11.4.4). */
export const GLOBAL = {
  translation: 0x80000000,
  setRootTable: 0x40000000,
  writeBufferFlush: 0x08000000,
  queuedInvalidation: 0x04000000,
  interruptRemapping: 0x02000000,
  setInterruptTable: 0x01000000,
  compatibilityInterrupts: 0x00800000,
} as const;

export const FAULT_STATUS = { overflow: 1 << 0, pending: 1 << 1, queueError: 1 << 4, indexShift: 8 } as const;
export const FAULT_RECORDS = 8;
/** Interrupt remapping table register: destinations have 32 bits. */
export const EXTENDED_INTERRUPTS = 1 << 11;

const STATE = struct({
  words: ['u32', VTD.end / 4],
  rootTable: ['u32', 2],
  interruptTable: ['u32', 2],
  nextRecord: 'u32',
});

export class VtdRegisters {
  readonly state = new DeviceState(STATE);

  /** Word at a multiple of four. */
  word(at: number): number {
    return this.state.view.words[at >> 2] ?? 0;
  }

  setWord(at: number, value: number): void {
    this.state.view.words[at >> 2] = value;
  }

  setBits(at: number, bits: number): void {
    this.state.view.words[at >> 2] |= bits;
  }

  clearBits(at: number, bits: number): void {
    this.state.view.words[at >> 2] &= ~bits;
  }

  hasStatus(bit: number): boolean {
    return (this.word(VTD.globalStatus) & bit) !== 0;
  }

  /** Address in a 64-bit register, without its low twelve bits. */
  page(at: number): number {
    return this.word(at + 4) * 2 ** 32 + ((this.word(at) & ~0xfff) >>> 0);
  }

  /** Where the root table is, since the last set-pointer command. */
  get rootTable(): number {
    const [low, high] = this.state.view.rootTable;
    return high * 2 ** 32 + ((low & ~0xfff) >>> 0);
  }

  get interruptTable(): { readonly address: number; readonly entryCount: number; readonly isExtended: boolean } {
    const [low, high] = this.state.view.interruptTable;
    return {
      address: high * 2 ** 32 + ((low & ~0xfff) >>> 0),
      entryCount: 2 ** ((low & 0xf) + 1),
      isExtended: (low & EXTENDED_INTERRUPTS) !== 0,
    };
  }
}
