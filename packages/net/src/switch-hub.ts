// A switch that several processes share, where it is: each joins by a stream of frames. The processes agree here on their cards' addresses: a card that comes gets the first of those it
// wants that no other has.

import type { Clock } from './clock.ts';
import { formatMac, isGroupMac, parseMac } from './mac-address.ts';
import { Switch } from './switch.ts';

/** Wanted at once. */
export const MOST_WANTED = 16;

export class SwitchHub {
  readonly network: Switch;
  readonly #owners = new Map<number, object>();

  constructor(clock: Clock) {
    this.network = new Switch({ clock });
  }

  /** The first that is free for `owner`; where none is, the first. */
  claim(owner: object, wanted: readonly number[]): number {
    const free = wanted.find((mac) => (this.#owners.get(mac) ?? owner) === owner) ?? wanted[0];
    if (!this.#owners.has(free)) this.#owners.set(free, owner);
    return free;
  }

  release(owner: object): void {
    for (const [mac, other] of this.#owners) if (other === owner) this.#owners.delete(mac);
  }
}

/** What a process that joins says: the addresses that it would have, best first. */
export const askFor = (wanted: readonly number[]): string => JSON.stringify({ wanted: wanted.slice(0, MOST_WANTED).map(formatMac) });

/** The answer. */
export const grant = (mac: number): string => JSON.stringify({ granted: formatMac(mac) });

function macOf(value: unknown): number | undefined {
  const mac = typeof value === 'string' ? parseMac(value) : undefined;
  return mac === undefined || mac === 0 || isGroupMac(mac) ? undefined : mac;
}

/** What another process has said; undefined: nothing that makes sense. */
export function readText(text: string): { readonly wanted: readonly number[] } | { readonly granted: number } | undefined {
  try {
    const { wanted, granted } = JSON.parse(text) as { readonly wanted?: unknown; readonly granted?: unknown };
    const mac = macOf(granted);
    if (mac !== undefined) return { granted: mac };
    if (!Array.isArray(wanted) || wanted.length > MOST_WANTED) return undefined;
    const macs = wanted.map(macOf).filter((one) => one !== undefined);
    return macs.length === 0 ? undefined : { wanted: macs };
  } catch {
    return undefined;
  }
}
