// `npm run bench:web`: the same kernel and initial RAM disk in Chromium (the page, with the machine in its worker) and under Node (the command), in turns. Prints
// the time to init and that of two jobs of the guest's shell. `--runs N` (3); `--clock cpu`: processor time of Node's process and of the page's, for machines
// that have other work to do.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AnilloError } from '@anillo/base/anillo-error';
import { fetchGuest } from '@anillo/cli/default-guest/fetch-guest';
import { type Browser, findChromium, NO_CHROMIUM, startChromium } from '../tools/chromium.ts';
import { serveWeb } from '../tools/serve-web.ts';
import { cpuSecondsOf } from './guest-run.ts';
import { median } from './statistics.ts';

const COMMAND = join(import.meta.dirname, '../apps/cli/bin/anillo');
const INIT = 'run by Anillo';
/** Twice, for the first time includes translation. */
const JOBS = {
  loop: 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done',
  sha256: 'dd if=/dev/zero bs=1M count=48 2>/dev/null | sha256sum',
} as const;
const LONGEST_MS = 300_000;

/** A guest's console, whose text grows, and the clock that counts. */
interface Contender {
  waitFor(text: string): Promise<void>;
  type(text: string): Promise<void>;
  /** Since an arbitrary moment. */
  seconds(): Promise<number>;
}

type Clock = 'host' | 'cpu';
type Figures = Map<string, number>;

async function measure(startedAt: number, guest: Contender): Promise<Figures> {
  const figures: Figures = new Map();
  await guest.waitFor(INIT);
  figures.set('start to init, s', (await guest.seconds()) - startedAt);
  await guest.waitFor('root@anillo');
  for (const phase of ['cold', 'warm'])
    for (const [name, line] of Object.entries(JOBS)) {
      const began = await guest.seconds();
      // What is typed is echoed: it must not look like what is waited for.
      await guest.type(`${line}; echo "end of" ${name}, ${phase}\n`);
      await guest.waitFor(`end of ${name}, ${phase}`);
      figures.set(`${name}, ${phase}, s`, (await guest.seconds()) - began);
    }
  await guest.type('poweroff -f\n');
  return figures;
}

const hostSeconds = (): number => performance.now() / 1000;

async function inNode(options: readonly string[], clock: Clock): Promise<Figures> {
  const startedAt = clock === 'cpu' ? 0 : hostSeconds();
  const child = spawn(COMMAND, ['run', ...options], { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  let look = (): void => {};
  child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
    look();
  });
  const waitFor = (wanted: string): Promise<void> =>
    new Promise((found, fail) => {
      const limit = setTimeout(() => fail(new AnilloError('STATE', `The guest under Node did not print "${wanted}".`)), LONGEST_MS);
      look = () => {
        if (!text.includes(wanted)) return;
        clearTimeout(limit);
        found();
      };
      look();
    });
  const seconds = async (): Promise<number> => (clock === 'cpu' ? cpuSecondsOf(child.pid ?? 0) : hostSeconds());
  try {
    return await measure(startedAt, { waitFor, seconds, type: async (line) => void child.stdin.write(line) });
  } finally {
    child.stdin.end();
    await new Promise((done) => child.on('close', done));
  }
}

async function inChromium(browser: Browser, url: string, clock: Clock): Promise<Figures> {
  const { page } = browser;
  const seconds = async (): Promise<number> =>
    clock === 'cpu' ? (await browser.renderers()).reduce((sum, pid) => sum + cpuSecondsOf(pid), 0) : hostSeconds();
  const startedAt = await seconds();
  await page.goto(url);
  const figures = await measure(startedAt, {
    seconds,
    waitFor: (text) => page.locator('#console', { hasText: text }).waitFor({ timeout: LONGEST_MS }),
    type: (line) => page.locator('#console').pressSequentially(line),
  });
  await page.locator('body[data-state=ended]').waitFor();
  return figures;
}

function report(node: readonly Figures[], web: readonly Figures[]): string {
  const rows = [...node[0].keys()].map((name) => {
    const [a, b] = [node, web].map((runs) => median(runs.map((figures) => figures.get(name) ?? Number.NaN)));
    return `${name.padEnd(20)}${a.toFixed(2).padStart(8)}${b.toFixed(2).padStart(10)}${(b / a).toFixed(2).padStart(8)}\n`;
  });
  return `${''.padEnd(20)}${'Node'.padStart(8)}${'Chromium'.padStart(10)}${'ratio'.padStart(8)}\n${rows.join('')}`;
}

async function main(runs: number, clock: Clock): Promise<void> {
  const program = findChromium();
  if (program === undefined) throw new AnilloError('UNSUPPORTED', NO_CHROMIUM);
  const { kernelPath, initrd } = await fetchGuest();
  const folder = mkdtempSync(join(tmpdir(), 'anillo-web-'));
  const initrdPath = join(folder, 'initrd');
  writeFileSync(initrdPath, initrd);
  const append = 'console=ttyS0 quiet';
  const server = await serveWeb({ port: 0 });
  const browser = await startChromium(program);
  try {
    const [node, web]: Figures[][] = [[], []];
    for (let run = 0; run < runs; run++) {
      node.push(await inNode(['--kernel', kernelPath, '--initrd', initrdPath, '--append', append], clock));
      web.push(await inChromium(browser, server.url, clock));
    }
    process.stdout.write(
      `Chromium ${browser.version}, Node ${process.versions.node}; ${clock === 'cpu' ? 'processor' : 'host'} time, medians of ${runs}\n\n${report(node, web)}`,
    );
  } finally {
    await browser.close();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const { values } = parseArgs({ options: { runs: { type: 'string', default: '3' }, clock: { type: 'string', default: 'host' } } });
try {
  await main(Math.max(1, Number(values.runs) || 1), values.clock === 'cpu' ? 'cpu' : 'host');
} catch (error) {
  if (!(error instanceof AnilloError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
