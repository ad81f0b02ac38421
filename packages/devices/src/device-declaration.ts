// What a user may plug in by name (`-device name,key=value`): a device's name, its options with defaults, and how to make one.

import { AnilloError } from '@anillo/base/anillo-error';
import type { CharBackend, Device, DeviceContext } from './device.ts';

export interface NumberOption {
  readonly summary: string;
  readonly default: number;
  readonly minimum: number;
  readonly maximum: number;
}

export type OptionSpecs = Readonly<Record<string, NumberOption>>;
export type OptionValues<S extends OptionSpecs> = { readonly [K in keyof S]: number };

export interface DeviceDeclaration<S extends OptionSpecs = OptionSpecs> {
  readonly name: string;
  readonly summary: string;
  readonly options: S;
  create(context: DeviceContext, options: OptionValues<S>, backend: CharBackend | undefined): Device;
}

/** Ties the option names of `create` to those of `options`. */
export function declareDevice<const S extends OptionSpecs>(declaration: DeviceDeclaration<S>): DeviceDeclaration {
  return declaration as unknown as DeviceDeclaration;
}

/** Option values from a user's text, decimal or 0x; what is missing takes its default. */
export function parseOptions(declaration: DeviceDeclaration, given: Readonly<Record<string, string>>): OptionValues<OptionSpecs> {
  for (const key of Object.keys(given)) {
    if (!(key in declaration.options)) {
      const known = Object.keys(declaration.options).join(', ') || 'none';
      throw new AnilloError('BAD_OPTION', `Device ${declaration.name} has no option ${key}; it has: ${known}.`);
    }
  }
  const values: Record<string, number> = {};
  for (const [key, option] of Object.entries(declaration.options)) {
    const text = given[key];
    const value = text === undefined ? option.default : /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
    if (!(value >= option.minimum && value <= option.maximum)) {
      throw new AnilloError(
        'BAD_OPTION',
        `Option ${key} of device ${declaration.name} must be a number from ${option.minimum} to ${option.maximum}, not "${text}".`,
      );
    }
    values[key] = value;
  }
  return values;
}
