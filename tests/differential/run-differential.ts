// Runs cases in the host CPU and in the executors under test, and shrinks and reports what differs.

import { compareResults } from './compare.ts';
import type { Executor } from './executor.ts';
import type { Generator } from './generator.ts';
import { describeMismatch } from './report.ts';
import { shrink } from './shrink.ts';
import type { TestCase } from './test-case.ts';

const BATCH_CASES = 1024;

export interface DifferentialOptions {
  readonly generator: Generator;
  readonly host: Executor;
  readonly tested: readonly Executor[];
  readonly seed: number;
  /** Case numbers first to first + count - 1. */
  readonly first: number;
  readonly count: number;
  /** Stop after so many mismatches. */
  readonly limit: number;
  onMismatch(text: string): void;
  onProgress?(done: number): void;
}

/** How many cases were run, and in how many an executor differed. */
export interface DifferentialOutcome {
  readonly cases: number;
  readonly mismatches: number;
}

function explain(options: DifferentialOptions, executor: Executor, c: TestCase): string {
  const differs = (candidate: TestCase): ReturnType<typeof compareResults> =>
    compareResults(candidate, options.host.run([candidate])[0], executor.run([candidate])[0]);
  // Found in a batch but not alone: something outlived a case, here or in the executor under test.
  if (differs(c).length === 0)
    return `MISMATCH ${executor.name}: seed ${c.seed} case ${c.index} mode ${c.mode}: does not repeat when run alone`;
  const small = shrink(c, (candidate) => differs(candidate).length > 0);
  return describeMismatch(c, small, executor.name, differs(small), options.host);
}

export function runDifferential(options: DifferentialOptions): DifferentialOutcome {
  // Without this, comparing with nothing would count as agreement.
  if (options.tested.length === 0) throw new Error('there is no executor to compare with the host; connect one in anillo-executor.ts.');
  let mismatches = 0;
  let done = 0;
  while (done < options.count && mismatches < options.limit) {
    const cases: TestCase[] = [];
    for (let i = 0; i < BATCH_CASES && done + i < options.count; i++)
      cases.push(options.generator.make(options.seed, options.first + done + i));
    const expected = options.host.run(cases);
    const bad = new Map<TestCase, Executor>();
    for (const executor of options.tested) {
      const actual = executor.run(cases);
      for (const [i, c] of cases.entries()) if (!bad.has(c) && compareResults(c, expected[i], actual[i]).length > 0) bad.set(c, executor);
    }
    for (const [c, executor] of bad) {
      if (mismatches === options.limit) break;
      mismatches++;
      options.onMismatch(explain(options, executor, c));
    }
    done += cases.length;
    options.onProgress?.(done);
  }
  return { cases: done, mismatches };
}
