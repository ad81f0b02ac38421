// Runs the jobs, round by round, and keeps what the measures read from them.

import type { DefaultGuest } from '@anillo/cli/default-guest/fetch-guest';
import { anilloContender } from './anillo.ts';
import type { Contender } from './contender.ts';
import { runGuest } from './guest-run.ts';
import { type Job, makeJobs } from './jobs.ts';
import type { JobName, Measure } from './measures.ts';
import type { Samples } from './report.ts';
import { WORKLOADS, type WorkloadName } from './workloads.ts';

export interface Plan {
  readonly measures: readonly Measure[];
  readonly runs: number;
  readonly guest: DefaultGuest;
  readonly peer: Contender | undefined;
  /** For the guest images; the caller removes it. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

type Values = ReadonlyMap<Measure, number[]>;

/** Runs one job on one contender and adds what its measures read from it. */
async function runJob(job: Job, contender: Contender, values: Values, say: Plan['say']): Promise<void> {
  const run = await runGuest(contender.command(job.image), job.status);
  for (const [measure, samples] of values) samples.push(measure.value(run, (sentence) => say(`  ${contender.name}: ${sentence}.`)));
}

const emptyValues = (measures: readonly Measure[]): Values => new Map(measures.map((measure) => [measure, []]));

const ofJob = (values: Values, name: JobName): Values => new Map([...values].filter(([measure]) => measure.job === name));

/** AnilloError STATE for a guest that fails or computes something wrong. */
export async function collect({ measures, runs, guest, peer, folder, say }: Plan): Promise<readonly Samples[]> {
  const workloads = (Object.keys(WORKLOADS) as WorkloadName[]).filter((name) => measures.some((measure) => measure.name === name));
  const jobs = makeJobs(guest, workloads, folder);
  const ownValues = emptyValues(measures);
  const peerValues = emptyValues(peer === undefined ? [] : measures.filter((measure) => measure.alone !== true));
  for (let round = 0; round < runs; round++) {
    for (const name of new Set(measures.map((measure) => measure.job))) {
      say(`round ${round + 1} of ${runs}: ${name}`);
      const contenders = [
        { contender: anilloContender(jobs[name].accel), values: ofJob(ownValues, name) },
        ...(peer === undefined ? [] : [{ contender: peer, values: ofJob(peerValues, name) }]),
      ].filter(({ values }) => values.size > 0);
      // Whoever comes second finds warm caches: take turns.
      if (round % 2 === 1) contenders.reverse();
      for (const { contender, values } of contenders) await runJob(jobs[name], contender, values, say);
    }
  }
  return measures.map((measure) => ({ measure, anillo: ownValues.get(measure) ?? [], peer: peerValues.get(measure) ?? [] }));
}
