// QEMU's `-cpu MODEL[,+feature][,-feature][,feature=on|off][,property=value]`: the nearest of Anillo's models, with the features that Anillo knows.

import { AnilloError } from '@anillo/base/anillo-error';
import { isKnownFeature } from 'anillo/registry';

const MODELS: Readonly<Record<string, string>> = {
  max: 'max',
  host: 'max',
  base: 'max',
  'Skylake-Server': 'x86-64-v3',
  Haswell: 'x86-64-v3',
  'x86-64-v3': 'x86-64-v3',
  qemu64: 'x86-64-v1',
  kvm64: 'x86-64-v1',
  Opteron_G1: 'x86-64-v1,vendor=AuthenticAMD',
  'x86-64-v1': 'x86-64-v1',
  IvyBridge: 'x86-64-v2',
  Nehalem: 'x86-64-v2',
  'x86-64-v2': 'x86-64-v2',
  qemu32: 'i686',
  kvm32: 'i686',
  pentium3: 'i686',
  i686: 'i686',
};

export interface QemuCpu {
  /** In Anillo's form: a model with changes. */
  readonly model: string;
  /** Features that were asked for and that Anillo does not have. */
  readonly missing: readonly string[];
}

export function parseQemuCpu(text: string): QemuCpu {
  const [name, ...settings] = text.split(',');
  if (!Object.hasOwn(MODELS, name))
    throw new AnilloError('BAD_OPTION', `There is no CPU model "${name}"; choose one of ${Object.keys(MODELS).join(', ')}.`);
  const words = [MODELS[name]];
  const missing: string[] = [];
  for (const setting of settings) {
    const parts = /^(?:([+-])([a-z0-9_.-]+)|([a-z0-9_.-]+)(?:=(.*))?)$/i.exec(setting);
    if (parts === null) throw new AnilloError('BAD_OPTION', `-cpu does not take "${setting}"; write +feature or -feature.`);
    const [, sign, signed, named, value = 'on'] = parts;
    const feature = signed ?? named;
    const on = sign === undefined ? value === 'on' : sign === '+';
    if (named === 'vendor') words.push(setting);
    // Settings with another value (model-id=, phys-bits=) change how the CPU names itself; the models here have names of their own.
    else if (sign === undefined && value !== 'on' && value !== 'off') continue;
    else if (isKnownFeature(feature)) words.push(`${on ? '+' : '-'}${feature}`);
    else if (on && feature !== 'host-phys-bits') missing.push(feature);
  }
  return { model: words.join(','), missing };
}
