// A store whose host may lose its power at any moment: what was written and not flushed since is there or not, sector by sector.

import type { ByteStore, Stretch } from '../byte-store.ts';
import { MemoryStore } from '../memory-store.ts';
import type { Random } from './random.ts';

type Change = { readonly offset: number; readonly bytes: Uint8Array } | { readonly resize: number };

export class CrashStore implements ByteStore {
  readonly isReadOnly = false;
  readonly name = 'crash';
  readonly #now = new MemoryStore();
  #stable: Uint8Array = new Uint8Array(0);
  #changes: Change[] = [];
  /** After each change and each flush. */
  onChange: () => void = () => {};

  size(): Promise<number> {
    return this.#now.size();
  }

  read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    return this.#now.read(offset, into);
  }

  readNow(offset: number, into: readonly Uint8Array[]): boolean {
    return this.#now.readNow(offset, into);
  }

  writeNow(offset: number, from: readonly Uint8Array[]): boolean {
    let at = offset;
    for (const part of from) {
      this.#changes.push({ offset: at, bytes: part.slice() });
      at += part.length;
    }
    this.#now.writeNow(offset, from);
    this.onChange();
    return true;
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    this.writeNow(offset, from);
    // Others come first now and then.
    for (let turns = offset % 3; turns > 0; turns--) await undefined;
  }

  async resize(byteCount: number): Promise<void> {
    this.#changes.push({ resize: byteCount });
    await this.#now.resize(byteCount);
    this.onChange();
  }

  async writeZeroes(offset: number, byteCount: number): Promise<void> {
    await this.write(offset, [new Uint8Array(byteCount)]);
  }

  async flush(): Promise<void> {
    const done = this.#changes.slice();
    await undefined;
    this.#stable = applied(this.#stable, done);
    this.#changes = this.#changes.slice(done.length);
    this.onChange();
  }

  stretches(offset: number, byteCount: number): Promise<readonly Stretch[]> {
    return this.#now.stretches(offset, byteCount);
  }

  async close(): Promise<void> {}

  /** What the host finds after losing its power now. */
  cut(random: Random): MemoryStore {
    const survivors: Change[] = [];
    const share = random.pick([0, 0.3, 0.7, 1]);
    // Now and then only what came last: the host has no order of its own.
    const since = random.below(3) === 0 ? this.#changes.length - 1 - random.below(8) : 0;
    for (const [index, change] of this.#changes.entries())
      if ('resize' in change) survivors.push(change);
      else if (index >= since)
        for (let at = 0; at < change.bytes.length; ) {
          const end = Math.min(change.bytes.length, at + 512 - ((change.offset + at) % 512));
          if (random.next() < share) survivors.push({ offset: change.offset + at, bytes: change.bytes.subarray(at, end) });
          at = end;
        }
    return new MemoryStore('cut', applied(this.#stable.slice(), survivors));
  }

  /** The same where of what was not flushed just the last changes have come to the disk, those behind the first `lostCount`. */
  cutLosing(lostCount: number): MemoryStore {
    const survivors = this.#changes.filter((change, index) => 'resize' in change || index >= lostCount);
    return new MemoryStore('cut', applied(this.#stable.slice(), survivors));
  }

  /** Changes that have not been flushed. */
  get unflushedCount(): number {
    return this.#changes.length;
  }
}

function applied(bytes: Uint8Array, changes: readonly Change[]): Uint8Array {
  let now = bytes;
  const resize = (byteCount: number): void => {
    const other = new Uint8Array(byteCount);
    other.set(now.subarray(0, byteCount));
    now = other;
  };
  for (const change of changes) {
    if ('resize' in change) resize(change.resize);
    else {
      if (change.offset + change.bytes.length > now.length) resize(change.offset + change.bytes.length);
      now.set(change.bytes, change.offset);
    }
  }
  return now;
}
