// The report as an SVG bar chart: a bar per measure in seconds, as long as its ratio to the peer, whose time is the line at 1x.
// Follows the reader's dark or light scheme.

import type { Report } from './report.ts';
import { figure } from './report-table.ts';

const WIDTH = 760;
const LEFT = 290;
const RIGHT = 150;
const TOP = 64;
const ROW_HEIGHT = 30;
const BAR_HEIGHT = 18;
const NOTE_HEIGHT = 16;
const BOTTOM = 24;

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .note { font-size: 11px; fill: #59636e }
  .bar { fill: #2f6feb }
  .peer { stroke: #9a6700; stroke-width: 2; stroke-dasharray: 4 3 }
  .peer-name { fill: #9a6700; text-anchor: middle }
  .end { text-anchor: end }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note { fill: #9198a1 } .bar { fill: #4c8dff } .peer { stroke: #d29922 } .peer-name { fill: #d29922 }
  }`;

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Undefined where nothing was measured beside a peer. `notes`: where and when it was measured, a line each. */
export function reportChart({ results, meanRatio }: Report, peerName: string, notes: readonly string[]): string | undefined {
  const rows = results.flatMap(({ title, unit, anillo, peer, ratio }) =>
    unit === 's' && ratio !== undefined && peer !== undefined ? [{ title, ratio, own: anillo.median, peer: peer.median }] : [],
  );
  if (rows.length === 0) return undefined;
  const scale = (WIDTH - LEFT - RIGHT) / Math.max(1, ...rows.map((row) => row.ratio));
  const bottom = TOP + rows.length * ROW_HEIGHT;
  const peerAt = (LEFT + scale).toFixed(1);
  const bars = rows.map(({ title, ratio, own, peer }, index) => {
    const top = TOP + index * ROW_HEIGHT + (ROW_HEIGHT - BAR_HEIGHT) / 2;
    const baseline = top + BAR_HEIGHT - 5;
    const width = ratio * scale;
    return `  <text class="end" x="${LEFT - 10}" y="${baseline}">${escaped(title)}</text>
  <rect class="bar" x="${LEFT}" y="${top}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" rx="2"/>
  <text x="${(LEFT + Math.max(width, scale) + 8).toFixed(1)}" y="${baseline}">${figure(ratio)}x <tspan class="note">${figure(own)} s : ${figure(peer)} s</tspan></text>`;
  });
  const noteLines = notes.map(
    (line, index) => `  <text class="note" x="12" y="${bottom + BOTTOM + index * NOTE_HEIGHT}">${escaped(line)}</text>`,
  );
  const mean = meanRatio === undefined ? '' : `; geometric mean ${figure(meanRatio)}x`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + BOTTOM + notes.length * NOTE_HEIGHT}" role="img">
  <title>Anillo's time relative to ${escaped(peerName)}'s</title>
  <style>${STYLE}
  </style>
  <text class="title" x="12" y="22">Anillo's time relative to ${escaped(peerName)}'s, less is better${mean}</text>
${bars.join('\n')}
  <line class="peer" x1="${peerAt}" x2="${peerAt}" y1="${TOP - 6}" y2="${bottom}"/>
  <text class="peer-name" x="${peerAt}" y="${TOP - 12}">${escaped(peerName)} = 1x</text>
${noteLines.join('\n')}
</svg>
`;
}
