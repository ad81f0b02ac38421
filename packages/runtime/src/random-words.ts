// Random numbers for guests (RDRAND, RDSEED), from the host's cryptographic generator: fetched in bulk, for one call costs a microsecond.

const POOL_WORDS = 1024;

/** A source of 32 random bits a call. Each word is given once and then wiped. */
export function randomWords(fill: (words: Uint32Array<ArrayBuffer>) => void): () => number {
  const pool = new Uint32Array(POOL_WORDS);
  let next = POOL_WORDS;
  return () => {
    if (next === POOL_WORDS) {
      fill(pool);
      next = 0;
    }
    const word = pool[next];
    pool[next++] = 0;
    return word;
  };
}
