// libm and string functions of glibc have variants for CPU features, and libm's FMA variants give other last bits. A fair comparison lets both
// sides choose among the same ones: what one side lacks is hidden from glibc on the other. OpenSSL needs no such care, its variants agree in every bit.

import type { CpuModel, Feature } from '@anillo/isa-x86/cpu-model';

/** Feature, its name in the host's /proc/cpuinfo, its name in glibc.cpu.hwcaps. */
const CHOOSING: readonly (readonly [Feature, string, string])[] = [
  ['sse3', 'pni', 'SSE3'],
  ['ssse3', 'ssse3', 'SSSE3'],
  ['sse4_1', 'sse4_1', 'SSE4_1'],
  ['sse4_2', 'sse4_2', 'SSE4_2'],
  ['avx', 'avx', 'AVX'],
  ['avx2', 'avx2', 'AVX2'],
  ['fma', 'fma', 'FMA'],
];
/** No model has these. */
const NEVER = ['FMA4', 'AVX512F', 'AVX512VL', 'AVX512BW', 'AVX512DQ'];

/** Value of GLIBC_TUNABLES for both sides. */
export function commonTunables(model: CpuModel, hostFlags: ReadonlySet<string>): string {
  const hidden = CHOOSING.filter(([feature, flag]) => !(model.features.has(feature) && hostFlags.has(flag))).map(([, , name]) => name);
  return `glibc.cpu.hwcaps=${[...hidden, ...NEVER].map((name) => `-${name}`).join(',')}`;
}
