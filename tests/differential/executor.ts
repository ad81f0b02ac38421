// What the differential tests need of anything that can run a case: the host CPU, Anillo's interpreter, each compiled tier.

import type { TestCase, TestResult } from './test-case.ts';

export interface Executor {
  /** Shown in reports: 'host', 'interpreter', 'compiled'. */
  readonly name: string;
  /**
   * Runs each case from its own initial state, at CPL 3, and returns the results in the same order. Never throws for what a case does.
   * Results may be views that stay valid only until the next call.
   */
  run(cases: readonly TestCase[]): TestResult[];
  [Symbol.dispose](): void;
}
