// `npm run bench`: Anillo beside QEMU TCG, v86 and the host itself. Nothing here passes or fails by time: it is not a test.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AnilloError } from '@anillo/base/anillo-error';
import { fetchGuest } from '@anillo/cli/default-guest/fetch-guest';
import { enterCommand } from '@anillo/cli/enter-command';
import { anilloContender } from './anillo.ts';
import { BENCH_HELP, type BenchOptions, benchList, benchOptions } from './bench-options.ts';
import { collect } from './collect.ts';
import type { Contender } from './contender.ts';
import { busyWarning, hostDescription } from './host-description.ts';
import { makeJobs } from './jobs.ts';
import { MEASURES } from './measures.ts';
import { findNative, NATIVE } from './native.ts';
import { startNetworkServers } from './network-servers.ts';
import { findQemu } from './qemu.ts';
import { makeReport } from './report.ts';
import { reportChart } from './report-chart.ts';
import { reportTable } from './report-table.ts';
import { findV86 } from './v86.ts';
import { WORKLOADS } from './workloads/workloads.ts';

const FLAVOURS = { amd64: 'cloud-amd64', i386: '686' } as const;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new AnilloError('FILE', `${path} cannot be written (${(cause as Error).message}); name another file.`, { cause });
  }
}

/** In the order of the columns; the first is the one beside which the goals are. */
function findPeers({ beside, cpus, guest, clock }: BenchOptions): readonly Contender[] {
  return [
    ...(beside.includes('qemu') ? findQemu(cpus, say) : []),
    ...(beside.includes('v86') && guest === 'i386' ? findV86(say) : []),
    ...(beside.includes('native') && clock === 'wall' ? findNative(say) : []),
  ];
}

async function measure(options: BenchOptions, folder: string): Promise<number> {
  const { guest: architecture, names, runs, cpus, clock } = options;
  const guest = await fetchGuest({ flavour: FLAVOURS[architecture], onProgress: (line, percent) => percent ?? say(`Guest: ${line}`) });
  const measures = MEASURES.filter((one) => names.includes(one.name));
  const workloads = new Map([...WORKLOADS].filter(([name]) => names.includes(name)));
  const peers = measures.every((one) => one.alone === true) ? [] : findPeers(options);
  const jobNames = [...new Set(measures.map(({ job }) => job))];
  const servers = jobNames.includes('network') ? await startNetworkServers(say) : undefined;
  const jobs = await makeJobs({ names: jobNames, workloads, architecture, guest, folder, say, environment: servers?.environment });
  const contenders = [anilloContender(cpus), ...peers];
  const { samples, resources, failures, proofs } = await collect({ measures, runs, jobs, contenders, clock, say }).finally(() =>
    servers?.close(),
  );
  const rival = peers.find(({ name }) => name !== NATIVE)?.name;
  const report = makeReport(samples, rival);
  const versions = contenders.map(({ name, version }) => `${name} ${version}`);
  const date = new Date().toISOString().slice(0, 10);
  const setting = { host: hostDescription(), guest: `Linux ${guest.version}`, cpus: cpus ?? 1, clock, contenders: versions, runs, date };
  const note = `${setting.guest}, ${setting.cpus} CPU, ${versions.join(', ')}, ${runs} ${runs === 1 ? 'run' : 'runs'} each, ${date}${clock === 'cpu' ? ', processor time' : ''}`;
  const peerNames = peers.map(({ name }) => name);
  process.stdout.write(`${reportTable(report, resources, peerNames)}\n${setting.host}\n${note}\n`);
  const told = resources.map((one) => ({ ...one, stats: Object.fromEntries(one.stats) }));
  if (options.json !== undefined)
    write(
      options.json,
      `${JSON.stringify({ ...setting, ...report, resources: told, proofs: Object.fromEntries(proofs), failures }, undefined, 2)}\n`,
    );
  const chart = rival === undefined ? undefined : reportChart(report, rival, [setting.host, note]);
  if (options.svg !== undefined && chart !== undefined) write(options.svg, chart);
  if (failures.length > 0) process.stdout.write(`\n${failures.length} failed:\n${failures.map((failure) => `  ${failure}\n`).join('')}`);
  return failures.length === 0 ? 0 : 1;
}

async function bench(args: readonly string[]): Promise<number> {
  const options = benchOptions(args);
  if (options.help || options.list) {
    process.stdout.write(options.help ? BENCH_HELP : benchList());
    return 0;
  }
  const warning = busyWarning();
  if (warning !== undefined) say(warning);
  const folder = mkdtempSync(join(tmpdir(), 'anillo-bench-'));
  try {
    return await measure(options, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await enterCommand('npm run bench', bench);
