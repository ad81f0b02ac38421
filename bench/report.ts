// From samples to results: minimum, median and ratio of each measure, held against its goal; geometric means of the ratios.

import type { Goal, Measure } from './measures.ts';
import { geometricMean, median } from './statistics.ts';
import { GROUP_NAMES } from './workloads/workloads.ts';
import { type GroupName, PHASES, type Phase } from './workloads/workload.ts';

/** NaN where there are no samples. */
export interface Summary {
  readonly minimum: number;
  readonly median: number;
  readonly samples: readonly number[];
}

export interface PeerResult {
  readonly name: string;
  readonly summary: Summary;
  /** Of the medians, Anillo's by the peer's. */
  readonly ratio: number;
}

export interface MeasureResult {
  readonly name: string;
  readonly title: string;
  readonly unit: Measure['unit'];
  readonly phase: Phase | undefined;
  readonly group: GroupName | undefined;
  readonly anillo: Summary;
  /** Those that were measured, in the contenders' order. */
  readonly peers: readonly PeerResult[];
  readonly goal: Goal | undefined;
  /** Undefined without a goal, or where the goal is beside a peer that is missing. */
  readonly reached: boolean | undefined;
}

export interface MeanResult {
  readonly title: string;
  readonly phase: Phase;
  readonly peer: string;
  readonly ratio: number;
  readonly workloadCount: number;
}

export interface Report {
  readonly results: readonly MeasureResult[];
  readonly means: readonly MeanResult[];
}

export interface Samples {
  readonly measure: Measure;
  readonly anillo: readonly number[];
  /** By the contender's name; none for who was not measured. */
  readonly peers: ReadonlyMap<string, readonly number[]>;
}

const WITH_KERNEL: readonly GroupName[] = ['system', 'smp', 'disk', 'network'];
const MEANS: readonly { readonly title: string; readonly groups: readonly GroupName[] }[] = [
  { title: 'all workloads', groups: GROUP_NAMES },
  { title: 'all CPU workloads', groups: GROUP_NAMES.filter((name) => !WITH_KERNEL.includes(name)) },
  { title: 'floating point and SIMD', groups: ['fp', 'simd'] },
  { title: 'crypto', groups: ['crypto'] },
  { title: 'disks', groups: ['disk'] },
  { title: 'network', groups: ['network'] },
  { title: 'system calls, processes, faults, threads', groups: ['system', 'smp'] },
];

function summary(samples: readonly number[]): Summary {
  return { minimum: samples.length === 0 ? Number.NaN : Math.min(...samples), median: median(samples), samples };
}

function reached(goal: Goal | undefined, value: number, ratio: number | undefined): boolean | undefined {
  if (goal === undefined || Number.isNaN(value)) return undefined;
  if ('atMost' in goal) return value <= goal.atMost;
  if ('atLeast' in goal) return value >= goal.atLeast;
  return ratio === undefined ? undefined : ratio <= goal.ratioAtMost;
}

function resultOf({ measure, ...samples }: Samples, rival: string | undefined): MeasureResult {
  const { name, title, unit, phase, group, goal } = measure;
  const anillo = summary(samples.anillo);
  const peers = [...samples.peers].map(([peer, values]) => ({ name: peer, summary: summary(values) }));
  const measured = peers.filter((peer) => peer.summary.samples.length > 0);
  const results = measured.map((peer): PeerResult => ({ ...peer, ratio: anillo.median / peer.summary.median }));
  const ratio = results.find((peer) => peer.name === rival)?.ratio;
  return { name, title, unit, phase, group, anillo, peers: results, goal, reached: reached(goal, anillo.median, ratio) };
}

function meansOf(results: readonly MeasureResult[]): readonly MeanResult[] {
  const names = new Set(results.flatMap(({ peers }) => peers.map(({ name }) => name)));
  return MEANS.flatMap(({ title, groups }) =>
    PHASES.flatMap((phase) =>
      [...names].flatMap((peer): readonly MeanResult[] => {
        const rows = results.filter(
          (result) => result.phase === phase && result.unit === 's' && result.group !== undefined && groups.includes(result.group),
        );
        const ratios = rows.flatMap(({ peers }) => peers.filter(({ name }) => name === peer).map(({ ratio }) => ratio));
        const known = ratios.filter(Number.isFinite);
        return known.length === 0 ? [] : [{ title, phase, peer, ratio: geometricMean(known), workloadCount: known.length }];
      }),
    ),
  );
}

/** `rival`: the peer beside which goals are. */
export function makeReport(samples: readonly Samples[], rival: string | undefined): Report {
  const results = samples.map((one) => resultOf(one, rival));
  return { results, means: meansOf(results) };
}
