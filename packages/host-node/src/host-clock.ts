// The host's clocks.

/** Monotonic, nanoseconds, the same on all threads; a double, exact for 100 days of the host's running time. */
export function hostNowNs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e9 + nanoseconds;
}

/** Milliseconds since 1970 UTC. */
export const hostWallMs = (): number => Date.now();
