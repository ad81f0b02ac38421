// Counts compiled modules that the host's engine still keeps: what replaced code leaves behind must be given back.

export class ModuleCensus {
  /** Instances made and not yet collected. */
  alive = 0;
  /** Of all that were made. */
  wasmBytes = 0;
  readonly #collected = new FinalizationRegistry<undefined>(() => {
    this.alive--;
  });

  add(instance: object, wasmBytes: number): void {
    this.alive++;
    this.wasmBytes += wasmBytes;
    this.#collected.register(instance, undefined);
  }
}
