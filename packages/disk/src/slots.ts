// A bounded amount of something that those who have it give back; the others wait in line.

export class Slots {
  readonly #total: number;
  #free: number;
  readonly #waiting: { readonly amount: number; enter(): void }[] = [];

  constructor(total: number) {
    this.#total = total;
    this.#free = total;
  }

  /** More than there is counts as all of it. */
  async take(amount: number): Promise<void> {
    const wanted = Math.min(amount, this.#total);
    if (this.#waiting.length === 0 && wanted <= this.#free) {
      this.#free -= wanted;
      return;
    }
    await new Promise<void>((enter) => this.#waiting.push({ amount: wanted, enter }));
  }

  give(amount: number): void {
    this.#free += Math.min(amount, this.#total);
    for (let [next] = this.#waiting; next !== undefined && next.amount <= this.#free; [next] = this.#waiting) {
      this.#waiting.shift();
      this.#free -= next.amount;
      next.enter();
    }
  }
}
