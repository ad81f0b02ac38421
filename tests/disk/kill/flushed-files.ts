// What a file system may hold after its writer was killed: the last file of records that was flushed, as far as it was, or a later one.

export class FlushedFiles {
  readonly #disk: string;
  #generation = 0;
  #count = 0;
  #found: (readonly [generation: number, count: number])[] = [];
  /** What was flushed when the one was killed that wrote it. */
  #promised: readonly [generation: number, count: number] = [0, 0];

  constructor(disk: string) {
    this.#disk = disk;
  }

  flushed(generation: number, count: number): void {
    this.#generation = generation;
    this.#count = count;
  }

  /** By the next guest, before it flushes anything. */
  found(generation: number, count: number): void {
    this.#found.push([generation, count]);
  }

  /** At the end of each guest, which has found what the one before it left. */
  judge(): readonly string[] {
    const [generation, count] = this.#promised;
    const found = this.#found;
    this.#found = [];
    this.#promised = [this.#generation, this.#count];
    const isThere = generation === 0 || found.some(([one, records]) => one > generation || (one === generation && records >= count));
    if (isThere) return [];
    const told = found.map(([one, records]) => `file ${one} with ${records}`).join(', ');
    return [`${this.#disk}: ${count} records of file ${generation} were flushed, and there is ${told === '' ? 'nothing' : told}.`];
  }
}
