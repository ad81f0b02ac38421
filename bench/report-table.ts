// The report as tables for a terminal.

import { ANILLO } from './anillo.ts';
import type { Resources } from './collect.ts';
import { NATIVE } from './native.ts';
import type { MeasureResult, Report, Summary } from './report.ts';
import { GROUPS } from './workloads/workload.ts';
import { GROUP_NAMES } from './workloads/workloads.ts';

/** Three digits that mean something. */
export function figure(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '?';
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const times = (ratio: number | undefined): string => `${figure(ratio)}x`;

function goalText({ goal, reached }: MeasureResult): string {
  if (goal === undefined) return '';
  const text = 'atMost' in goal ? `<= ${goal.atMost}` : 'atLeast' in goal ? `>= ${goal.atLeast}` : `<= ${goal.ratioAtMost}x`;
  return reached === undefined ? text : `${text} ${reached ? 'yes' : 'NO'}`;
}

/** The first column to the left, the others to the right; a row of one cell is a heading. */
function layOut(rows: readonly (readonly string[])[]): string {
  const columns = rows[0].map((_, column) => column);
  const widths = columns.map((column) => Math.max(...rows.filter((row) => row.length > 1).map((row) => row[column].length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}

const peerOf = (result: MeasureResult | undefined, name: string) => result?.peers.find((peer) => peer.name === name);

/** What is measured once: the boot, memory, the start. */
function machineTable(results: readonly MeasureResult[], peers: readonly string[]): string {
  const header = ['', 'unit', `${ANILLO} min`, 'median', ...peers.flatMap((name) => [`${name} min`, 'median', 'ratio']), 'goal'];
  const rows = results.map((result) => {
    const { title, unit, anillo } = result;
    const beside = peers.flatMap((name) => {
      const peer = peerOf(result, name);
      return peer === undefined ? ['', '', ''] : [figure(peer.summary.minimum), figure(peer.summary.median), times(peer.ratio)];
    });
    return [title, unit, figure(anillo.minimum), figure(anillo.median), ...beside, goalText(result)];
  });
  return layOut([header, ...rows]);
}

interface Pair {
  readonly cold: MeasureResult | undefined;
  readonly warm: MeasureResult;
}

const warmAndCold = (cold: Summary | undefined, warm: Summary | undefined): readonly string[] => [
  figure(cold?.median),
  figure(warm?.minimum),
  figure(warm?.median),
];

function pairCells({ cold, warm }: Pair, peers: readonly string[]): readonly string[] {
  const beside = peers.flatMap((name) => {
    const [first, second] = [peerOf(cold, name), peerOf(warm, name)];
    if (first === undefined && second === undefined) return name === NATIVE ? ['', ''] : ['', '', '', '', ''];
    if (name === NATIVE) return [figure(second?.summary.median), times(second?.ratio)];
    return [...warmAndCold(first?.summary, second?.summary), times(first?.ratio), times(second?.ratio)];
  });
  return [...warmAndCold(cold?.anillo, warm.anillo), ...beside, goalText(warm)];
}

/** The workloads, in seconds: cold the median of the first time in a boot, min and warm of the second. */
function workloadTable(results: readonly MeasureResult[], peers: readonly string[]): string {
  const besides = peers.flatMap((name) =>
    name === NATIVE ? [name, 'ratio'] : [`${name} cold`, 'min', 'warm', 'cold ratio', 'warm ratio'],
  );
  const rows: (readonly string[])[] = [['seconds', `${ANILLO} cold`, 'min', 'warm', ...besides, 'goal']];
  for (const group of GROUP_NAMES) {
    const warm = results.filter((result) => result.group === group && result.phase === 'warm');
    if (warm.length > 0) rows.push([GROUPS[group]]);
    for (const result of warm) {
      const cold = results.find(({ title, phase }) => title === result.title && phase === 'cold');
      rows.push([`  ${result.title}`, ...pairCells({ cold, warm: result }, peers)]);
    }
  }
  return layOut(rows);
}

function meanTable({ means }: Report): string {
  const keys = [...new Map(means.map(({ title, peer }) => [`${title}\n${peer}`, { title, peer }])).values()];
  const rows = keys.map(({ title, peer }) => {
    const of = (phase: string) => means.find((mean) => mean.title === title && mean.peer === peer && mean.phase === phase);
    const [cold, warm] = [of('cold'), of('warm')];
    return [
      title,
      peer,
      String(warm?.workloadCount ?? cold?.workloadCount),
      times(cold?.ratio),
      times(warm?.ratio),
      figure(1 / (warm?.ratio ?? NaN)),
    ];
  });
  return layOut([["geometric mean of Anillo's time by", 'peer', 'workloads', 'cold', 'warm', 'peer by Anillo, warm'], ...rows]);
}

/** Rows of `--stats` that tell of compilation. */
const COMPILATION = /compil|module/;

function resourceTable(resources: readonly Resources[], contenders: readonly string[]): string {
  const counters = [...new Set(resources.flatMap(({ stats }) => [...stats.keys()]))].filter((name) => COMPILATION.test(name));
  const jobs = [...new Set(resources.map(({ job }) => job))];
  const of = (job: string, contender: string) => resources.find((one) => one.job === job && one.contender === contender);
  const shown = contenders.filter((name) => name !== NATIVE);
  const rows = jobs.map((job) => [
    job,
    ...shown.map((name) => figure(of(job, name)?.peakMib)),
    ...counters.map((name) => of(job, ANILLO)?.stats.get(name)?.toLocaleString('en') ?? ''),
  ]);
  return layOut([['a boot with', ...shown.map((name) => `${name} peak MiB`), ...counters], ...rows]);
}

/** `peers`: the contenders beside Anillo, in order. */
export function reportTable(report: Report, resources: readonly Resources[], peers: readonly string[]): string {
  const machine = report.results.filter(({ phase }) => phase === undefined);
  const work = report.results.filter(({ phase }) => phase !== undefined);
  const guests = peers.filter((name) => name !== NATIVE);
  return [
    ...(work.length > 0 ? [workloadTable(work, peers)] : []),
    ...(report.means.length > 0 ? [meanTable(report)] : []),
    ...(machine.length > 0 ? [machineTable(machine, guests)] : []),
    ...(resources.length > 0 ? [resourceTable(resources, [ANILLO, ...guests])] : []),
  ].join('\n');
}
