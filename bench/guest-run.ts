// One run of one contender: a process from its start to its end, with the time at which each line of the guest's console came.

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { ConsoleLine } from './marks.ts';

export interface GuestRun {
  readonly lines: readonly ConsoleLine[];
  /** Host clock. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** Largest resident set so far when the last whole line came (VmHWM of proc(5), of the largest process); NaN where the host has no /proc. */
  readonly peakMib: number;
  /** Anillo's `--stats`, by the row's name. */
  readonly stats: ReadonlyMap<string, number>;
  /** Why the process is not to be trusted further than the lines that came: it did not start, fell silent or ended with another status. */
  readonly failure: string | undefined;
}

/** A guest that says nothing for so long has come to nothing. */
const LONGEST_SILENCE_MS = 1_200_000;
const SAMPLE_MS = 100;
const KIB_PER_MIB = 1024;

/** Of `utime` and `stime` in proc(5); the kernel tells user space a fixed 100 a second (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** A process and what it has started: a contender may begin as a launcher. */
function familyOf(pid: number): readonly number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1').split(' ').filter(Boolean),
    );
    return [pid, ...children.flatMap((child) => familyOf(Number(child)))];
  } catch {
    return [pid];
  }
}

/** Processor time of a process, its threads and those that it has started, in seconds; NaN where the host has no /proc. */
export function cpuSecondsOf(pid: number): number {
  const seconds = familyOf(pid)
    .map(ownCpuSeconds)
    .filter((own) => !Number.isNaN(own));
  return seconds.length === 0 ? Number.NaN : seconds.reduce((sum, own) => sum + own, 0);
}

function ownCpuSeconds(pid: number): number {
  try {
    // The second field, the program's name in parentheses, may hold blanks: count from behind it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return Number.NaN;
  }
}

/** That of the largest one. */
function peakMibOf(pid: number): number {
  const peaks = familyOf(pid)
    .map(ownPeakMib)
    .filter((own) => !Number.isNaN(own));
  return peaks.length === 0 ? Number.NaN : Math.max(...peaks);
}

function ownPeakMib(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / KIB_PER_MIB;
  } catch {
    return Number.NaN;
  }
}

/** Rows of `anillo run --stats`: a name, two spaces or more, a number. */
export function parseStats(text: string): ReadonlyMap<string, number> {
  const rows = text.matchAll(/^(\S.*?) {2,}([\d,]+)$/gm);
  return new Map(Array.from(rows, ([, name, value]) => [name, Number(value.replaceAll(',', ''))]));
}

export async function runGuest(command: readonly string[], expectedStatus: number): Promise<GuestRun> {
  const startedAtMs = performance.now();
  const child = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
  const lines: ConsoleLine[] = [];
  let unfinished = '';
  let errors = '';
  let peakMib = Number.NaN;
  // A process that is ending has no memory any more.
  const sample = (): void => {
    const now = peakMibOf(child.pid ?? 0);
    if (now > peakMib || Number.isNaN(peakMib)) peakMib = now;
  };
  const limit = setTimeout(() => child.kill('SIGKILL'), LONGEST_SILENCE_MS);
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    const atMs = performance.now();
    limit.refresh();
    const cpuSeconds = cpuSecondsOf(child.pid ?? 0);
    const parts = (unfinished + text).split(/\r*\n/);
    unfinished = parts.pop() ?? '';
    for (const part of parts) lines.push({ atMs, cpuSeconds, text: part });
    if (parts.length > 0) sample();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const sampler = setInterval(sample, SAMPLE_MS);
  try {
    const status = await new Promise<number | string | null>((done) => {
      child.on('error', (error) => done(error.message));
      child.on('close', (code, signal) => done(code ?? signal));
    });
    const tail = lines.slice(-8).map((line) => line.text);
    const told = [...tail, ...errors.trim().split('\n')].map((line) => `\n  ${line}`).join('');
    const failure =
      status === expectedStatus
        ? undefined
        : `'${command.join(' ')}' ended with ${status} instead of status ${expectedStatus}; it said last:${told}`;
    return { lines, startedAtMs, endedAtMs: performance.now(), peakMib, stats: parseStats(errors), failure };
  } finally {
    clearInterval(sampler);
    clearTimeout(limit);
  }
}
