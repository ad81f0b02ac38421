// The report as a table for a terminal.

import type { MeasureResult, Report } from './report.ts';

/** Three digits that mean something. */
export function figure(value: number): string {
  if (Number.isNaN(value)) return '?';
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function goalText({ goal, reached }: MeasureResult): string {
  if (goal === undefined) return '';
  const text = 'atMost' in goal ? `<= ${goal.atMost}` : 'atLeast' in goal ? `>= ${goal.atLeast}` : `<= ${goal.ratioAtMost}x`;
  return reached === undefined ? text : `${text} ${reached ? 'yes' : 'NO'}`;
}

function layOut(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}

/** `peerName` undefined: measured alone. */
export function reportTable({ results, meanRatio }: Report, peerName: string | undefined): string {
  const withPeer = (cells: readonly string[]): readonly string[] => (peerName === undefined ? [] : cells);
  const header = ['', 'unit', 'Anillo min', 'median', ...withPeer([`${peerName} min`, 'median', 'ratio']), 'goal'];
  const rows = results.map((result) => {
    const { title, unit, anillo, peer, ratio } = result;
    const beside = [figure(peer?.minimum ?? Number.NaN), figure(peer?.median ?? Number.NaN), `${figure(ratio ?? Number.NaN)}x`];
    return [
      ...[title, unit, figure(anillo.minimum), figure(anillo.median)],
      ...withPeer(peer === undefined ? ['', '', ''] : beside),
      goalText(result),
    ];
  });
  if (meanRatio !== undefined)
    rows.push(['geometric mean of boot and workloads', '', '', '', ...withPeer(['', '', `${figure(meanRatio)}x`]), '']);
  return layOut([header, ...rows]);
}
