// A profile as a file for https://www.speedscope.app (its "sampled" format), which also works from a folder without a network.

import type { GuestProfile, ProfileStack } from './guest-profile.ts';
import type { SymbolTable } from './symbol-table.ts';

const PAGE = 0xfffn;
/** Linear addresses from here on are a 64-bit kernel's. */
const UPPER_HALF = 1n << 63n;

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** Names from the root to the leaf. Code without a symbol goes by its page. */
function namesOf(stack: ProfileStack, symbols: SymbolTable): readonly string[] {
  if (stack.kind === 'activity') return stack.path;
  const { tier, address } = stack;
  const symbol = symbols.find(address);
  const place = address >= UPPER_HALF ? 'kernel' : 'lower half';
  if (symbol === undefined) return [tier, place, `page ${hex(address & ~PAGE)}`, hex(address)];
  return [tier, place, symbol.name, `${symbol.name}+${hex(symbol.offset)}`];
}

/** JSON. */
export function speedscopeFile(profile: GuestProfile, symbols: SymbolTable, name: string): string {
  const frames: { readonly name: string }[] = [];
  const numbers = new Map<string, number>();
  const frameOf = (frame: string): number => {
    let number = numbers.get(frame);
    if (number === undefined) {
      number = frames.push({ name: frame }) - 1;
      numbers.set(frame, number);
    }
    return number;
  };
  const stacks = profile.stacks.map((stack) => namesOf(stack, symbols).map(frameOf));
  const entries = profile.entries();
  const weights = entries.map(({ ms }) => Number(ms.toFixed(4)));
  return JSON.stringify({
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    exporter: 'anillo',
    name,
    activeProfileIndex: 0,
    shared: { frames },
    profiles: [
      {
        ...{ type: 'sampled', name, unit: 'milliseconds' },
        ...{ startValue: 0, endValue: weights.reduce((sum, weight) => sum + weight, 0) },
        samples: entries.map(({ stack }) => stacks[stack]),
        weights,
      },
    ],
  });
}
