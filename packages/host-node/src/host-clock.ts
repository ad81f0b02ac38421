// The host's clocks.

/** Monotonic, nanoseconds, the same on all threads; a double, exact for 100 days of the host's running time. */
export function hostNowNs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e9 + nanoseconds;
}

/** Processor time of the calling thread, nanoseconds. */
export function threadNs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
}

/** Milliseconds since 1970 UTC. */
export const hostWallMs = (): number => Date.now();
