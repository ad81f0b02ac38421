// Marks: what a measured guest says on its console, one line each.
//   ANILLO-BENCH name begin             the work begins
//   ANILLO-BENCH name SECONDS CHECK     it is done: seconds by the guest's clock ("-": it has none), proof of the work
// The host notes when each line comes, so a guest clock that goes wrong cannot flatter.

import { AnilloError } from '@anillo/base/anillo-error';

export interface ConsoleLine {
  readonly atMs: number;
  readonly text: string;
}

export interface MarkedWork {
  /** By the guest's clock; by the host's where the guest has none or the two disagree. */
  readonly seconds: number;
  /** Undefined without a `begin`. */
  readonly hostSeconds: number | undefined;
  /** The clocks say the same, as far as the way to the host allows. */
  readonly clocksAgree: boolean;
  readonly check: string;
  readonly endedAtMs: number;
}

/** A line reaches the host some milliseconds after the guest wrote it. */
const TOLERANCE_SECONDS = 0.05;
const TOLERANCE_SHARE = 0.05;

/** AnilloError STATE where the mark is missing. */
export function markedWork(lines: readonly ConsoleLine[], name: string): MarkedWork {
  const pattern = new RegExp(`ANILLO-BENCH ${name} (begin|-|\\d+\\.\\d+)(?: (\\S+))?`);
  let beganAtMs: number | undefined;
  for (const { atMs, text } of lines) {
    const match = pattern.exec(text);
    if (match === null) continue;
    const [, when, check = ''] = match;
    if (when === 'begin') {
      beganAtMs = atMs;
      continue;
    }
    const hostSeconds = beganAtMs === undefined ? undefined : (atMs - beganAtMs) / 1000;
    const guestSeconds = when === '-' ? undefined : Number(when);
    const both = guestSeconds !== undefined && hostSeconds !== undefined;
    const clocksAgree =
      !both || Math.abs(guestSeconds - hostSeconds) <= Math.max(TOLERANCE_SECONDS, TOLERANCE_SHARE * Math.max(guestSeconds, hostSeconds));
    const seconds = (clocksAgree ? (guestSeconds ?? hostSeconds) : hostSeconds) ?? Number.NaN;
    return { seconds, hostSeconds, clocksAgree, check, endedAtMs: atMs };
  }
  const tail = lines.slice(-8).map((line) => `  ${line.text}`);
  throw new AnilloError(
    'STATE',
    `The guest ended without its mark for "${name}"; the last lines of its console tell why:\n${tail.join('\n')}`,
  );
}
