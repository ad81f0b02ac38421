// Many at once, or one alone. Whoever asks for being alone goes before those who ask later.

export class SharedLock {
  /** Those under way; -1: one alone. */
  #inside = 0;
  readonly #waiting: { readonly isAlone: boolean; enter(): void }[] = [];

  shared<T>(work: () => Promise<T>): Promise<T> {
    return this.#run(false, work);
  }

  exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.#run(true, work);
  }

  async #run<T>(isAlone: boolean, work: () => Promise<T>): Promise<T> {
    if (this.#waiting.length > 0 || (isAlone ? this.#inside !== 0 : this.#inside < 0))
      await new Promise<void>((enter) => this.#waiting.push({ isAlone, enter }));
    else this.#enter(isAlone);
    try {
      return await work();
    } finally {
      this.#inside = isAlone ? 0 : this.#inside - 1;
      this.#admit();
    }
  }

  #enter(isAlone: boolean): void {
    this.#inside = isAlone ? -1 : this.#inside + 1;
  }

  #admit(): void {
    for (
      let [next] = this.#waiting;
      next !== undefined && (next.isAlone ? this.#inside === 0 : this.#inside >= 0);
      [next] = this.#waiting
    ) {
      this.#waiting.shift();
      this.#enter(next.isAlone);
      next.enter();
    }
  }
}
