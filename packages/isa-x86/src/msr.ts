// Model-specific registers: one row each. SDM Vol. 4 chapter 2; KVM's in Linux Documentation/virt/kvm/x86/msr.rst. What has no row is #GP(0).
// Values pass as two words. A write that returns false raises #GP(0).

import type { Feature } from './cpu-model.ts';
import { raise, type HelperMap, type X86Context } from './helper-map.ts';
import { CR0, cplOf, EFER } from './mode.ts';
import { flushTranslations } from './mmu.ts';
import { writeTimeInfo, writeWallClock } from './kvmclock.ts';
import { FS, GS, RAX, RCX, RDX, VECTOR } from './state.ts';
import { isCanonical, setWords, signedWords, word, WORD } from './state-words.ts';
import { isStealTime, writeStealTime } from './steal-time.ts';
import { storeTsc, TSC_HZ, writeTsc, writeTscAdjust } from './time-stamp-counter.ts';

export interface Msr {
  readonly index: number;
  /** Without it the register does not exist. */
  readonly feature?: Feature;
  /** Only processors of this vendor have it. */
  readonly vendor?: 'AuthenticAMD';
  /** Puts the value into RDX:RAX's place; false: not readable. */
  read(cpu: X86Context): boolean;
  write(cpu: X86Context, low: number, high: number): boolean;
}

// The value of the last read.
let low = 0;
let high = 0;

function give(lowWord: number, highWord = 0): true {
  low = lowWord;
  high = highWord;
  return true;
}

const quad = (lowWord: number, highWord: number): bigint => (BigInt(highWord >>> 0) << 32n) | BigInt(lowWord >>> 0);
const anything = (): boolean => true;
const canonical = (l: number, h: number): boolean => isCanonical(signedWords(l, h));
const noHigh = (_l: number, h: number): boolean => h === 0;

/** A register that is a field of the state. */
const field = (index: number, at: number, valid: (l: number, h: number, cpu: X86Context) => boolean = anything, after?: (cpu: X86Context) => void, feature?: Feature): Msr => ({
  index,
  feature,
  read: (cpu) => give(word(cpu, at), word(cpu, at + 1)),
  write(cpu, l, h) {
    if (!valid(l, h, cpu)) return false;
    setWords(cpu, at, l, h);
    after?.(cpu);
    return true;
  },
});

/** Reads as a constant; writes are dropped. */
const ignored = (index: number, value = 0, highValue = 0): Msr => ({ index, read: () => give(value, highValue), write: anything });
/** Reads as a constant; writes fault. */
const constant = (index: number, value: number, highValue = 0, feature?: Feature): Msr => ({ index, feature, read: () => give(value, highValue), write: () => false });

const MEMORY_TYPES = (1 << 0) | (1 << 1) | (1 << 4) | (1 << 5) | (1 << 6);
const isMemoryType = (type: number): boolean => type < 8 && ((MEMORY_TYPES >> type) & 1) !== 0;
const bytesOf = (l: number, h: number): number[] => [l, l >>> 8, l >>> 16, l >>> 24, h, h >>> 8, h >>> 16, h >>> 24].map((b) => b & 0xff);
/** PAT also has type 7 (UC-). */
const isPat = (l: number, h: number): boolean => bytesOf(l, h).every((type) => type === 7 || isMemoryType(type));
const isFixedMtrr = (l: number, h: number): boolean => bytesOf(l, h).every(isMemoryType);

const EFER_BITS = EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE;

function writeEfer(cpu: X86Context, l: number, h: number): boolean {
  const has = cpu.model.features;
  const old = word(cpu, WORD.efer);
  if (h !== 0 || (l & ~EFER_BITS) !== 0) return false;
  if ((!has.has('lm') && (l & (EFER.LME | EFER.LMA)) !== 0) || (!has.has('nx') && (l & EFER.NXE) !== 0) || (!has.has('syscall') && (l & EFER.SCE) !== 0)) return false;
  if (((l ^ old) & EFER.LME) !== 0 && (word(cpu, WORD.cr0) & CR0.PG) !== 0) return false;
  setWords(cpu, WORD.efer, (l & ~EFER.LMA) | (old & EFER.LMA), 0);
  if (((l ^ old) & EFER.NXE) !== 0) flushTranslations(cpu);
  return true;
}

/** A register of the local APIC. */
const apic = (index: number, valid: (l: number, h: number, cpu: X86Context) => boolean = anything, feature?: Feature): Msr => ({
  index,
  feature,
  read(cpu) {
    const value = cpu.ports.interrupts.readRegister(index);
    return value !== undefined && give(value.low, value.high);
  },
  write: (cpu, l, h) => valid(l, h, cpu) && cpu.ports.interrupts.writeRegister(index, l, h),
});

const DEADLINE = 0x6e0;
/** The APIC counts nanoseconds; the guest's TSC is ahead of them by tscOffset. 0 disarms and stays 0. */
const tscDeadline: Msr = {
  index: DEADLINE,
  feature: 'tsc_deadline',
  read(cpu) {
    const value = cpu.ports.interrupts.readRegister(DEADLINE);
    if (value === undefined) return false;
    if (value.low === 0 && value.high === 0) return give(0);
    const sum = value.low + word(cpu, WORD.tscOffset);
    return give(sum >>> 0, value.high + word(cpu, WORD.tscOffset + 1) + (sum > 0xffff_ffff ? 1 : 0));
  },
  write(cpu, l, h) {
    if (l === 0 && h === 0) return cpu.ports.interrupts.writeRegister(DEADLINE, 0, 0);
    const difference = (l >>> 0) - word(cpu, WORD.tscOffset);
    let lowNs = difference >>> 0;
    const highNs = ((h >>> 0) - word(cpu, WORD.tscOffset + 1) - (difference < 0 ? 1 : 0)) >>> 0;
    if (lowNs === 0 && highNs === 0) lowNs = 1;
    // A deadline before power-on has passed already.
    return highNs >= 0x8000_0000 ? cpu.ports.interrupts.writeRegister(DEADLINE, 1, 0) : cpu.ports.interrupts.writeRegister(DEADLINE, lowNs, highNs);
  },
};

const APIC_BASE_EXTD = 1 << 10;

const ARCH_CAPABILITIES_LOW =
  (1 << 0) | // RDCL_NO: no Meltdown, so no page-table isolation
  (1 << 1) | // IBRS_ALL: enhanced IBRS, so no retpolines
  (1 << 3) | // SKIP_L1DFL_VMENTRY
  (1 << 4) | // SSB_NO
  (1 << 5) | // MDS_NO
  (1 << 6) | // IF_PSCHANGE_MC_NO
  (1 << 8) | // TAA_NO
  (7 << 13) | // SBDR_SSDP_NO, FBSDP_NO, PSDP_NO
  (1 << 20) | // BHI_NO
  (1 << 24) | // PBRSB_NO
  (1 << 26) | // GDS_NO
  (1 << 27); // RFDS_NO
/** ITS_NO: returns need no thunks. */
const ARCH_CAPABILITIES_HIGH = 1 << 30;

/** IBRS, STIBP, SSBD; BHI_DIS_S, so that kernels need not clear the branch history in software at each system call. All without effect here. */
const isSpecCtrl = (l: number, h: number, cpu: X86Context): boolean =>
  h === 0 && (l & ~(cpu.model.features.has('bhi_ctrl') ? 0x407 : 7)) === 0;

const segmentBaseMsr = (index: number, segment: number): Msr => field(index, WORD.segmentBase + 2 * segment, canonical, undefined, 'lm');

const isDefType = (l: number, h: number): boolean => h === 0 && (l & ~0xcff) === 0 && isMemoryType(l & 0xff);
const isVariableBase = (l: number, h: number): boolean => (h & ~0xff) === 0 && (l & 0xf00) === 0 && isMemoryType(l & 0xff);
const isVariableMask = (l: number, h: number): boolean => (h & ~0xff) === 0 && (l & 0x7ff) === 0;

const FIXED_MTRRS = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];

const ROWS: readonly Msr[] = [
  ignored(0x00), // IA32_P5_MC_ADDR
  ignored(0x01), // IA32_P5_MC_TYPE
  {
    index: 0x10, // IA32_TIME_STAMP_COUNTER
    read(cpu) {
      storeTsc(cpu, WORD.x);
      return give(word(cpu, WORD.x), word(cpu, WORD.x + 1));
    },
    write(cpu, l, h) {
      writeTsc(cpu, quad(l, h));
      writeTimeInfo(cpu);
      return true;
    },
  },
  field(0x11, WORD.kvmWallClock, anything, writeWallClock), // MSR_KVM_WALL_CLOCK
  field(0x12, WORD.kvmSystemTime, anything, writeTimeInfo), // MSR_KVM_SYSTEM_TIME
  constant(0x17, 0), // IA32_PLATFORM_ID
  apic(0x1b, (l, _h, cpu) => (l & APIC_BASE_EXTD) === 0 || cpu.model.features.has('x2apic')), // IA32_APIC_BASE
  ignored(0x2a), // EBL_CR_POWERON
  constant(0x34, 0), // SMI_COUNT
  constant(0x3a, 1), // IA32_FEATURE_CONTROL: locked
  {
    index: 0x3b, // IA32_TSC_ADJUST
    feature: 'tsc_adjust',
    read: (cpu) => give(word(cpu, WORD.tscAdjust), word(cpu, WORD.tscAdjust + 1)),
    write(cpu, l, h) {
      writeTscAdjust(cpu, quad(l, h));
      writeTimeInfo(cpu);
      return true;
    },
  },
  field(0x48, WORD.specCtrl, isSpecCtrl, undefined, 'spec_ctrl'), // IA32_SPEC_CTRL
  { index: 0x49, feature: 'spec_ctrl', read: () => false, write: (_cpu, l, h) => h === 0 && (l & ~1) === 0 }, // IA32_PRED_CMD
  ignored(0x79), // IA32_BIOS_UPDT_TRIG
  ignored(0x8b, 0, 1), // IA32_BIOS_SIGN_ID: microcode revision
  constant(0xce, (TSC_HZ / 1e8) << 8), // MSR_PLATFORM_INFO: ratio to 100 MHz
  constant(0xfe, 0x508, 0, 'mtrr'), // IA32_MTRRCAP: 8 variable ranges, fixed ranges, write-combining
  constant(0x10a, ARCH_CAPABILITIES_LOW, ARCH_CAPABILITIES_HIGH, 'arch_capabilities'),
  field(0x174, WORD.sysenterCs, anything, undefined, 'sep'),
  field(0x175, WORD.sysenterEsp, canonical, undefined, 'sep'),
  field(0x176, WORD.sysenterEip, canonical, undefined, 'sep'),
  constant(0x179, 0, 0, 'mca'), // IA32_MCG_CAP: no banks
  ignored(0x17a), // IA32_MCG_STATUS
  constant(0x198, (TSC_HZ / 1e8) << 8), // IA32_PERF_STATUS
  ignored(0x199), // IA32_PERF_CTL
  ignored(0x19a), // IA32_CLOCK_MODULATION
  ignored(0x19b), // IA32_THERM_INTERRUPT
  ignored(0x19c), // IA32_THERM_STATUS
  field(0x1a0, WORD.miscEnable),
  field(0x1d9, WORD.debugCtl, (l, h) => h === 0 && (l & ~3) === 0),
  constant(0x1db, 0), // MSR_LASTBRANCHFROMIP
  constant(0x1dc, 0),
  constant(0x1dd, 0), // MSR_LASTINTFROMIP
  constant(0x1de, 0),
  ...Array.from({ length: 16 }, (_, i) => field(0x200 + i, WORD.mtrrVariable + 2 * i, (i & 1) === 0 ? isVariableBase : isVariableMask, undefined, 'mtrr')),
  ...FIXED_MTRRS.map((index, i) => field(index, WORD.mtrrFixed + 2 * i, isFixedMtrr, undefined, 'mtrr')),
  field(0x277, WORD.pat, isPat, undefined, 'pat'),
  field(0x2ff, WORD.mtrrDefType, isDefType, undefined, 'mtrr'),
  tscDeadline,
  field(0x6e1, WORD.pkrs, noHigh, flushTranslations, 'pks'), // IA32_PKRS
  ...Array.from({ length: 0x100 }, (_, i) => apic(0x800 + i, anything, 'x2apic')),
  { index: 0xc000_0080, read: (cpu) => give(word(cpu, WORD.efer)), write: writeEfer },
  field(0xc000_0081, WORD.star, anything, undefined, 'syscall'),
  field(0xc000_0082, WORD.lstar, canonical, undefined, 'lm'),
  field(0xc000_0083, WORD.cstar, canonical, undefined, 'lm'),
  field(0xc000_0084, WORD.sfmask, noHigh, undefined, 'lm'),
  // PerfEvtSel0..3 and PerfCtr0..3, which CPUID does not announce: counters that count nothing.
  ...Array.from({ length: 8 }, (_, i): Msr => ({ ...ignored(0xc001_0000 + i), vendor: 'AuthenticAMD' })),
  segmentBaseMsr(0xc000_0100, FS),
  segmentBaseMsr(0xc000_0101, GS),
  field(0xc000_0102, WORD.kernelGsBase, canonical, undefined, 'lm'),
  field(0xc000_0103, WORD.tscAux, noHigh, undefined, 'rdtscp'),
  field(0x4b56_4d00, WORD.kvmWallClock, anything, writeWallClock, 'hypervisor'), // MSR_KVM_WALL_CLOCK_NEW
  field(0x4b56_4d01, WORD.kvmSystemTime, anything, writeTimeInfo, 'hypervisor'), // MSR_KVM_SYSTEM_TIME_NEW
  field(0x4b56_4d03, WORD.kvmStealTime, isStealTime, writeStealTime, 'hypervisor'), // MSR_KVM_STEAL_TIME
];

const TABLE: ReadonlyMap<number, Msr> = new Map(ROWS.map((row) => [row.index, row]));

function find(cpu: X86Context, index: number): Msr | undefined {
  const msr = TABLE.get(index);
  if (msr === undefined || (msr.vendor !== undefined && msr.vendor !== cpu.model.vendor)) return undefined;
  return msr.feature === undefined || cpu.model.features.has(msr.feature) ? msr : undefined;
}

/** Value of an MSR, for debuggers too; undefined: there is none. */
export function readMsr(cpu: X86Context, index: number): { low: number; high: number } | undefined {
  return find(cpu, index)?.read(cpu) ? { low: low >>> 0, high: high >>> 0 } : undefined;
}

export const writeMsr = (cpu: X86Context, index: number, lowWord: number, highWord: number): boolean => find(cpu, index)?.write(cpu, lowWord, highWord) ?? false;

export const MSR_HELPERS: HelperMap = {
  rdmsr(cpu) {
    if (cplOf(cpu) !== 0 || !find(cpu, word(cpu, WORD.gpr + 2 * RCX))?.read(cpu)) return raise(cpu, VECTOR.GP, 0);
    setWords(cpu, WORD.gpr + 2 * RAX, low, 0);
    setWords(cpu, WORD.gpr + 2 * RDX, high, 0);
    return 0;
  },
  wrmsr(cpu) {
    if (cplOf(cpu) !== 0) return raise(cpu, VECTOR.GP, 0);
    return writeMsr(cpu, word(cpu, WORD.gpr + 2 * RCX), word(cpu, WORD.gpr + 2 * RAX), word(cpu, WORD.gpr + 2 * RDX)) ? 0 : raise(cpu, VECTOR.GP, 0);
  },
};
