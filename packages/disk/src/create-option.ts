// Values of `-o NAME=VALUE` where an image is made.

import { AnilloError } from '@anillo/base/anillo-error';
import type { CreateOptions } from './disk-format.ts';

/** AnilloError BAD_OPTION. */
export function switchOption(options: CreateOptions, name: string): boolean {
  const value = options[name] ?? 'off';
  if (value !== 'on' && value !== 'off') throw new AnilloError('BAD_OPTION', `${name}=${value} is not known; give on or off.`);
  return value === 'on';
}

/** The first of the choices is the default. AnilloError BAD_OPTION. */
export function choiceOption<T extends string>(options: CreateOptions, name: string, choices: readonly T[]): T {
  const value = options[name] ?? choices[0];
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new AnilloError('BAD_OPTION', `${name}=${value} is not known; give one of ${choices.join(', ')}.`);
  return found;
}

const UNITS = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 } as const;

/** Bytes, also as 64k or 8M. AnilloError BAD_OPTION. */
export function sizeOption(options: CreateOptions, name: string): number | undefined {
  const value = options[name];
  if (value === undefined) return undefined;
  const parts = /^(\d{1,15})([kmgt]?)(?:i?b)?$/i.exec(value);
  if (parts === null) throw new AnilloError('BAD_OPTION', `${name}=${value} is no size; give bytes, or a number with k, M, G or T.`);
  return Number(parts[1]) * UNITS[parts[2].toLowerCase() as keyof typeof UNITS];
}
