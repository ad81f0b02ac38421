// From samples to results: minimum, median and ratio of each measure, held against its goal.

import type { Measure } from './measures.ts';
import { geometricMean, median } from './statistics.ts';

export interface Summary {
  readonly minimum: number;
  readonly median: number;
  readonly samples: readonly number[];
}

export interface MeasureResult {
  readonly name: string;
  readonly title: string;
  readonly unit: Measure['unit'];
  readonly anillo: Summary;
  readonly peer: Summary | undefined;
  /** Of the medians, Anillo's by the peer's. */
  readonly ratio: number | undefined;
  readonly goal: Measure['goal'];
  /** Undefined without a goal, or where the goal is beside a peer that is missing. */
  readonly reached: boolean | undefined;
}

export interface Report {
  readonly results: readonly MeasureResult[];
  /** Of the ratios of the measures that count in it; undefined without any. */
  readonly meanRatio: number | undefined;
}

export interface Samples {
  readonly measure: Measure;
  readonly anillo: readonly number[];
  /** Empty where no peer was measured. */
  readonly peer: readonly number[];
}

const summary = (samples: readonly number[]): Summary => ({ minimum: Math.min(...samples), median: median(samples), samples });

function reached(goal: Measure['goal'], value: number, ratio: number | undefined): boolean | undefined {
  if (goal === undefined) return undefined;
  if ('atMost' in goal) return value <= goal.atMost;
  if ('atLeast' in goal) return value >= goal.atLeast;
  return ratio === undefined ? undefined : ratio <= goal.ratioAtMost;
}

function resultOf({ measure, ...samples }: Samples): MeasureResult {
  const { name, title, unit, goal } = measure;
  const anillo = summary(samples.anillo);
  const peer = samples.peer.length === 0 ? undefined : summary(samples.peer);
  const ratio = peer === undefined ? undefined : anillo.median / peer.median;
  return { name, title, unit, anillo, peer, ratio, goal, reached: reached(goal, anillo.median, ratio) };
}

export function makeReport(samples: readonly Samples[]): Report {
  const results = samples.map(resultOf);
  const ratios = results.filter((_, index) => samples[index].measure.inMean === true).flatMap(({ ratio }) => ratio ?? []);
  return { results, meanRatio: ratios.length === 0 ? undefined : geometricMean(ratios) };
}
