// A store in memory, of which only what has been written takes room.

import type { ByteStore, Stretch } from './byte-store.ts';

const PAGE = 1 << 16;

export class MemoryStore implements ByteStore {
  readonly name: string;
  readonly isReadOnly = false;
  readonly #pages = new Map<number, Uint8Array>();
  #byteCount = 0;

  constructor(name = 'memory', bytes?: Uint8Array) {
    this.name = name;
    if (bytes !== undefined) this.#put(0, bytes);
  }

  /** Bytes that it takes. */
  get keptByteCount(): number {
    return this.#pages.size * PAGE;
  }

  async size(): Promise<number> {
    return this.#byteCount;
  }

  async read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    this.readNow(offset, into);
  }

  readNow(offset: number, into: readonly Uint8Array[]): boolean {
    let at = offset;
    for (const buffer of into) {
      for (let done = 0; done < buffer.length; ) {
        const inPage = at % PAGE;
        const count = Math.min(PAGE - inPage, buffer.length - done);
        const page = this.#pages.get((at - inPage) / PAGE);
        if (page === undefined) buffer.fill(0, done, done + count);
        else buffer.set(page.subarray(inPage, inPage + count), done);
        done += count;
        at += count;
      }
    }
    return true;
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    this.writeNow(offset, from);
  }

  writeNow(offset: number, from: readonly Uint8Array[]): boolean {
    let at = offset;
    for (const buffer of from) {
      this.#put(at, buffer);
      at += buffer.length;
    }
    return true;
  }

  async resize(byteCount: number): Promise<void> {
    if (byteCount < this.#byteCount) this.#zero(byteCount, this.#byteCount - byteCount);
    this.#byteCount = byteCount;
  }

  async writeZeroes(offset: number, byteCount: number): Promise<void> {
    this.#zero(offset, byteCount);
    this.#byteCount = Math.max(this.#byteCount, offset + byteCount);
  }

  async flush(): Promise<void> {}

  async stretches(offset: number, byteCount: number): Promise<readonly Stretch[]> {
    const found: { offset: number; byteCount: number; isHole: boolean }[] = [];
    for (let at = offset; at < offset + byteCount; ) {
      const count = Math.min(PAGE - (at % PAGE), offset + byteCount - at);
      const isHole = !this.#pages.has(Math.floor(at / PAGE));
      const last = found.at(-1);
      if (last !== undefined && last.isHole === isHole) last.byteCount += count;
      else found.push({ offset: at, byteCount: count, isHole });
      at += count;
    }
    return found;
  }

  async close(): Promise<void> {}

  #put(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const at = offset + done;
      const inPage = at % PAGE;
      const count = Math.min(PAGE - inPage, bytes.length - done);
      const index = (at - inPage) / PAGE;
      let page = this.#pages.get(index);
      if (page === undefined) {
        page = new Uint8Array(PAGE);
        this.#pages.set(index, page);
      }
      page.set(bytes.subarray(done, done + count), inPage);
      done += count;
    }
    this.#byteCount = Math.max(this.#byteCount, offset + bytes.length);
  }

  #zero(offset: number, byteCount: number): void {
    const end = offset + byteCount;
    // Only what is kept is visited: a range may be larger than any loop over its pages should be.
    if (byteCount / PAGE > this.#pages.size) {
      for (const index of [...this.#pages.keys()]) this.#zeroInPage(index, offset, end);
      return;
    }
    for (let index = Math.floor(offset / PAGE); index * PAGE < end; index++) this.#zeroInPage(index, offset, end);
  }

  #zeroInPage(index: number, start: number, end: number): void {
    const page = this.#pages.get(index);
    const from = Math.max(start - index * PAGE, 0);
    const to = Math.min(end - index * PAGE, PAGE);
    if (page === undefined || from >= to) return;
    if (from === 0 && to === PAGE) this.#pages.delete(index);
    else page.fill(0, from, to);
  }
}
