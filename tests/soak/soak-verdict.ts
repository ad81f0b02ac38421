// Judges a soak: what has been measured round by round must stay as it is.

import { median } from '../../bench/statistics.ts';

export interface SoakRound {
  /** Of the clock that counts, for this round. */
  readonly seconds: number;
  readonly rssMib: number;
  /** Guest's clock less the host's. */
  readonly clockOffsetMs: number;
}

const MOST_SLOWER = 0.1;
/** From one third to the next; the first may grow by what is translated in it. Garbage that has not been collected yet is no growth. */
const MOST_GROWTH = 0.02;
const NOISE_MIB = 24;
const MOST_CLOCK_OFFSET_MS = 1000;
/** The first rounds translate. */
export const WARM_UP_ROUNDS = 2;
export const FEWEST_ROUNDS = 9;

/** Medians of the first, the second and the last third. */
export function thirds(values: readonly number[]): readonly [number, number, number] {
  const at = (part: number): number => Math.round((values.length * part) / 3);
  return [median(values.slice(0, at(1))), median(values.slice(at(1), at(2))), median(values.slice(at(2)))];
}

const percent = (ratio: number): string => `${((ratio - 1) * 100).toFixed(1)} %`;

/** Sentences; none: it passed. */
export function soakFailures(all: readonly SoakRound[]): readonly string[] {
  const rounds = all.slice(WARM_UP_ROUNDS);
  if (all.length < FEWEST_ROUNDS) return [`Only ${all.length} rounds were done; give it more minutes.`];
  const failures: string[] = [];
  const [first, second, last] = thirds(rounds.map(({ seconds }) => seconds));
  // It may well become faster; but not slower than it has been.
  const slower = last / Math.min(first, second);
  if (slower > 1 + MOST_SLOWER) failures.push(`The same work took ${percent(slower)} longer in the last third than before.`);
  const [early, middle, late] = thirds(rounds.map(({ rssMib }) => rssMib));
  if (late - middle > NOISE_MIB + MOST_GROWTH * middle)
    failures.push(`Memory grew from ${early.toFixed(0)} over ${middle.toFixed(0)} to ${late.toFixed(0)} MiB.`);
  const offsets = rounds.map(({ clockOffsetMs }) => clockOffsetMs);
  const apart = Math.max(...offsets) - Math.min(...offsets);
  if (apart > MOST_CLOCK_OFFSET_MS) failures.push(`The guest's clock and the host's went ${apart.toFixed(0)} ms apart.`);
  return failures;
}
