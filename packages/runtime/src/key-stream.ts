// ChaCha20 (RFC 8439, 2.3) as a source of random words for a thread that cannot reach the host's: the key comes from there.

const CONSTANTS = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const;
const ROUND_PAIRS = 10;
const rotate = (value: number, count: number): number => (value << count) | (value >>> (32 - count));

function quarterRound(s: Uint32Array, a: number, b: number, c: number, d: number): void {
  s[a] += s[b];
  s[d] = rotate(s[d] ^ s[a], 16);
  s[c] += s[d];
  s[b] = rotate(s[b] ^ s[c], 12);
  s[a] += s[b];
  s[d] = rotate(s[d] ^ s[a], 8);
  s[c] += s[d];
  s[b] = rotate(s[b] ^ s[c], 7);
}

/** The 16 words of one block: 8 words of key, the counter, 3 words of nonce. */
export function chachaBlock(input: Uint32Array): Uint32Array {
  const s = input.slice();
  for (let i = 0; i < ROUND_PAIRS; i++) {
    for (let column = 0; column < 4; column++) quarterRound(s, column, column + 4, column + 8, column + 12);
    for (let column = 0; column < 4; column++)
      quarterRound(s, column, 4 + ((column + 1) & 3), 8 + ((column + 2) & 3), 12 + ((column + 3) & 3));
  }
  return s.map((word, i) => word + input[i]);
}

/** Fills words with the stream of a key of 8 words. */
export function keyStream(key: Uint32Array): (words: Uint32Array) => void {
  const input = new Uint32Array([...CONSTANTS, ...key, 0, 0, 0, 0]);
  return (words) => {
    for (let done = 0; done < words.length; done += 16) {
      words.set(chachaBlock(input).subarray(0, words.length - done), done);
      input[12]++;
      if (input[12] === 0) input[13]++;
    }
  };
}
