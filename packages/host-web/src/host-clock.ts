// The browser's clocks. A page that is isolated (COOP and COEP) gets the first to 5 microseconds, others to 100.

/** Monotonic, nanoseconds. */
export const hostNowNs = (): number => performance.now() * 1e6;

/** Milliseconds since 1970 UTC. */
export const hostWallMs = (): number => Date.now();
