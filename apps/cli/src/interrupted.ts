// For commands that serve until they are told to end.

import { once } from 'node:events';

/** Resolves when the process is asked to end. */
export async function interrupted(): Promise<void> {
  const ending = new AbortController();
  const { signal } = ending;
  await Promise.race(['SIGINT', 'SIGTERM', 'SIGHUP'].map((name) => once(process, name, { signal })));
  ending.abort();
}
