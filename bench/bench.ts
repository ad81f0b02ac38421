// `npm run bench`: Anillo beside QEMU TCG. Nothing here passes or fails by time: it is not a test.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DefaultGuest, fetchGuest } from '@anillo/cli/default-guest/fetch-guest';
import { enterCommand } from '@anillo/cli/enter-command';
import { anilloContender } from './anillo.ts';
import { BENCH_HELP, type BenchOptions, benchOptions } from './bench-options.ts';
import type { Contender } from './contender.ts';
import { runGuest } from './guest-run.ts';
import { busyWarning, hostDescription } from './host-description.ts';
import { type Job, makeJobs } from './jobs.ts';
import { type JobName, MEASURES, type Measure } from './measures.ts';
import { findQemu } from './qemu.ts';
import { makeReport, type Samples } from './report.ts';
import { reportChart } from './report-chart.ts';
import { reportTable } from './report-table.ts';
import { WORKLOADS, type WorkloadName } from './workloads.ts';

const FLAVOURS = { amd64: 'cloud-amd64', i386: '686' } as const;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

type Collected = ReadonlyMap<Measure, { readonly anillo: number[]; readonly peer: number[] }>;

/** Runs one job on one contender and keeps what its measures read from it. */
async function runJob(job: Job, contender: Contender, side: 'anillo' | 'peer', measures: readonly Measure[], collected: Collected) {
  const run = await runGuest(contender.command(job.image), job.status);
  for (const measure of measures) {
    if (side === 'peer' && measure.alone === true) continue;
    const value = measure.value(run, (sentence) => say(`  ${contender.name}: ${sentence}.`));
    collected.get(measure)?.[side].push(value);
  }
}

async function collect(options: BenchOptions, guest: DefaultGuest, qemu: Contender | undefined, folder: string): Promise<Samples[]> {
  const measures = MEASURES.filter((measure) => options.names.includes(measure.name));
  const workloads = (Object.keys(WORKLOADS) as WorkloadName[]).filter((name) => options.names.includes(name));
  const jobs = makeJobs(guest, workloads, folder);
  const jobNames = [...new Set(measures.map((measure) => measure.job))];
  const collected: Collected = new Map(measures.map((measure) => [measure, { anillo: [], peer: [] }]));
  const runBoth = async (name: JobName, round: number): Promise<void> => {
    const own = measures.filter((measure) => measure.job === name);
    const anillo = (): Promise<void> => runJob(jobs[name], anilloContender(jobs[name].accel), 'anillo', own, collected);
    const isAlone = qemu === undefined || own.every((measure) => measure.alone === true);
    const peer = async (): Promise<void> => (isAlone ? undefined : runJob(jobs[name], qemu, 'peer', own, collected));
    // Whoever comes second finds warm caches: take turns.
    for (const turn of round % 2 === 0 ? [anillo, peer] : [peer, anillo]) await turn();
  };
  for (let round = 0; round < options.runs; round++) {
    for (const name of jobNames) {
      say(`round ${round + 1} of ${options.runs}: ${name}`);
      await runBoth(name, round);
    }
  }
  return measures.map((measure) => ({ measure, anillo: [], peer: [], ...collected.get(measure) }));
}

async function bench(args: readonly string[]): Promise<number> {
  const options = benchOptions(args);
  if (options.help) {
    process.stdout.write(BENCH_HELP);
    return 0;
  }
  const warning = busyWarning();
  if (warning !== undefined) say(warning);
  const guest = await fetchGuest({ flavour: FLAVOURS[options.guest], onProgress: (line, percent) => percent ?? say(`Guest: ${line}`) });
  const qemu = findQemu(say);
  const folder = mkdtempSync(join(tmpdir(), 'anillo-bench-'));
  try {
    const report = makeReport(await collect(options, guest, qemu, folder));
    const versions = [anilloContender(), ...(qemu === undefined ? [] : [qemu])].map(({ name, version }) => `${name} ${version}`);
    const date = new Date().toISOString().slice(0, 10);
    const setting = { host: hostDescription(), guest: `Linux ${guest.version}`, contenders: versions, runs: options.runs, date };
    const note = `${setting.guest}, ${versions.join(', ')}, ${options.runs} ${options.runs === 1 ? 'run' : 'runs'} each, ${date}`;
    process.stdout.write(`${reportTable(report, qemu?.name)}\n${setting.host}\n${note}\n`);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ ...setting, ...report }, undefined, 2)}\n`);
    const chart = qemu === undefined ? undefined : reportChart(report, qemu.name, `${setting.host}. ${note}.`);
    if (options.svg !== undefined && chart !== undefined) writeFileSync(options.svg, chart);
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await enterCommand('npm run bench', bench);
