// CPU models as users name them.

import { type CpuModel, parseCpuModel } from '@anillo/isa-x86/cpu-model';

const SHORT_NAMES: Readonly<Record<string, string>> = { v1: 'x86-64-v1', v2: 'x86-64-v2', v3: 'x86-64-v3', 'x86-64': 'x86-64-v1' };

/** "NAME", or "NAME,+feature,-feature" (also "feature=on", "feature=off", "vendor=..."). AnilloError BAD_OPTION for what is not known. */
export function parseCpu(text: string): CpuModel {
  const [name, ...changes] = text.split(',');
  return parseCpuModel([SHORT_NAMES[name] ?? name, ...changes].join(','));
}
