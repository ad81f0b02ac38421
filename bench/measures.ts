// What is measured: a row of the table each. The job that a measure belongs to is run once a round for each contender.

import { AnilloError } from '@anillo/base/anillo-error';
import { GUEST_MEMORY_MIB } from './contender.ts';
import type { GuestRun } from './guest-run.ts';
import { markedWork } from './marks.ts';
import { WORKLOADS, type WorkloadName } from './workloads.ts';

/** boot: Linux to init and off. work: Linux with the workloads. start, spin: the firmware, brief and long. */
export type JobName = 'boot' | 'work' | 'start' | 'spin' | 'interpreted-boot';

/** The figure that a median is held against. */
export type Goal = { readonly ratioAtMost: number } | { readonly atMost: number } | { readonly atLeast: number };

export interface Measure {
  /** What `--only` calls it; several measures may share one. */
  readonly name: string;
  readonly title: string;
  readonly unit: 's' | 'ms' | 'MiB' | 'million/s';
  readonly job: JobName;
  /** Has no counterpart in a peer. */
  readonly alone?: boolean;
  /** Counts in the geometric mean of the ratios. */
  readonly inMean?: boolean;
  readonly goal?: Goal;
  /** AnilloError STATE where the run does not show it. `note`: what a reader of the figure must know. */
  readonly value: (run: GuestRun, note: (sentence: string) => void) => number;
}

const INTERPRETED = 'guest instructions, interpreted';
export const FIRST_INSTRUCTION = 'first guest instruction, ms';

function stat(run: GuestRun, name: string): number {
  const value = run.stats.get(name);
  if (value === undefined) throw new AnilloError('STATE', `'anillo run --stats' printed no row "${name}"; bench/measures.ts expects it.`);
  return value;
}

/** The work's time, once its result has been checked. */
function worked(name: WorkloadName): Measure['value'] {
  return (run, note) => {
    const { seconds, check, clocksAgree, hostSeconds } = markedWork(run.lines, name);
    const { expected } = WORKLOADS[name];
    if (check !== expected) throw new AnilloError('STATE', `The guest computed ${name} wrongly: "${check}" instead of "${expected}".`);
    if (!clocksAgree)
      note(`the guest's clock was wrong during ${name}, where the host's says ${hostSeconds?.toFixed(2)} s; the host's counts`);
    return seconds;
  };
}

const workloads = (Object.keys(WORKLOADS) as WorkloadName[]).map(
  (name): Measure => ({ name, title: WORKLOADS[name].title, unit: 's', job: 'work', inMean: true, value: worked(name) }),
);

const bootGoal: Goal = { ratioAtMost: 3 };
const MEMORY_BEYOND_GUEST_MIB = 350;

/** By the host's clock: the kernel's begins late, and loses time while it counts ticks only. */
function hostBootSeconds(run: GuestRun): number {
  const first = run.lines.find((line) => line.text.includes('Linux version '));
  if (first === undefined)
    throw new AnilloError('STATE', "The kernel's first line did not come; pass a kernel that knows earlyprintk=ttyS0.");
  return (markedWork(run.lines, 'boot').endedAtMs - first.atMs) / 1000;
}

export const MEASURES: readonly Measure[] = [
  {
    ...{ name: 'boot', title: 'boot: kernel start to init', unit: 's', job: 'boot', inMean: true, goal: bootGoal },
    value: hostBootSeconds,
  },
  {
    ...{ name: 'boot', title: "boot: the same by the guest's clock", unit: 's', job: 'boot', goal: bootGoal },
    value: (run) => markedWork(run.lines, 'boot').seconds,
  },
  {
    ...{ name: 'boot', title: 'boot: process start to its end', unit: 's', job: 'boot', inMean: true, goal: bootGoal },
    value: (run) => (run.endedAtMs - run.startedAtMs) / 1000,
  },
  ...workloads,
  {
    ...{
      name: 'start',
      title: 'process start to first guest instruction, Linux',
      unit: 'ms',
      job: 'boot',
      alone: true,
      goal: { atMost: 400 },
    },
    value: (run) => stat(run, FIRST_INSTRUCTION),
  },
  {
    ...{ name: 'start', title: 'process start to first line of a firmware', unit: 'ms', job: 'start' },
    value: (run) => {
      markedWork(run.lines, 'spin');
      return run.lines[0].atMs - run.startedAtMs;
    },
  },
  {
    ...{ name: 'memory', title: `peak memory at init, ${GUEST_MEMORY_MIB} MiB of guest RAM included`, unit: 'MiB', job: 'boot' },
    goal: { atMost: GUEST_MEMORY_MIB + MEMORY_BEYOND_GUEST_MIB },
    value: (run) => run.peakMib,
  },
  {
    ...{ name: 'interp', title: 'interpreter, instructions of a loop', unit: 'million/s', job: 'spin', alone: true, goal: { atLeast: 30 } },
    value: (run) => stat(run, INTERPRETED) / 1e6 / markedWork(run.lines, 'spin').seconds,
  },
  {
    ...{ name: 'interp', title: 'interpreter, instructions of a Linux boot', unit: 'million/s', job: 'interpreted-boot', alone: true },
    value: (run) => stat(run, INTERPRETED) / 1e6 / ((run.endedAtMs - run.startedAtMs) / 1000),
  },
];

export const MEASURE_NAMES: readonly string[] = [...new Set(MEASURES.map((measure) => measure.name))];
