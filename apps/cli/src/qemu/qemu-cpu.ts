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

/** On in every model, or about QEMU itself: nothing to do when they are asked for. */
const GIVEN = ['invtsc', 'arat', 'host-phys-bits', 'migratable', 'check', 'enforce'];
/** Settings with a value that change how the CPU names itself; the models here have names of their own. */
const NAMING = ['model-id', 'family', 'model', 'stepping', 'phys-bits', 'host-phys-bits-limit'];

function vendorSetting(vendor: string): string {
  if (vendor === 'GenuineIntel' || vendor === 'AuthenticAMD') return `vendor=${vendor}`;
  throw new AnilloError('BAD_OPTION', `-cpu: a CPU's vendor is GenuineIntel or AuthenticAMD, not "${vendor}".`);
}

/** A model with changes, in Anillo's form. AnilloError names what cannot take effect; a feature that is not there at all may be taken away. */
export function parseQemuCpu(text: string): string {
  const [name, ...settings] = text.split(',');
  if (!Object.hasOwn(MODELS, name))
    throw new AnilloError('BAD_OPTION', `There is no CPU model "${name}"; choose one of ${Object.keys(MODELS).join(', ')}.`);
  const words = [MODELS[name]];
  for (const setting of settings) {
    const parts = /^(?:([+-])([a-z0-9_.-]+)|([a-z0-9_.-]+)(?:=(.*))?)$/i.exec(setting);
    if (parts === null) throw new AnilloError('BAD_OPTION', `-cpu does not take "${setting}"; write +feature or -feature.`);
    const [, sign, signed, named, value = 'on'] = parts;
    const feature = signed ?? named;
    const on = sign === undefined ? value === 'on' : sign === '+';
    if (named === 'vendor') words.push(vendorSetting(value));
    else if (sign === undefined && NAMING.includes(feature)) continue;
    else if (sign === undefined && value !== 'on' && value !== 'off')
      throw new AnilloError('BAD_OPTION', `-cpu does not take "${setting}"; a feature is on or off.`);
    else if (isKnownFeature(feature)) words.push(`${on ? '+' : '-'}${feature}`);
    else if (on && !GIVEN.includes(feature))
      throw new AnilloError('UNSUPPORTED', `-cpu: this version has no CPU feature ${feature}; leave "${setting}" out.`);
  }
  return words.join(',');
}
