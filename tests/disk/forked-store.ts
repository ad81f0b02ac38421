// A store that begins with bytes that it shares with others, and copies what it changes. For tests and fuzzers.

import type { ByteStore, Stretch } from '@anillo/disk/byte-store';

const PAGE = 4096;

export class ForkedStore implements ByteStore {
  readonly name = 'forked';
  readonly isReadOnly: boolean;
  readonly #base: Uint8Array;
  readonly #pages = new Map<number, Uint8Array>();
  #byteCount: number;
  /** Bytes from here on are not the base's any more. */
  #baseBytes: number;

  constructor(base: Uint8Array, isReadOnly: boolean) {
    this.#base = base;
    this.isReadOnly = isReadOnly;
    this.#byteCount = base.length;
    this.#baseBytes = base.length;
  }

  get changedByteCount(): number {
    return this.#pages.size * PAGE;
  }

  #page(number: number): Uint8Array {
    const known = this.#pages.get(number);
    if (known !== undefined) return known;
    const page = new Uint8Array(PAGE);
    page.set(this.#base.subarray(Math.min(number * PAGE, this.#baseBytes), Math.min((number + 1) * PAGE, this.#baseBytes)));
    this.#pages.set(number, page);
    return page;
  }

  async size(): Promise<number> {
    return this.#byteCount;
  }

  #get(at: number, into: Uint8Array): void {
    for (let done = 0; done < into.length; ) {
      const skip = (at + done) % PAGE;
      const count = Math.min(PAGE - skip, into.length - done);
      const page = this.#pages.get(Math.floor((at + done) / PAGE));
      const part = into.subarray(done, done + count);
      if (page !== undefined) part.set(page.subarray(skip, skip + count));
      else {
        part.fill(0);
        part.set(this.#base.subarray(Math.min(at + done, this.#baseBytes), Math.min(at + done + count, this.#baseBytes)));
      }
      done += count;
    }
  }

  async read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    let at = offset;
    for (const buffer of into) {
      this.#get(at, buffer);
      at += buffer.length;
    }
  }

  /** Before anybody reads it, in place of a write. */
  put(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const skip = (offset + done) % PAGE;
      const count = Math.min(PAGE - skip, bytes.length - done);
      this.#page(Math.floor((offset + done) / PAGE)).set(bytes.subarray(done, done + count), skip);
      done += count;
    }
    this.#byteCount = Math.max(this.#byteCount, offset + bytes.length);
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    let at = offset;
    for (const buffer of from) {
      this.put(at, buffer);
      at += buffer.length;
    }
  }

  cut(byteCount: number): void {
    if (byteCount < this.#byteCount) {
      this.#baseBytes = Math.min(this.#baseBytes, byteCount);
      for (const [number, page] of this.#pages) {
        if (number * PAGE >= byteCount) this.#pages.delete(number);
        else if ((number + 1) * PAGE > byteCount) page.fill(0, byteCount - number * PAGE);
      }
    }
    this.#byteCount = byteCount;
  }

  async resize(byteCount: number): Promise<void> {
    this.cut(byteCount);
  }

  async writeZeroes(offset: number, byteCount: number): Promise<void> {
    const zeros = new Uint8Array(PAGE);
    // What lies behind both the base and the end is zero already.
    const end = Math.min(offset + byteCount, Math.max(this.#baseBytes, this.#byteCount));
    for (let at = offset; at < end; at += PAGE) this.put(at, zeros.subarray(0, Math.min(PAGE, end - at)));
    this.#byteCount = Math.max(this.#byteCount, offset + byteCount);
  }

  async flush(): Promise<void> {}

  async stretches(offset: number, byteCount: number): Promise<readonly Stretch[]> {
    return byteCount === 0 ? [] : [{ offset, byteCount, isHole: false }];
  }

  async close(): Promise<void> {}
}
