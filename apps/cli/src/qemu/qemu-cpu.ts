// QEMU's `-cpu MODEL[,+feature][,-feature][,feature=on|off]`: the nearest of Anillo's models.

import { AnilloError } from '@anillo/base/anillo-error';

const MODELS: Readonly<Record<string, string>> = {
  max: 'x86-64-v3',
  host: 'x86-64-v3',
  base: 'x86-64-v3',
  Haswell: 'x86-64-v3',
  'x86-64-v3': 'x86-64-v3',
  qemu64: 'x86-64-v1',
  kvm64: 'x86-64-v1',
  'x86-64-v1': 'x86-64-v1',
  Nehalem: 'x86-64-v2',
  'x86-64-v2': 'x86-64-v2',
  qemu32: 'i686',
  kvm32: 'i686',
  pentium3: 'i686',
  i686: 'i686',
};

export interface QemuCpu {
  readonly model: string;
  /** CPUID feature names as QEMU spells them. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

export function parseQemuCpu(text: string): QemuCpu {
  const [name, ...settings] = text.split(',');
  if (!Object.hasOwn(MODELS, name))
    throw new AnilloError('BAD_OPTION', `There is no CPU model "${name}"; choose one of ${Object.keys(MODELS).join(', ')}.`);
  const added: string[] = [];
  const removed: string[] = [];
  for (const setting of settings) {
    const parts = /^(?:([+-])([a-z0-9_.-]+)|([a-z0-9_.-]+)(?:=(.*))?)$/i.exec(setting);
    if (parts === null) throw new AnilloError('BAD_OPTION', `-cpu does not take "${setting}"; write +feature or -feature.`);
    const [, sign, signed, named, value = 'on'] = parts;
    const on = sign === undefined ? value === 'on' : sign === '+';
    // Settings with another value (vendor=, model-id=, phys-bits=) change how the CPU names itself; the models here have names of their own.
    if (sign !== undefined || value === 'on' || value === 'off') (on ? added : removed).push(signed ?? named);
  }
  return { model: MODELS[name], added, removed };
}
