// Keeps what the translator has translated between runs. A file belongs to one state of the translator's sources and to one kind of CPU.

import { createHash } from 'node:crypto';
import { CacheFolder } from './cache-folder.ts';

/** Two for each translator and CPU: blocks (24 MiB at most) and compiled regions (16 MiB). */
const KEPT_FILES = 12;

const nameOf = (fingerprint: string, key: string): string =>
  `${createHash('sha256').update(`${fingerprint} ${key}`).digest('hex').slice(0, 32)}.bin`;

export class TranslationStore {
  readonly #folder = new CacheFolder('translations', KEPT_FILES);
  readonly #fingerprint: string;

  /** `fingerprint`: which translator this is (sourceFingerprint). */
  constructor(fingerprint: string) {
    this.#fingerprint = fingerprint;
  }

  load(key: string): Uint8Array | undefined {
    return this.#folder.read(nameOf(this.#fingerprint, key));
  }

  save(key: string, translations: Uint8Array): void {
    this.#folder.write(nameOf(this.#fingerprint, key), translations);
  }
}
