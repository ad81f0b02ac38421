// Several things at once, with buffers that are lent.

/** Waits for all, for their buffers are lent, then tells the first failure. */
export async function settleAll(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(promises)) if (outcome.status === 'rejected') throw outcome.reason;
}

/** Several that are started one after the other with waiting in between: one that fails early is told of by `settle`, and to nobody before. */
export class Started {
  readonly #promises: Promise<unknown>[] = [];

  add(promise: Promise<unknown>): void {
    promise.catch(() => {});
    this.#promises.push(promise);
  }

  settle(): Promise<void> {
    return settleAll(this.#promises);
  }
}
