// Memory sizes as people write them: "512M", "1G", "1.5G", "524288K", or a number of MiB.

import { AnilloError } from '@anillo/base/anillo-error';
import { GIB, KIB, MIB } from './boards/memory-map.ts';

const SMALLEST_MIB = 1;
/** One WebAssembly memory holds guest RAM, translations and vCPUs. */
const LARGEST_MIB = 3584;
const UNITS: Readonly<Record<string, number>> = { K: KIB, M: MIB, G: GIB, T: 1024 * GIB };

/** Bytes of RAM, a whole number of MiB from 1 to 3584. AnilloError BAD_MEMORY for anything else. */
export function parseMemory(size: string | number): number {
  const text = String(size).trim();
  const match = /^(\d+(?:\.\d+)?)\s*(?:([KMGT])(?:i?B)?)?$/i.exec(text);
  if (match === null) throw new AnilloError('BAD_MEMORY', `"${text}" is no memory size; give for example 512M, 2G or a number of MiB.`);
  const bytes = Number(match[1]) * UNITS[(match[2] ?? 'M').toUpperCase()];
  const range = `give ${SMALLEST_MIB}M to ${LARGEST_MIB}M`;
  if (bytes === 0) throw new AnilloError('BAD_MEMORY', `A machine needs memory; ${range}.`);
  if (bytes < SMALLEST_MIB * MIB) throw new AnilloError('BAD_MEMORY', `A memory of ${text} is too small; ${range}.`);
  if (bytes > LARGEST_MIB * MIB) throw new AnilloError('BAD_MEMORY', `A memory of ${text} is too large; ${range}.`);
  if (bytes % MIB !== 0) throw new AnilloError('BAD_MEMORY', `A memory of ${text} is not a whole number of MiB; round it.`);
  return bytes;
}
