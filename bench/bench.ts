// `npm run bench`: Anillo beside QEMU TCG. Nothing here passes or fails by time: it is not a test.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AnilloError } from '@anillo/base/anillo-error';
import { fetchGuest } from '@anillo/cli/default-guest/fetch-guest';
import { enterCommand } from '@anillo/cli/enter-command';
import { anilloContender } from './anillo.ts';
import { BENCH_HELP, benchOptions } from './bench-options.ts';
import { collect } from './collect.ts';
import { busyWarning, hostDescription } from './host-description.ts';
import { MEASURES } from './measures.ts';
import { findQemu } from './qemu.ts';
import { makeReport } from './report.ts';
import { reportChart } from './report-chart.ts';
import { reportTable } from './report-table.ts';

const FLAVOURS = { amd64: 'cloud-amd64', i386: '686' } as const;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new AnilloError('FILE', `${path} cannot be written (${(cause as Error).message}); name another file.`, { cause });
  }
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
  const measures = MEASURES.filter((measure) => options.names.includes(measure.name));
  const qemu = measures.every((measure) => measure.alone === true) ? undefined : findQemu(say);
  const folder = mkdtempSync(join(tmpdir(), 'anillo-bench-'));
  try {
    const report = makeReport(await collect({ measures, runs: options.runs, guest, peer: qemu, folder, say }));
    const versions = [anilloContender(), ...(qemu === undefined ? [] : [qemu])].map(({ name, version }) => `${name} ${version}`);
    const date = new Date().toISOString().slice(0, 10);
    const setting = { host: hostDescription(), guest: `Linux ${guest.version}`, contenders: versions, runs: options.runs, date };
    const note = `${setting.guest}, ${versions.join(', ')}, ${options.runs} ${options.runs === 1 ? 'run' : 'runs'} each, ${date}`;
    process.stdout.write(`${reportTable(report, qemu?.name)}\n${setting.host}\n${note}\n`);
    if (options.json !== undefined) write(options.json, `${JSON.stringify({ ...setting, ...report }, undefined, 2)}\n`);
    const chart = qemu === undefined ? undefined : reportChart(report, qemu.name, [setting.host, note]);
    if (options.svg !== undefined && chart !== undefined) write(options.svg, chart);
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await enterCommand('npm run bench', bench);
