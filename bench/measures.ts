// What is measured: a row of the table each. The job that a measure belongs to is run once a round for each contender.

import { AnilloError } from '@anillo/base/anillo-error';
import { GUEST_MEMORY_MIB } from './contender.ts';
import { markName } from './guest/guest-scripts.ts';
import type { GuestRun } from './guest-run.ts';
import type { JobName } from './jobs.ts';
import { markedWork } from './marks.ts';
import { type GroupName, NOT_SUPPORTED, PHASES, type Phase, type Workload } from './workloads/workload.ts';
import { WORKLOADS } from './workloads/workloads.ts';

/** The figure that a median is held against. */
export type Goal = { readonly ratioAtMost: number } | { readonly atMost: number } | { readonly atLeast: number };

/** wall: what passes. cpu: what the contender's process uses, for a machine that has other work to do. */
export type Clock = 'wall' | 'cpu';

/** Who reads a run's figures. */
export interface RunReader {
  readonly clock: Clock;
  /** What a reader of the figure must know. */
  note(sentence: string): void;
  /** AnilloError STATE where another run proved its work differently. */
  agree(workload: string, check: string): void;
}

export interface Measure {
  /** What `--only` calls it; several measures may share one. */
  readonly name: string;
  readonly title: string;
  readonly unit: 's' | 'CPU s' | 'ms' | 'MiB' | 'million/s';
  readonly job: JobName;
  /** Of a workload. */
  readonly phase?: Phase;
  readonly group?: GroupName;
  /** Has no counterpart in a peer. */
  readonly alone?: boolean;
  readonly goal?: Goal;
  /** AnilloError STATE where the run does not show it or its work is wrong; undefined where the contender cannot do it. */
  readonly value: (run: GuestRun, reader: RunReader) => number | undefined;
}

const INTERPRETED = 'guest instructions, interpreted';
export const FIRST_INSTRUCTION = 'first guest instruction, ms';

function stat(run: GuestRun, name: string): number {
  const value = run.stats.get(name);
  if (value === undefined) throw new AnilloError('STATE', `'anillo run --stats' printed no row "${name}"; bench/measures.ts expects it.`);
  return value;
}

/** The work's time, once its result has been checked. */
function worked(name: string, phase: Phase, { expected }: Workload): Measure['value'] {
  return (run, reader) => {
    const { seconds, check, clocksAgree, hostSeconds, cpuSeconds } = markedWork(run.lines, markName(name, phase));
    if (check === NOT_SUPPORTED) return undefined;
    if (check === '' || check.startsWith('WRONG') || (expected !== undefined && check !== expected))
      throw new AnilloError('STATE', `the work was done wrongly: "${check}"${expected === undefined ? '' : ` instead of "${expected}"`}`);
    reader.agree(name, check);
    if (reader.clock === 'cpu') return cpuSeconds;
    if (!clocksAgree)
      reader.note(`its guest's clock was wrong during ${name}, where the host's says ${hostSeconds?.toFixed(2)} s, which counts`);
    return seconds;
  };
}

/** CPU work: nowhere much slower than the peer. What the kernel does, and the host for it: not slower. */
const SLOWEST_CPU_RATIO = 1.25;
const NOT_SLOWER: readonly GroupName[] = ['system', 'smp', 'disk', 'network'];
const goalOf = ({ group, ratioAtMost }: Workload): Goal => ({
  ratioAtMost: ratioAtMost ?? (NOT_SLOWER.includes(group) ? 1 : SLOWEST_CPU_RATIO),
});
/** Where the time that passes is told, and what of the processors the host took for it. */
const WITH_CPU_TIME: readonly GroupName[] = ['disk', 'network'];

const workloads = [...WORKLOADS].flatMap(([name, workload]) =>
  PHASES.flatMap((phase): readonly Measure[] => {
    const { title, group } = workload;
    const goal = phase === 'warm' ? { goal: goalOf(workload) } : {};
    const value = worked(name, phase, workload);
    const measure: Measure = { name, title, unit: 's', job: group, phase, group, ...goal, value };
    if (!WITH_CPU_TIME.includes(group)) return [measure];
    const cpu = (run: GuestRun, reader: RunReader): number | undefined => value(run, { ...reader, clock: 'cpu' });
    return [
      { ...measure, value: (run, reader) => value(run, { ...reader, clock: 'wall' }) },
      { ...measure, title: `${title}: processor time`, unit: 'CPU s', value: cpu },
    ];
  }),
);

const bootGoal: Goal = { ratioAtMost: 1.2 };
const bootAgainGoal: Goal = { ratioAtMost: 0.7 };
const MEMORY_BEYOND_GUEST_MIB = 350;

/** By the host's clock: the kernel's begins late, and loses time while it counts ticks only. */
function hostBootSeconds(run: GuestRun, { clock }: RunReader): number {
  const first = run.lines.find((line) => line.text.includes('Linux version '));
  if (first === undefined)
    throw new AnilloError('STATE', "The kernel's first line did not come; pass a kernel that knows earlyprintk=ttyS0.");
  const { endedAtMs, endedAtCpuSeconds } = markedWork(run.lines, 'boot');
  return clock === 'cpu' ? endedAtCpuSeconds - first.cpuSeconds : (endedAtMs - first.atMs) / 1000;
}

export const MEASURES: readonly Measure[] = [
  {
    ...{ name: 'boot', title: 'boot: kernel start to init', unit: 's', job: 'boot', goal: bootGoal },
    value: hostBootSeconds,
  },
  {
    ...{ name: 'boot', title: "boot: the same by the guest's clock", unit: 's', job: 'boot', goal: bootGoal },
    value: (run) => markedWork(run.lines, 'boot').seconds,
  },
  {
    ...{ name: 'boot', title: 'boot: process start to its end', unit: 's', job: 'boot', goal: bootGoal },
    value: (run) => (run.endedAtMs - run.startedAtMs) / 1000,
  },
  {
    ...{
      name: 'boot-again',
      title: 'boot with translations kept: kernel start to init',
      unit: 's',
      job: 'boot-again',
      goal: bootAgainGoal,
    },
    value: hostBootSeconds,
  },
  {
    ...{ name: 'boot-again', title: "the same by the guest's clock", unit: 's', job: 'boot-again', goal: bootAgainGoal },
    value: (run) => markedWork(run.lines, 'boot').seconds,
  },
  ...workloads,
  {
    ...{
      name: 'start',
      title: 'process start to first guest instruction, Linux',
      unit: 'ms',
      job: 'boot',
      alone: true,
      goal: { atMost: 150 },
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
