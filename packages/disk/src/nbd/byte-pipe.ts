// Two streams, each of which reads what is written to the other; in memory.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStream } from './byte-stream.ts';

/** One way. */
class Way {
  readonly #chunks: Uint8Array[] = [];
  #skip = 0;
  #isEnded = false;
  #wake: (() => void) | undefined;

  push(from: readonly Uint8Array[]): void {
    if (this.#isEnded) throw new AnilloError('NETWORK', 'The pipe is closed.');
    for (const buffer of from) if (buffer.length > 0) this.#chunks.push(buffer.slice());
    this.#wake?.();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  async fill(into: Uint8Array): Promise<boolean> {
    let filled = 0;
    while (filled < into.length) {
      const [first] = this.#chunks;
      if (first === undefined) {
        if (this.#isEnded && filled === 0) return false;
        if (this.#isEnded) throw new AnilloError('NETWORK', 'The pipe was closed amid a message.');
        await new Promise<void>((wake) => {
          this.#wake = wake;
        });
        continue;
      }
      const part = first.subarray(this.#skip, this.#skip + into.length - filled);
      into.set(part, filled);
      filled += part.length;
      this.#skip += part.length;
      if (this.#skip === first.length) {
        this.#chunks.shift();
        this.#skip = 0;
      }
    }
    return true;
  }
}

const end = (peer: string, out: Way, back: Way): ByteStream => ({
  peer,
  read: (into) => back.fill(into),
  write: async (from) => out.push(from),
  close: () => {
    out.end();
    back.end();
  },
});

export function bytePipe(): readonly [ByteStream, ByteStream] {
  const [there, back] = [new Way(), new Way()];
  return [end('the other end', there, back), end('the other end', back, there)];
}
