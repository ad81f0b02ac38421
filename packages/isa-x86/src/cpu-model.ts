// CPU models: what CPUID announces and which instructions decode. A row of the instruction tables names its feature; without it, #UD.
// The x86-64-v1..v3 levels are those of the x86-64 psABI, with the system features that the processors of their time had. v3 has what makes programs
// faster here beside: SHA, but not ADX, whose programs are slower than those for plain MUL (docs/adr/0016-cryptography.md).

import { AnilloError } from '@anillo/base/anillo-error';

export const FEATURES = [
  'fpu', 'vme', 'de', 'pse', 'tsc', 'msr', 'pae', 'mce', 'cx8', 'apic', 'sep', 'mtrr', 'pge', 'mca', 'cmov', 'pat', 'pse36', 'clflush', 'mmx', 'fxsr', 'sse', 'sse2', 'syscall', 'nx', 'pdpe1gb', 'rdtscp', 'lm',
  'sse3', 'pclmulqdq', 'ssse3', 'fma', 'cx16', 'pcid', 'sse4_1', 'sse4_2', 'x2apic', 'movbe', 'popcnt', 'tsc_deadline', 'aes', 'xsave', 'avx', 'f16c', 'rdrand', 'hypervisor',
  'lahf_lm', 'lzcnt', 'fsgsbase', 'tsc_adjust', 'bmi1', 'avx2', 'smep', 'bmi2', 'erms', 'invpcid', 'rdseed', 'adx', 'smap', 'clflushopt', 'clwb', 'sha', 'umip', 'rdpid', 'xsaveopt', 'xsavec', 'prefetchw', 'fsrm', 'xgetbv1',
  'spec_ctrl', 'arch_capabilities', 'bhi_ctrl', 'pku', 'pks',
] as const;
export type Feature = (typeof FEATURES)[number];

export interface CpuModel {
  readonly name: string;
  readonly features: ReadonlySet<Feature>;
  /** CPUID.1:EAX: family, model, stepping. Default: family 6, model 0x3c. */
  readonly signature?: number;
  /** Default GenuineIntel. AMD processors have SYSCALL outside 64-bit code too. */
  readonly vendor?: 'GenuineIntel' | 'AuthenticAMD';
}

const I686 = [
  'fpu', 'vme', 'de', 'pse', 'tsc', 'msr', 'pae', 'mce', 'cx8', 'apic', 'sep', 'mtrr', 'pge', 'mca', 'cmov', 'pat', 'pse36', 'clflush', 'mmx', 'fxsr', 'sse', 'sse2', 'nx', 'hypervisor',
  'x2apic', 'tsc_deadline', 'tsc_adjust', 'arch_capabilities', 'spec_ctrl', 'bhi_ctrl',
] as const satisfies readonly Feature[];
const V1 = [...I686, 'syscall', 'lm', 'lahf_lm', 'cx16'] as const;
const V2 = [...V1, 'sse3', 'ssse3', 'sse4_1', 'sse4_2', 'popcnt', 'rdtscp', 'pdpe1gb'] as const;
const V3 = [
  ...V2, 'pclmulqdq', 'aes', 'fma', 'movbe', 'f16c', 'avx', 'avx2', 'bmi1', 'bmi2', 'lzcnt', 'xsave', 'xsaveopt', 'xsavec', 'xgetbv1', 'rdrand', 'rdseed', 'sha', 'pcid', 'invpcid', 'fsgsbase', 'smep', 'smap',
  'umip', 'erms', 'fsrm', 'prefetchw', 'clflushopt',
] as const;

const MODELS: Readonly<Record<string, { readonly features: readonly Feature[]; readonly signature: number }>> = {
  i686: { features: I686, signature: 0x6d8 },
  'x86-64-v1': { features: V1, signature: 0x6fb },
  'x86-64-v2': { features: V2, signature: 0x106a5 },
  'x86-64-v3': { features: V3, signature: 0x306c3 },
  max: { features: FEATURES, signature: 0x306c3 },
};
export const CPU_MODEL_NAMES: readonly string[] = Object.keys(MODELS);
export const DEFAULT_CPU_MODEL = 'x86-64-v3';

const ALIASES: Readonly<Record<string, Feature>> = { 'sse4.1': 'sse4_1', 'sse4.2': 'sse4_2', pni: 'sse3', abm: 'lzcnt', 'tsc-deadline': 'tsc_deadline', pclmul: 'pclmulqdq', 'spec-ctrl': 'spec_ctrl', 'bhi-ctrl': 'bhi_ctrl', 'tsc-adjust': 'tsc_adjust', 'arch-capabilities': 'arch_capabilities' };

/** What a feature needs; taken away with it. */
const NEEDS: readonly (readonly [Feature, Feature])[] = [
  ['avx', 'xsave'], ['xsaveopt', 'xsave'], ['xsavec', 'xsave'], ['xgetbv1', 'xsave'], ['avx2', 'avx'], ['fma', 'avx'], ['f16c', 'avx'], ['pcid', 'lm'], ['pdpe1gb', 'lm'], ['syscall', 'lm'], ['bhi_ctrl', 'spec_ctrl'], ['pku', 'lm'], ['pku', 'xsave'], ['pks', 'lm'],
];

const findFeature = (name: string): Feature | undefined => ALIASES[name] ?? FEATURES.find((f) => f === name || f === name.replaceAll('-', '_'));

export const isCpuFeature = (name: string): boolean => findFeature(name) !== undefined;

function feature(name: string): Feature {
  const known = findFeature(name);
  if (known === undefined) throw new AnilloError('BAD_OPTION', `CPU feature "${name}" is not known; use one of: ${FEATURES.join(', ')}.`);
  return known;
}

/** A model by name, with features added and taken away. */
export function cpuModel(name: string, plusFeatures: readonly string[] = [], minusFeatures: readonly string[] = []): CpuModel {
  const model = Object.hasOwn(MODELS, name) ? MODELS[name] : undefined;
  if (model === undefined) throw new AnilloError('BAD_OPTION', `CPU model "${name}" is not known; use one of: ${CPU_MODEL_NAMES.join(', ')}.`);
  const features = new Set<Feature>(model.features);
  for (const f of plusFeatures) features.add(feature(f));
  for (const f of minusFeatures) features.delete(feature(f));
  const asked = new Set(plusFeatures.map(feature));
  const refused = new Set(minusFeatures.map(feature));
  for (const [what, needed] of NEEDS) {
    if (features.has(needed) || !features.delete(what) || !asked.has(what) || refused.has(needed)) continue;
    throw new AnilloError('BAD_OPTION', `CPU feature "${what}" needs "${needed}", which ${name} does not have; add it, or choose a newer model.`);
  }
  return { name, features, signature: model.signature };
}

/** A model as a user writes it: `x86-64-v3,+sha,-avx2` (also `sha=on`, `avx2=off`). */
export function parseCpuModel(text: string): CpuModel {
  const [name = '', ...changes] = text.split(',');
  const plus: string[] = [];
  const minus: string[] = [];
  let vendor: CpuModel['vendor'];
  for (const change of changes) {
    if (change === 'vendor=GenuineIntel' || change === 'vendor=AuthenticAMD') {
      vendor = change.slice('vendor='.length) as CpuModel['vendor'];
      continue;
    }
    const match = /^(?:([+-])([^=]+)|([^=]+)=(on|off))$/.exec(change);
    if (match === null) throw new AnilloError('BAD_OPTION', `"${change}" is no change to a CPU model; write +FEATURE or -FEATURE.`);
    const [, sign, signed, named, value] = match;
    (sign === '-' || value === 'off' ? minus : plus).push(signed ?? named);
  }
  return { ...cpuModel(name, plus, minus), vendor };
}
