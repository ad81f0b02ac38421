// What an accelerator tells of where host time goes. Who keeps it gives numbers for what time may be spent on, and is then told the time.
// Called on the vCPU's thread.

export interface Profile {
  /** Number of something that the host does, for `spend`; `path` goes from the general to the particular: "TypeScript", "translation". */
  activity(path: readonly string[]): number;
  /** Number of guest code at a linear address, run in a way that `tier` names. */
  code(tier: string, address: bigint): number;
  spend(number: number, ms: number): void;
}
