// `--stats`: the engine's counters as a table.

import type { VcpuStats } from '@anillo/accel/accelerator';

const BYTES_PER_KIB = 1024;
const grouped = (value: number): string => Math.round(value).toLocaleString('en-US');

/** `firstInstructionMs`: since the start of the process, at most. */
export function statsReport(
  stats: VcpuStats,
  firstInstructionMs: number | undefined,
  peakKib: number = process.resourceUsage().maxRSS,
): string {
  const rows: (readonly [string, string])[] = [
    ['first guest instruction, ms', firstInstructionMs === undefined ? '-' : grouped(firstInstructionMs)],
    ['guest instructions, interpreted', grouped(stats.interpretedInsns)],
    ['guest instructions, compiled', grouped(stats.compiledInsns)],
    ['compilations', grouped(stats.compilations)],
    ['compilation time, ms', grouped(stats.compileMs)],
    ['modules alive', grouped(stats.modulesAlive)],
    ['WebAssembly compiled, KiB', grouped(stats.wasmBytes / BYTES_PER_KIB)],
    ['translation cache flushes', grouped(stats.cacheFlushes)],
    ['code epochs', grouped(stats.codeEpochs)],
    ['TLB misses', grouped(stats.tlbMisses)],
    ...Object.entries(stats.exits).map(([kind, count]) => [`exits, ${kind}`, grouped(count)] as const),
    ...Object.entries(stats.timeMs).map(([what, ms]) => [`time, ${what}, ms`, grouped(ms)] as const),
    ['peak memory, MiB', grouped(peakKib / BYTES_PER_KIB)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value.padStart(16)}\n`).join('');
}
