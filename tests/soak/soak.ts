// `npm run soak -- --minutes N` (30): a mixed load in a guest for so long, with every answer checked. Each minute it prints how long a round of the work takes now
// (`--clock host`; default: processor time of this process), the memory of the process, what the engine keeps, and the guest's clock against the
// host's. Exit status 1: the work became slower by more than a tenth, memory grew, the clocks went apart, the guest's kernel complained, or an answer was wrong.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AnilloError } from '@anillo/base/anillo-error';
import { fetchGuest } from '@anillo/cli/default-guest/fetch-guest';
import { Machine } from 'anillo';
import { ownPrograms } from '../../bench/guest/own-programs.ts';
import { median } from '../../bench/statistics.ts';
import { GUEST_MEMORY_MIB, soakArchive } from './soak-guest.ts';
import { type SoakRound, soakFailures, WARM_UP_ROUNDS } from './soak-verdict.ts';
import { type SoakWork, soakWork } from './soak-work.ts';

const MS_PER_MINUTE = 60_000;
const LONGEST_SILENCE_MS = 600_000;
const BYTES_PER_MIB = 1 << 20;

type Clock = 'cpu' | 'host';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function secondsOf(clock: Clock): number {
  if (clock === 'host') return performance.now() / 1000;
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function compiledPrograms(): Uint8Array | undefined {
  try {
    return ownPrograms('amd64', say);
  } catch (error) {
    if (!(error instanceof AnilloError)) throw error;
    say(`Without our own programs: ${error.message.split('\n', 1)[0]}`);
    return undefined;
  }
}

class Soak {
  readonly rounds: SoakRound[] = [];
  readonly failures: string[] = [];
  readonly #machine: Machine;
  readonly #clock: Clock;
  readonly #expected: ReadonlyMap<string, string>;
  #answered = new Set<string>();
  #roundBegan: number;
  #told = 0;

  constructor(machine: Machine, work: readonly SoakWork[], clock: Clock) {
    this.#machine = machine;
    this.#clock = clock;
    this.#expected = new Map(work.map(({ name, expected }) => [name, expected]));
    this.#roundBegan = secondsOf(clock);
  }

  line(text: string): void {
    const [, what, rest] = /^SOAK (answer|log|round) (.*)$/.exec(text) ?? [];
    if (what === 'answer') this.#answer(rest);
    else if (what === 'log') this.failures.push(`The guest's kernel says: ${rest}`);
    else if (what === 'round') this.#endRound(Number(rest));
  }

  #answer(text: string): void {
    const [name, answer = ''] = text.split(' ');
    const expected = this.#expected.get(name);
    if (answer !== expected)
      this.failures.push(`${name}: the answer is "${answer}" instead of "${expected}" (round ${this.rounds.length + 1}).`);
    this.#answered.add(name);
  }

  #endRound(guestSeconds: number): void {
    const now = secondsOf(this.#clock);
    for (const name of this.#expected.keys())
      if (!this.#answered.has(name)) this.failures.push(`${name}: no answer (round ${this.rounds.length + 1}).`);
    this.#answered = new Set();
    this.rounds.push({
      seconds: now - this.#roundBegan,
      rssMib: process.memoryUsage.rss() / BYTES_PER_MIB,
      clockOffsetMs: guestSeconds * 1000 - Date.now(),
    });
    this.#roundBegan = now;
  }

  /** One line on what has been since the last one. */
  tell(minute: number): void {
    const fresh = this.rounds.slice(this.#told);
    this.#told = this.rounds.length;
    const stats = this.#machine.stats();
    const figure = (value: number, digits: number): string => (Number.isNaN(value) ? '-' : value.toFixed(digits));
    const offset = (fresh.at(-1)?.clockOffsetMs ?? Number.NaN) - (this.rounds[WARM_UP_ROUNDS]?.clockOffsetMs ?? Number.NaN);
    say(
      [
        `${minute} min`,
        `${this.rounds.length} rounds`,
        `${figure(median(fresh.map(({ seconds }) => seconds)), 2)} s a round`,
        `${figure(process.memoryUsage.rss() / BYTES_PER_MIB, 0)} MiB`,
        `${stats.modulesAlive} modules alive of ${stats.compilations}`,
        `clocks ${figure(offset, 0)} ms apart`,
        `${this.failures.length} failures`,
      ].join(', '),
    );
  }
}

/** Lines of the guest until the time is over or it falls silent. */
async function watch(machine: Machine, soak: Soak, minutes: number): Promise<void> {
  const startedMs = performance.now();
  let heardMs = startedMs;
  let minute = 0;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    for (; (minute + 1) * MS_PER_MINUTE <= nowMs - startedMs; soak.tell(minute)) minute++;
    const silent = nowMs - heardMs > LONGEST_SILENCE_MS;
    if (silent) soak.failures.push('The guest said nothing for ten minutes.');
    if (silent || nowMs - startedMs >= minutes * MS_PER_MINUTE) void machine.stop();
  }, 200);
  try {
    let unfinished = '';
    for await (const text of machine.serial) {
      heardMs = performance.now();
      const lines = (unfinished + text).split(/\r*\n/);
      unfinished = lines.pop() ?? '';
      for (const line of lines) soak.line(line);
    }
    const exit = await machine.waitForExit();
    if (exit.reason !== 'stopped') soak.failures.push(`The machine ended: ${exit.detail}`);
  } finally {
    clearInterval(timer);
  }
}

/** Sentences; none: passed. */
async function soakFor(minutes: number, clock: Clock): Promise<readonly string[]> {
  const programs = compiledPrograms();
  const folder = mkdtempSync(join(tmpdir(), 'anillo-soak-'));
  try {
    const path = join(folder, 'programs');
    if (programs !== undefined) writeFileSync(path, programs, { mode: 0o755 });
    const work = soakWork(programs === undefined ? undefined : path);
    const guest = await fetchGuest({ onProgress: say });
    await using machine = await Machine.create({
      kernel: guest.kernelPath,
      initrd: Buffer.concat([guest.initrd, soakArchive(work, programs)]),
      append: 'console=ttyS0 quiet panic=-1',
      memory: GUEST_MEMORY_MIB,
      noReboot: true,
    });
    const soak = new Soak(machine, work, clock);
    const watched = watch(machine, soak, minutes);
    machine.start();
    await watched;
    return [...soak.failures, ...soakFailures(soak.rounds)];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '30' }, clock: { type: 'string', default: 'cpu' } } });
const minutes = Number(values.minutes);
if (!(minutes > 0) || (values.clock !== 'cpu' && values.clock !== 'host')) {
  process.stderr.write('Give --minutes a number above 0, and --clock cpu or host.\n');
  process.exitCode = 2;
} else
  try {
    const failures = await soakFor(minutes, values.clock);
    for (const failure of failures.slice(0, 20)) say(`FAILED: ${failure}`);
    say(failures.length === 0 ? 'passed' : `${failures.length} failures`);
    process.exitCode = failures.length === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof AnilloError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  }
