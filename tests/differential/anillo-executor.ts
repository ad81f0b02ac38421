// The executors under test. Each must follow memory-map.ts (addresses, permissions, CPL 3) and test-case.ts (images in and out).

import type { Executor } from './executor.ts';

export interface AnilloOptions {
  /** Compile each case at once, instead of interpreting it first. */
  readonly forceCompile: boolean;
}

/** The tiers to compare with the host; empty while none is connected. */
export function createAnilloExecutors(_options: AnilloOptions): Executor[] {
  return [];
}
