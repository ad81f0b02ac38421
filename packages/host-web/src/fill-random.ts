// Random numbers from the browser.

/** Web Cryptography API: no more at once (getRandomValues). */
const LARGEST_FILL_BYTES = 65_536;

/** From the browser's cryptographic generator. */
export function fillRandom(words: Uint32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>): void {
  const step = LARGEST_FILL_BYTES / words.BYTES_PER_ELEMENT;
  for (let at = 0; at < words.length; at += step) crypto.getRandomValues(words.subarray(at, at + step));
}
