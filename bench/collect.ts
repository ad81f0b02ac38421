// Runs the jobs, round by round, and keeps what the measures read from them.

import { ANILLO } from './anillo.ts';
import type { Contender, Job } from './contender.ts';
import { type GuestRun, runGuest } from './guest-run.ts';
import type { JobName } from './jobs.ts';
import { MissingMark } from './marks.ts';
import type { Clock, Measure } from './measures.ts';
import type { Samples } from './report.ts';

export interface Plan {
  readonly measures: readonly Measure[];
  readonly runs: number;
  readonly jobs: ReadonlyMap<JobName, Job>;
  /** Anillo, then those that it is measured beside. */
  readonly contenders: readonly Contender[];
  readonly clock: Clock;
  readonly say: (line: string) => void;
}

/** What a contender took to do a job; of several rounds the last. */
export interface Resources {
  readonly job: JobName;
  readonly contender: string;
  readonly peakMib: number;
  readonly seconds: number;
  /** Anillo's `--stats`. */
  readonly stats: ReadonlyMap<string, number>;
}

export interface Collection {
  readonly samples: readonly Samples[];
  readonly resources: readonly Resources[];
  /** Runs that failed or computed something wrong, a sentence each. They have no sample. */
  readonly failures: readonly string[];
  /** By workload: what every contender must say. */
  readonly proofs: ReadonlyMap<string, string>;
}

class Collector {
  readonly failures: string[] = [];
  readonly resources = new Map<string, Resources>();
  readonly #plan: Plan;
  /** Jobs whose first run, which finds nothing kept, is over. */
  readonly #prepared = new Set<Job>();
  readonly #values = new Map<string, Map<Measure, number[]>>();
  readonly #proofs = new Map<string, { readonly check: string; readonly contender: string }>();

  constructor(plan: Plan) {
    this.#plan = plan;
    for (const { name } of plan.contenders) this.#values.set(name, new Map(plan.measures.map((measure) => [measure, []])));
  }

  get proofs(): ReadonlyMap<string, string> {
    return new Map(Array.from(this.#proofs, ([workload, { check }]) => [workload, check]));
  }

  samplesOf(contender: string, measure: Measure): readonly number[] {
    return this.#values.get(contender)?.get(measure) ?? [];
  }

  /** The first to do a work says what comes out of it. */
  #agree(workload: string, check: string, contender: string): void {
    const first = this.#proofs.get(workload) ?? { check, contender };
    this.#proofs.set(workload, first);
    if (first.check !== check) throw new Error(`it says "${check}" where ${first.contender} said "${first.check}"`);
  }

  #read(measure: Measure, run: GuestRun, contender: string): void {
    const what = `${contender}, ${measure.name}${measure.phase === undefined ? '' : ` (${measure.phase})`}`;
    try {
      const value = measure.value(run, {
        clock: this.#plan.clock,
        note: (sentence) => this.#plan.say(`  ${contender}: ${sentence}.`),
        agree: (workload, check) => this.#agree(workload, check, contender),
      });
      if (value !== undefined && !Number.isNaN(value)) this.#values.get(contender)?.get(measure)?.push(value);
    } catch (error) {
      // Of a run that was cut off, what is missing is no news.
      if (run.failure === undefined || !(error instanceof MissingMark)) this.#fail(`${what}: ${(error as Error).message}`);
    }
  }

  #fail(sentence: string): void {
    this.failures.push(sentence);
    this.#plan.say(`  FAILED: ${sentence}`);
  }

  /** For who cannot wait for the tables. */
  #sayLatest(contender: string, measures: readonly Measure[]): void {
    const latest = Map.groupBy(measures, ({ name }) => name);
    const figures = Array.from(latest, ([name, ones]) => {
      const values = ones.map((measure) => this.samplesOf(contender, measure).at(-1)?.toPrecision(3) ?? '?');
      return `${name} ${values.join(' ')}`;
    });
    this.#plan.say(`  ${contender}: ${figures.join(', ')}`);
  }

  async run(contender: Contender, name: JobName, measures: readonly Measure[]): Promise<void> {
    const job = this.#plan.jobs.get(name);
    const command = job === undefined ? undefined : contender.command(job);
    if (job === undefined || command === undefined) return;
    if (job.keepsIn !== undefined && contender.name === ANILLO && !this.#prepared.has(job)) {
      this.#prepared.add(job);
      await runGuest(command, job.status);
    }
    const run = await runGuest(command, job.status);
    const seconds = (run.endedAtMs - run.startedAtMs) / 1000;
    const { peakMib, stats } = run;
    this.resources.set(`${name} ${contender.name}`, { job: name, contender: contender.name, seconds, peakMib, stats });
    if (run.failure !== undefined) this.#fail(`${contender.name}, ${name}: ${run.failure}`);
    for (const measure of measures) this.#read(measure, run, contender.name);
    this.#sayLatest(contender.name, measures);
  }
}

/** Nothing that a guest does ends it: what fails is told and has no figure. */
export async function collect(plan: Plan): Promise<Collection> {
  const { measures, runs, contenders, jobs, say } = plan;
  const collector = new Collector(plan);
  for (let round = 0; round < runs; round++) {
    for (const name of jobs.keys()) {
      say(`round ${round + 1} of ${runs}: ${name}`);
      // Whoever comes second finds warm caches: take turns.
      for (const contender of round % 2 === 1 ? contenders.toReversed() : contenders) {
        const own = measures.filter((measure) => measure.job === name && (measure.alone !== true || contender.name === ANILLO));
        if (own.length > 0) await collector.run(contender, name, own);
      }
    }
  }
  const peers = contenders.map(({ name }) => name).filter((name) => name !== ANILLO);
  const samples = measures.map((measure) => ({
    measure,
    anillo: collector.samplesOf(ANILLO, measure),
    peers: new Map(peers.map((peer) => [peer, collector.samplesOf(peer, measure)])),
  }));
  return { samples, resources: [...collector.resources.values()], failures: collector.failures, proofs: collector.proofs };
}
