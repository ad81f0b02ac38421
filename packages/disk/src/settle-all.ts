// Several things at once, with buffers that are lent.

/** Waits for all, for their buffers are lent, then tells the first failure. */
export async function settleAll(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(promises)) if (outcome.status === 'rejected') throw outcome.reason;
}
