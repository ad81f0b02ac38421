// One after the other, in the order of asking.

export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => {});
    return result;
  }
}

/** Many at once, or one alone: whoever wants to be alone waits until the others have left, and those who come later wait for it. */
export class Gate {
  #inside = 0;
  #closed: Promise<void> | undefined;
  #onEmpty: (() => void) | undefined;
  readonly #alone = new Mutex();

  /** Nobody is alone, or wants to be. */
  get isOpen(): boolean {
    return this.#closed === undefined;
  }

  /** Undefined: inside at once. Else one is inside when it resolves. */
  enter(): Promise<void> | undefined {
    if (this.#closed === undefined) {
      this.#inside++;
      return undefined;
    }
    return this.#closed.then(() => this.enter());
  }

  leave(): void {
    this.#inside--;
    if (this.#inside === 0) this.#onEmpty?.();
  }

  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#alone.run(async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#closed = promise;
      try {
        if (this.#inside > 0) await new Promise<void>((done) => (this.#onEmpty = done));
        return await work();
      } finally {
        this.#onEmpty = undefined;
        this.#closed = undefined;
        resolve();
      }
    });
  }
}

/** Tells when everybody who was on the way at some moment has arrived; those who set out later do not count. */
export class GracePeriod {
  readonly #counts = [0, 0];
  #epoch = 0;
  #onEmpty: (() => void) | undefined;
  readonly #one = new Mutex();

  /** What `leave` takes. */
  enter(): number {
    this.#counts[this.#epoch]++;
    return this.#epoch;
  }

  leave(epoch: number): void {
    if (--this.#counts[epoch] === 0 && epoch !== this.#epoch) this.#onEmpty?.();
  }

  pass(): Promise<void> {
    return this.#one.run(async () => {
      const old = this.#epoch;
      this.#epoch = 1 - old;
      if (this.#counts[old] > 0) await new Promise<void>((done) => (this.#onEmpty = done));
      this.#onEmpty = undefined;
    });
  }
}
