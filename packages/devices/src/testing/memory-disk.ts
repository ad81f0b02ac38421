// A disk in memory whose calls wait until the test lets them go, fail when it says so, and are remembered.

import type { BlockBackend } from '../virtio/block-backend.ts';

export class MemoryDisk implements BlockBackend {
  readonly bytes: Uint8Array;
  isReadOnly = false;
  readonly calls: string[] = [];
  /** Calls wait for `release`. */
  isHeld = false;
  /** Does what it is asked to do at once. */
  isPrompt = false;
  /** What calls reject with. */
  failure: Error | undefined = undefined;
  #waiting: (() => void)[] = [];

  constructor(byteCount: number) {
    this.bytes = new Uint8Array(byteCount);
  }

  get byteCount(): number {
    return this.bytes.length;
  }

  release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }

  async #call(text: string, work: () => void): Promise<void> {
    this.calls.push(text);
    if (this.isHeld) await new Promise<void>((go) => this.#waiting.push(go));
    if (this.failure !== undefined) throw this.failure;
    work();
  }

  #get(offset: number, into: readonly Uint8Array[]): void {
    let at = offset;
    for (const part of into) {
      part.set(this.bytes.subarray(at, at + part.length));
      at += part.length;
    }
  }

  #put(offset: number, from: readonly Uint8Array[]): void {
    let at = offset;
    for (const part of from) {
      this.bytes.set(part, at);
      at += part.length;
    }
  }

  read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    return this.#call(`read ${offset}`, () => this.#get(offset, into));
  }

  readNow(offset: number, into: readonly Uint8Array[]): boolean {
    if (!this.isPrompt) return false;
    this.calls.push(`read ${offset} now`);
    this.#get(offset, into);
    return true;
  }

  write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    return this.#call(`write ${offset}`, () => this.#put(offset, from));
  }

  writeNow(offset: number, from: readonly Uint8Array[]): boolean {
    if (!this.isPrompt) return false;
    this.calls.push(`write ${offset} now`);
    this.#put(offset, from);
    return true;
  }

  writeZeroes(offset: number, byteCount: number, mayUnmap: boolean): Promise<void> {
    return this.#call(`zero ${offset} ${byteCount}${mayUnmap ? ' unmap' : ''}`, () => void this.bytes.fill(0, offset, offset + byteCount));
  }

  discard(offset: number, byteCount: number): Promise<void> {
    return this.#call(`discard ${offset} ${byteCount}`, () => void this.bytes.fill(0, offset, offset + byteCount));
  }

  flush(): Promise<void> {
    return this.#call('flush', () => {});
  }
}
