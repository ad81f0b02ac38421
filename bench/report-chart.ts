// The report as an SVG chart: for each work a bar from the line of the peer's time, to the left where Anillo is faster, to the right where it is
// slower, on a logarithmic scale; a ring marks the cold figure. Follows the reader's dark or light scheme.

import type { MeasureResult, Report } from './report.ts';
import { figure } from './report-table.ts';
import { GROUPS } from './workloads/workload.ts';
import { GROUP_NAMES } from './workloads/workloads.ts';

const WIDTH = 860;
const LEFT = 300;
const RIGHT = 170;
const TOP = 78;
const ROW_HEIGHT = 18;
const BAR_HEIGHT = 10;
const HEADING_HEIGHT = 26;
const NOTE_HEIGHT = 16;
const BOTTOM = 24;

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .heading { font-weight: 600 }
  .note, .tick { font-size: 11px; fill: #59636e }
  .faster { fill: #1a7f5a }
  .slower { fill: #bc4c00 }
  .cold { fill: #ffffff; stroke: #57606a; stroke-width: 1.5 }
  .grid { stroke: #8c959f; stroke-opacity: .35 }
  .peer { stroke: #57606a; stroke-width: 1.5 }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note, .tick { fill: #9198a1 } .faster { fill: #3fb985 } .slower { fill: #f0883e }
    .cold { fill: #0d1117; stroke: #c9d1d9 } .peer { stroke: #c9d1d9 }
  }`;

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

interface Row {
  readonly title: string;
  /** Anillo's time by the peer's: warm where there are two. */
  readonly ratio: number;
  readonly coldRatio: number | undefined;
  readonly seconds: string;
}

interface Section {
  readonly heading: string;
  readonly rows: readonly Row[];
}

function rowOf(result: MeasureResult, cold: MeasureResult | undefined, peerName: string): readonly Row[] {
  const peerOf = (of: MeasureResult | undefined) => of?.peers.find(({ name }) => name === peerName);
  const peer = peerOf(result);
  if (peer === undefined || !Number.isFinite(peer.ratio) || result.unit !== 's') return [];
  const coldRatio = peerOf(cold)?.ratio;
  const seconds = `${figure(result.anillo.median)} s : ${figure(peer.summary.median)} s`;
  return [{ title: result.title, ratio: peer.ratio, coldRatio: Number.isFinite(coldRatio) ? coldRatio : undefined, seconds }];
}

function sectionsOf({ results }: Report, peerName: string): readonly Section[] {
  const machine = results.filter(({ phase }) => phase === undefined).flatMap((result) => rowOf(result, undefined, peerName));
  const groups = GROUP_NAMES.map((group): Section => {
    const warm = results.filter((result) => result.group === group && result.phase === 'warm');
    const coldOf = (name: string) => results.find((result) => result.name === name && result.phase === 'cold');
    return { heading: GROUPS[group], rows: warm.flatMap((result) => rowOf(result, coldOf(result.name), peerName)) };
  });
  return [{ heading: 'boot', rows: machine }, ...groups].filter(({ rows }) => rows.length > 0);
}

/** Where a ratio stands. Whole octaves, one at least on either side. */
class Scale {
  readonly lowest: number;
  readonly highest: number;

  constructor(ratios: readonly number[]) {
    this.lowest = Math.min(-1, ...ratios.map((ratio) => Math.floor(Math.log2(ratio))));
    this.highest = Math.max(1, ...ratios.map((ratio) => Math.ceil(Math.log2(ratio))));
  }

  at(ratio: number): number {
    return LEFT + ((Math.log2(ratio) - this.lowest) / (this.highest - this.lowest)) * (WIDTH - LEFT - RIGHT);
  }
}

function rowSvg({ title, ratio, coldRatio, seconds }: Row, top: number, scale: Scale): string {
  const middle = top + ROW_HEIGHT / 2;
  const [from, to] = [scale.at(Math.min(1, ratio)), scale.at(Math.max(1, ratio))];
  const kind = ratio <= 1 ? 'faster' : 'slower';
  const cold = coldRatio === undefined ? '' : `\n  <circle class="cold" cx="${scale.at(coldRatio).toFixed(1)}" cy="${middle}" r="3.5"/>`;
  return `  <text class="end" x="${LEFT - 10}" y="${middle + 4}">${escaped(title)}</text>
  <rect class="bar ${kind}" x="${from.toFixed(1)}" y="${middle - BAR_HEIGHT / 2}" width="${(to - from).toFixed(1)}" height="${BAR_HEIGHT}"/>${cold}
  <text x="${WIDTH - RIGHT + 12}" y="${middle + 4}">${figure(ratio)}x <tspan class="note">${seconds}</tspan></text>`;
}

function gridSvg(scale: Scale, bottom: number): string {
  const octaves = Array.from({ length: scale.highest - scale.lowest + 1 }, (_, index) => scale.lowest + index);
  return octaves
    .map((octave) => {
      const x = scale.at(2 ** octave).toFixed(1);
      const label = octave < 0 ? `1/${2 ** -octave}` : `${2 ** octave}x`;
      return `  <line class="${octave === 0 ? 'peer' : 'grid'}" x1="${x}" x2="${x}" y1="${TOP - 6}" y2="${bottom}"/>
  <text class="tick middle" x="${x}" y="${TOP - 12}">${label}</text>`;
    })
    .join('\n');
}

function meanText({ means }: Report, peerName: string): string {
  const of = (title: string): string => {
    const [cold, warm] = ['cold', 'warm'].map((phase) =>
      means.find((mean) => mean.title === title && mean.peer === peerName && mean.phase === phase),
    );
    return warm === undefined || cold === undefined ? '' : `; ${title}: ${figure(warm.ratio)}x warm, ${figure(cold.ratio)}x cold`;
  };
  return `${of('all CPU workloads')}`.replace(/^; /, 'Geometric mean, ');
}

/** Undefined where nothing was measured beside the peer. `notes`: where and when it was measured, a line each. */
export function reportChart(report: Report, peerName: string, notes: readonly string[]): string | undefined {
  const sections = sectionsOf(report, peerName);
  const rows = sections.flatMap((section) => section.rows);
  if (rows.length === 0) return undefined;
  const scale = new Scale(rows.flatMap(({ ratio, coldRatio }) => [ratio, coldRatio ?? ratio]));
  let top = TOP;
  const body = sections.flatMap((section) => {
    const heading = `  <text class="heading" x="12" y="${top + HEADING_HEIGHT - 8}">${escaped(section.heading)}</text>`;
    top += HEADING_HEIGHT;
    const bars = section.rows.map((row, index) => rowSvg(row, top + index * ROW_HEIGHT, scale));
    top += section.rows.length * ROW_HEIGHT;
    return [heading, ...bars];
  });
  const noteLines = notes.map(
    (line, index) => `  <text class="note" x="12" y="${top + BOTTOM + index * NOTE_HEIGHT}">${escaped(line)}</text>`,
  );
  const name = escaped(peerName);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top + BOTTOM + notes.length * NOTE_HEIGHT}" role="img">
  <title>Anillo's time relative to ${name}'s</title>
  <style>${STYLE}
  </style>
  <text class="title" x="12" y="22">Anillo's time relative to ${name}'s: left of the line is faster</text>
  <text class="note" x="12" y="42">${escaped(meanText(report, peerName))}</text>
  <text class="note end" x="${WIDTH - 12}" y="42">bar: warm, ring: cold; Anillo : ${name}</text>
${gridSvg(scale, top)}
${body.join('\n')}
${noteLines.join('\n')}
</svg>
`;
}
