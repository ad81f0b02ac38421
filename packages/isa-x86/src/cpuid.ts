// CPUID. SDM Vol. 2 CPUID; leaves 0x4000_0000.. as KVM gives them (Linux Documentation/virt/kvm/x86/cpuid.rst). Everything derives from the
// model's features, so what is announced is what decodes.

import type { Feature } from './cpu-model.ts';
import type { HelperMap, X86Context } from './helper-map.ts';
import { CR4 } from './mode.ts';
import { PHYSICAL_ADDRESS_BITS } from './mmu.ts';
import { in64BitCode } from './segments.ts';
import { RAX, RBX, RCX, RDX } from './state.ts';
import { setWords, word, WORD } from './state-words.ts';
import { TSC_HZ } from './time-stamp-counter.ts';
import { compactedAreaBytes, supportedXcr0, XCR0, XSAVE_AVX_BYTES, XSAVE_AVX_OFFSET, XSAVE_PKRU_BYTES, XSAVE_PKRU_OFFSET, xsaveAreaBytes } from './xsave-layout.ts';

type Bits = Readonly<Partial<Record<Feature, number>>>;

const LEAF1_EDX: Bits = {
  fpu: 0, vme: 1, de: 2, pse: 3, tsc: 4, msr: 5, pae: 6, mce: 7, cx8: 8, apic: 9, sep: 11, mtrr: 12, pge: 13, mca: 14, cmov: 15, pat: 16, pse36: 17, clflush: 19, mmx: 23, fxsr: 24, sse: 25, sse2: 26,
};
const LEAF1_ECX: Bits = {
  sse3: 0, pclmulqdq: 1, ssse3: 9, fma: 12, cx16: 13, pcid: 17, sse4_1: 19, sse4_2: 20, x2apic: 21, movbe: 22, popcnt: 23, tsc_deadline: 24, aes: 25, xsave: 26, avx: 28, f16c: 29, rdrand: 30, hypervisor: 31,
};
const LEAF7_EBX: Bits = { fsgsbase: 0, tsc_adjust: 1, bmi1: 3, avx2: 5, smep: 7, bmi2: 8, erms: 9, invpcid: 10, rdseed: 18, adx: 19, smap: 20, clflushopt: 23, clwb: 24, sha: 29 };
const LEAF7_ECX: Bits = { umip: 2, pku: 3, rdpid: 22, pks: 31 };
const LEAF7_EDX: Bits = { fsrm: 4, spec_ctrl: 26, arch_capabilities: 29 };
const LEAF7_2_EDX: Bits = { bhi_ctrl: 4 };
const LEAF_D_EAX: Bits = { xsaveopt: 0, xsavec: 1, xgetbv1: 2 };
const EXTENDED_EDX: Bits = { nx: 20, pdpe1gb: 26, rdtscp: 27, lm: 29 };
const EXTENDED_ECX: Bits = { lahf_lm: 0, lzcnt: 5, prefetchw: 8 };
const OSXSAVE = 1 << 27;
const OSPKE = 1 << 4;
const SYSCALL = 1 << 11;
/** Leaf 1: EBX bits 23..16 tell how many APIC IDs the package has. */
const HYPER_THREADING = 1 << 28;

/** Width of the part of an APIC ID that tells cores of the package apart. */
const coreBits = (cpu: X86Context): number => 32 - Math.clz32(cpu.count - 1);
const MSR_APIC_BASE = 0x1b;
const APIC_ENABLED = 1 << 11;

const MAX_BASIC = 0x16;
const LAST_SUBLEAF_OF_7 = 2;
const MAX_HYPERVISOR = 0x4000_0010;
const MAX_EXTENDED = 0x8000_0008;
const DEFAULT_SIGNATURE = 0x306c3;
/** KVM_FEATURE_CLOCKSOURCE, NOP_IO_DELAY, CLOCKSOURCE2, STEAL_TIME, PV_UNHALT, PV_SEND_IPI, CLOCKSOURCE_STABLE_BIT. */
const KVM_FEATURES = (1 << 0) | (1 << 1) | (1 << 3) | (1 << 5) | (1 << 7) | (1 << 11) | (1 << 24);
/** Cache leaves: type | level, (ways - 1) << 22 | line - 1, sets - 1. */
const CACHES = [
  [0x121, (7 << 22) | 63, 63],
  [0x122, (7 << 22) | 63, 63],
  [0x143, (7 << 22) | 63, 511],
  [0x163, (15 << 22) | 63, 8191],
] as const;

function bitsOf(cpu: X86Context, table: Bits): number {
  let bits = 0;
  for (const [feature, bit] of Object.entries(table)) if (cpu.model.features.has(feature as Feature)) bits |= 1 << bit;
  return bits;
}

/** The four characters of `text` at 4 * index as a register. */
const characters = (text: string, index: number): number =>
  [0, 1, 2, 3].reduce((sum, i) => sum | ((index * 4 + i < text.length ? text.charCodeAt(index * 4 + i) : 0) << (8 * i)), 0);

const HYPERVISOR = 'KVMKVMKVM';

export type CpuidResult = readonly [eax: number, ebx: number, ecx: number, edx: number];
const NOTHING: CpuidResult = [0, 0, 0, 0];

/** One round; caches as leaf 4 tells; TLBs for code: 4 KiB (64 entries), large pages (7); for data: 4 KiB (64), large pages (32), second level (512). */
const CACHE_DESCRIPTORS: CpuidResult = [0x03b2_ff01, 0x00ca_5a55, 0, 0];

function leaf1(cpu: X86Context): CpuidResult {
  // SDM Vol. 3A 12.4.3: the APIC's flag is clear while the APIC is disabled.
  const apicOff = ((cpu.ports.interrupts.readRegister(MSR_APIC_BASE)?.low ?? APIC_ENABLED) & APIC_ENABLED) === 0;
  const features = bitsOf(cpu, LEAF1_EDX);
  const withCores = cpu.count > 1 ? features | HYPER_THREADING : features;
  const osxsave = (word(cpu, WORD.cr4) & CR4.OSXSAVE) !== 0 ? OSXSAVE : 0;
  return [cpu.model.signature ?? DEFAULT_SIGNATURE, (cpu.id << 24) | ((1 << coreBits(cpu)) << 16) | (8 << 8), bitsOf(cpu, LEAF1_ECX) | osxsave, apicOff ? withCores & ~(1 << 9) : withCores];
}

/** Leaf 4, EAX: cores of the package (31..26), and who shares the cache (25..14): the last level is everyone's. */
function sharedBy(cpu: X86Context, cache: number): number {
  const others = (1 << coreBits(cpu)) - 1;
  return (others << 26) | (cache === CACHES.length - 1 ? others << 14 : 0);
}

function leafD(cpu: X86Context, subleaf: number): CpuidResult {
  if (!cpu.model.features.has('xsave')) return NOTHING;
  const supported = supportedXcr0(cpu.model);
  const xcr0 = word(cpu, WORD.xcr0);
  if (subleaf === 0) return [supported, xsaveAreaBytes(xcr0), xsaveAreaBytes(supported), 0];
  if (subleaf === 1) return [bitsOf(cpu, LEAF_D_EAX), compactedAreaBytes(xcr0), 0, 0];
  if (subleaf === 2 && (supported & XCR0.AVX) !== 0) return [XSAVE_AVX_BYTES, XSAVE_AVX_OFFSET, 0, 0];
  if (subleaf === 9 && (supported & XCR0.PKRU) !== 0) return [XSAVE_PKRU_BYTES, XSAVE_PKRU_OFFSET, 0, 0];
  return NOTHING;
}

function basic(cpu: X86Context, leaf: number, subleaf: number): CpuidResult {
  switch (leaf) {
    case 0: {
      const vendor = cpu.model.vendor ?? 'GenuineIntel';
      return [MAX_BASIC, characters(vendor, 0), characters(vendor, 2), characters(vendor, 1)];
    }
    case 1:
      return leaf1(cpu);
    case 2:
      return CACHE_DESCRIPTORS;
    case 4: {
      const cache = CACHES[subleaf];
      return cache === undefined ? NOTHING : [cache[0] | sharedBy(cpu, subleaf), cache[1], cache[2], 0];
    }
    case 6:
      return [1 << 2, 0, 0, 0];
    case 7:
      if (subleaf === 0) return [LAST_SUBLEAF_OF_7, bitsOf(cpu, LEAF7_EBX), bitsOf(cpu, LEAF7_ECX) | ((word(cpu, WORD.cr4) & CR4.PKE) !== 0 ? OSPKE : 0), bitsOf(cpu, LEAF7_EDX)];
      return subleaf === 2 ? [0, 0, 0, bitsOf(cpu, LEAF7_2_EDX)] : NOTHING;
    case 0xb:
      // One thread a core, all cores in one package.
      if (subleaf === 0) return [0, 1, (1 << 8) | subleaf, cpu.id];
      return subleaf === 1 ? [coreBits(cpu), cpu.count, (2 << 8) | subleaf, cpu.id] : [0, 0, subleaf & 0xff, cpu.id];
    case 0xd:
      return leafD(cpu, subleaf);
    case 0x15:
      return [1, 1, TSC_HZ, 0];
    case 0x16:
      return [TSC_HZ / 1e6, TSC_HZ / 1e6, 100, 0];
    default:
      return NOTHING;
  }
}

function hypervisor(leaf: number): CpuidResult {
  if (leaf === 0x4000_0000) return [MAX_HYPERVISOR, characters(HYPERVISOR, 0), characters(HYPERVISOR, 1), characters(HYPERVISOR, 2)];
  if (leaf === 0x4000_0001) return [KVM_FEATURES, 0, 0, 0];
  return leaf === 0x4000_0010 ? [TSC_HZ / 1000, TSC_HZ / 1000, 0, 0] : NOTHING;
}

function extended(cpu: X86Context, leaf: number): CpuidResult {
  const isAmd = cpu.model.vendor === 'AuthenticAMD';
  const brand = `Anillo ${cpu.model.name}`;
  switch (leaf) {
    case 0x8000_0000:
      return [MAX_EXTENDED, 0, 0, 0];
    case 0x8000_0001:
      // Intel processors announce SYSCALL in 64-bit code only.
      return [0, 0, bitsOf(cpu, EXTENDED_ECX), bitsOf(cpu, EXTENDED_EDX) | (cpu.model.features.has('syscall') && (isAmd || in64BitCode(cpu)) ? SYSCALL : 0)];
    case 0x8000_0002:
    case 0x8000_0003:
    case 0x8000_0004: {
      const first = (leaf - 0x8000_0002) * 4;
      return [characters(brand, first), characters(brand, first + 1), characters(brand, first + 2), characters(brand, first + 3)];
    }
    case 0x8000_0006:
      return [0, 0, 0x0100_6040, 0];
    case 0x8000_0007:
      return [0, 0, 0, 1 << 8];
    case 0x8000_0008:
      return [PHYSICAL_ADDRESS_BITS | ((cpu.model.features.has('lm') ? 48 : 32) << 8), 0, 0, 0];
    default:
      return NOTHING;
  }
}

/** What CPUID answers now (some bits follow the state of the CPU). */
export function cpuid(cpu: X86Context, leaf: number, subleaf: number): CpuidResult {
  if (leaf >= 0x8000_0000 && leaf <= MAX_EXTENDED) return extended(cpu, leaf);
  if (leaf >= 0x4000_0000 && leaf <= MAX_HYPERVISOR && cpu.model.features.has('hypervisor')) return hypervisor(leaf);
  // SDM: beyond the range, the data of the highest basic leaf.
  return basic(cpu, Math.min(leaf , MAX_BASIC), subleaf);
}

export const CPUID_HELPERS: HelperMap = {
  cpuid(cpu) {
    const result = cpuid(cpu, word(cpu, WORD.gpr + 2 * RAX), word(cpu, WORD.gpr + 2 * RCX));
    for (const [i, register] of [RAX, RBX, RCX, RDX].entries()) setWords(cpu, WORD.gpr + 2 * register, result[i] as number, 0);
    return 0;
  },
};
