// Registers of the local APIC (SDM 3A table 12-1, table 12-6) and its state.

import { struct, type View } from '@anillo/base/struct';

/** Register numbers: offset in the page / 16, MSR - 0x800. */
export const APIC_REG = {
  id: 0x02,
  version: 0x03,
  tpr: 0x08,
  apr: 0x09,
  ppr: 0x0a,
  eoi: 0x0b,
  rrd: 0x0c,
  ldr: 0x0d,
  dfr: 0x0e,
  svr: 0x0f,
  isr: 0x10,
  tmr: 0x18,
  irr: 0x20,
  esr: 0x28,
  icr: 0x30,
  icrHigh: 0x31,
  lvt: 0x32,
  lint0: 0x35,
  lint1: 0x36,
  lvtError: 0x37,
  initialCount: 0x38,
  currentCount: 0x39,
  divide: 0x3e,
  selfIpi: 0x3f,
} as const;
/** Writable bits of the LVT entries from LVT timer on: timer, thermal, performance, LINT0, LINT1, error. */
export const APIC_LVT_WRITABLE = [0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff] as const;
const LVT_READ_ONLY = 0x5000;
/** x2APIC: bits that may be set in a write (12.12.1.2); others give #GP. */
const X2_WRITABLE: Readonly<Record<number, number>> = {
  [APIC_REG.tpr]: 0xff,
  [APIC_REG.eoi]: 0,
  [APIC_REG.svr]: 0x13ff,
  [APIC_REG.esr]: 0,
  [APIC_REG.icr]: 0xccfff,
  [APIC_REG.initialCount]: 0xffffffff,
  [APIC_REG.divide]: 0xb,
  [APIC_REG.selfIpi]: 0xff,
};
const X2_WRITE_ONLY: ReadonlySet<number> = new Set([APIC_REG.eoi, APIC_REG.selfIpi]);
const X2_ABSENT: ReadonlySet<number> = new Set([APIC_REG.apr, APIC_REG.rrd, APIC_REG.dfr, APIC_REG.icrHigh]);

export const LOCAL_APIC_STATE = struct({
  nextNs: 'f64',
  baseLow: 'u32',
  baseHigh: 'u32',
  xapicId: 'u32',
  tpr: 'u32',
  ldr: 'u32',
  dfr: 'u32',
  svr: 'u32',
  esr: 'u32',
  errors: 'u32',
  icr: 'u32',
  icrHigh: 'u32',
  lvtTimer: 'u32',
  lvt: ['u32', 6],
  initialCount: 'u32',
  divideConfiguration: 'u32',
  deadlineLow: 'u32',
  deadlineHigh: 'u32',
  isr: ['u32', 8],
  tmr: ['u32', 8],
  irr: ['u32', 8],
  lint: ['u8', 2],
  extInt: 'u8',
  nmi: 'u8',
  unhalt: 'u8',
});

export type LocalApicCells = View<(typeof LOCAL_APIC_STATE)['spec']>;

/** Registers that read as their cell. */
const PLAIN: Readonly<
  Record<number, 'tpr' | 'dfr' | 'svr' | 'esr' | 'icr' | 'icrHigh' | 'lvtTimer' | 'initialCount' | 'divideConfiguration' | undefined>
> = {
  [APIC_REG.tpr]: 'tpr',
  [APIC_REG.dfr]: 'dfr',
  [APIC_REG.svr]: 'svr',
  [APIC_REG.esr]: 'esr',
  [APIC_REG.icr]: 'icr',
  [APIC_REG.icrHigh]: 'icrHigh',
  [APIC_REG.lvt]: 'lvtTimer',
  [APIC_REG.initialCount]: 'initialCount',
  [APIC_REG.divide]: 'divideConfiguration',
};

/** Value of a register that reads as it was stored; undefined for others. */
export function readPlain(s: LocalApicCells, reg: number): number | undefined {
  if (reg >= APIC_REG.isr && reg < APIC_REG.tmr) return s.isr[reg - APIC_REG.isr];
  if (reg >= APIC_REG.tmr && reg < APIC_REG.irr) return s.tmr[reg - APIC_REG.tmr];
  if (reg >= APIC_REG.irr && reg < APIC_REG.esr) return s.irr[reg - APIC_REG.irr];
  if (reg > APIC_REG.lvt && reg <= APIC_REG.lvtError) return s.lvt[reg - APIC_REG.lvt];
  const name = PLAIN[reg];
  return name && s[name];
}

function existsInX2apic(reg: number): boolean {
  if (X2_ABSENT.has(reg)) return false;
  if (reg === APIC_REG.id || reg === APIC_REG.version || (reg >= APIC_REG.tpr && reg <= APIC_REG.esr)) return true;
  return (reg >= APIC_REG.icr && reg <= APIC_REG.currentCount) || reg === APIC_REG.divide || reg === APIC_REG.selfIpi;
}

/** Whether RDMSR of 0x800 + reg is allowed in x2APIC mode. */
export function isX2apicReadable(reg: number): boolean {
  return existsInX2apic(reg) && !X2_WRITE_ONLY.has(reg);
}

/** Whether WRMSR of 0x800 + reg is allowed in x2APIC mode: the register can be written and no reserved bit is set. */
export function isX2apicWritable(reg: number, low: number, high: number): boolean {
  if (high !== 0 && reg !== APIC_REG.icr) return false;
  if (reg >= APIC_REG.lvt && reg <= APIC_REG.lvtError) return (low & ~(APIC_LVT_WRITABLE[reg - APIC_REG.lvt] | LVT_READ_ONLY)) === 0;
  return reg in X2_WRITABLE && (low & ~X2_WRITABLE[reg]) === 0;
}

/** MSR 0x1b: x2APIC and global enable. */
export const BASE_EXTD = 1 << 10;
export const BASE_ENABLED = 1 << 11;
const BASE_RESERVED = 0x2ff;

/** Whether MSR 0x1b may be written (12.12.5): no reserved bit, and of the modes disabled <-> xAPIC, xAPIC -> x2APIC, x2APIC -> disabled. */
export function isLegalApicBase(fromMode: number, low: number, high: number, physicalAddressBits: number): boolean {
  if ((low & BASE_RESERVED) !== 0 || high >>> 0 >= 2 ** (physicalAddressBits - 32)) return false;
  const toMode = low & (BASE_ENABLED | BASE_EXTD);
  if (toMode === fromMode || toMode === 0) return true;
  return toMode === BASE_ENABLED ? fromMode === 0 : toMode === (BASE_ENABLED | BASE_EXTD) && fromMode === BASE_ENABLED;
}

/** Bits of the error status register (12.5.3). */
export const APIC_ERROR = { sendIllegalVector: 1 << 5, receiveIllegalVector: 1 << 6, illegalRegister: 1 << 7 } as const;

/** Highest set bit of 256 in 8 words, or -1. */
export function highestVector(words: Uint32Array): number {
  for (let i = 7; i >= 0; i--) if (words[i] !== 0) return i * 32 + 31 - Math.clz32(words[i]);
  return -1;
}
