// Marks: what a measured guest says on its console, one line each.
//   ANILLO-BENCH name begin             the work begins
//   ANILLO-BENCH name SECONDS CHECK     it is done: seconds by the guest's clock ("-": it has none), proof of the work
//   ANILLO-BENCH name check CHECK       the proof, where it takes time of its own
// The host notes when each line comes, so a guest clock that goes wrong cannot flatter.

import { AnilloError } from '@anillo/base/anillo-error';

export interface ConsoleLine {
  readonly atMs: number;
  /** What the contender's process had used of the processors then; NaN where the host does not tell. */
  readonly cpuSeconds: number;
  readonly text: string;
}

export interface MarkedWork {
  /** By the guest's clock; by the host's where the guest has none or the two disagree. */
  readonly seconds: number;
  /** Undefined without a `begin`. */
  readonly hostSeconds: number | undefined;
  /** The clocks say the same, as far as the way to the host allows. */
  readonly clocksAgree: boolean;
  /** Processor time of the contender's process; NaN without a `begin`, or where the host does not tell. */
  readonly cpuSeconds: number;
  readonly check: string;
  readonly endedAtMs: number;
  readonly endedAtCpuSeconds: number;
}

/** The guest did not come so far. */
export class MissingMark extends AnilloError {}

/** A line reaches the host some milliseconds after the guest wrote it. */
const TOLERANCE_SECONDS = 0.05;
const TOLERANCE_SHARE = 0.05;

function judged(began: ConsoleLine | undefined, ended: ConsoleLine, guestSeconds: number | undefined): Omit<MarkedWork, 'check'> {
  const hostSeconds = began === undefined ? undefined : (ended.atMs - began.atMs) / 1000;
  const both = guestSeconds !== undefined && hostSeconds !== undefined;
  const clocksAgree =
    !both || Math.abs(guestSeconds - hostSeconds) <= Math.max(TOLERANCE_SECONDS, TOLERANCE_SHARE * Math.max(guestSeconds, hostSeconds));
  const seconds = (clocksAgree ? (guestSeconds ?? hostSeconds) : hostSeconds) ?? Number.NaN;
  const cpuSeconds = began === undefined ? Number.NaN : ended.cpuSeconds - began.cpuSeconds;
  return { seconds, hostSeconds, clocksAgree, cpuSeconds, endedAtMs: ended.atMs, endedAtCpuSeconds: ended.cpuSeconds };
}

/** MissingMark where a mark is missing. */
export function markedWork(lines: readonly ConsoleLine[], name: string): MarkedWork {
  const pattern = new RegExp(`ANILLO-BENCH ${name} (begin|check|-|\\d+\\.\\d+)(?: (\\S+))?`);
  let began: ConsoleLine | undefined;
  let done: Omit<MarkedWork, 'check'> | undefined;
  for (const line of lines) {
    const match = pattern.exec(line.text);
    if (match === null) continue;
    const [, what, proof] = match;
    if (what === 'begin') began = line;
    else if (what !== 'check') done = judged(began, line, what === '-' ? undefined : Number(what));
    if (done !== undefined && (what === 'check' || proof !== undefined)) return { ...done, check: proof ?? '' };
  }
  const tail = lines.slice(-8).map((line) => `  ${line.text}`);
  throw new MissingMark(
    'STATE',
    `The guest ended without its mark for "${name}"; the last lines of its console tell why:\n${tail.join('\n')}`,
  );
}
