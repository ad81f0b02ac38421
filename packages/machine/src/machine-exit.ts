// How a machine ended.

export type ExitReason = 'powered-off' | 'reset' | 'triple-fault' | 'panicked' | 'debug-exit' | 'stopped';

export interface MachineExit {
  readonly reason: ExitReason;
  /** For a process that stands for the machine: 0 is orderly. */
  readonly status: number;
  /** For people: one sentence; for a triple fault the registers follow on lines of their own. */
  readonly detail: string;
}
