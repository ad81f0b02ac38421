// `--device NAME[,KEY=VALUE...]` (and QEMU's `-device`): the optional devices of the board, each as options of the library.

import { AnilloError } from '@anillo/base/anillo-error';
import type { MachineOptions } from 'anillo';
import { nearest } from './option-table.ts';

interface OptionalDevice {
  readonly bus: string;
  readonly help: string;
  readonly keys: readonly string[];
  configure(values: Readonly<Record<string, number>>): Partial<MachineOptions>;
}

export const OPTIONAL_DEVICES: Readonly<Record<string, OptionalDevice>> = {
  'isa-debug-exit': {
    bus: 'ISA',
    help: 'a write of V ends the machine with status 2 * V + 1',
    keys: ['iobase', 'iosize'],
    configure: ({ iobase = 0x501, iosize = 2 }) => ({ debugExit: { port: iobase, byteCount: iosize } }),
  },
  'pc-testdev': {
    bus: 'ISA',
    help: 'the test device of kvm-unit-tests',
    keys: [],
    configure: () => ({ testDevice: true }),
  },
};

function parseNumber(device: string, key: string, text: string): number {
  const value = /^(0x[0-9a-f]{1,8}|\d{1,9})$/i.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) throw new AnilloError('BAD_OPTION', `${device}: ${key} takes a number such as 0xf4, not "${text}".`);
  return value;
}

/** AnilloError BAD_OPTION for a device or a property that there is not. */
export function parseDevice(text: string): Partial<MachineOptions> {
  const [name, ...settings] = text.split(',');
  const device = Object.hasOwn(OPTIONAL_DEVICES, name) ? OPTIONAL_DEVICES[name] : undefined;
  if (device === undefined) {
    const close = nearest(name, Object.keys(OPTIONAL_DEVICES));
    const hint = close === undefined ? `the devices are ${Object.keys(OPTIONAL_DEVICES).join(', ')}.` : `did you mean ${close}?`;
    throw new AnilloError('BAD_OPTION', `There is no device "${name}"; ${hint}`);
  }
  const values: Record<string, number> = {};
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    const key = equals < 0 ? setting : setting.slice(0, equals);
    if (equals < 0 || !device.keys.includes(key)) {
      const known = device.keys.length === 0 ? 'it takes none' : `it takes ${device.keys.map((k) => `${k}=N`).join(', ')}`;
      throw new AnilloError('BAD_OPTION', `${name} does not take "${setting}"; ${known}.`);
    }
    values[key] = parseNumber(name, key, setting.slice(equals + 1));
  }
  return device.configure(values);
}
