// Debugger watchpoints of one vCPU. Pages that hold one never get read or write tags, so every access to them is checked here.

export type WatchKind = 'write' | 'read' | 'access';

interface Watchpoint {
  readonly linear: bigint;
  readonly byteCount: number;
  readonly kind: WatchKind;
}

export class Watchpoints {
  #list: readonly Watchpoint[] = [];
  /** Address of the last hit. */
  hitAddress = 0n;
  /** Set while the instruction that hit is being executed after all. */
  isSuspended = false;

  get isActive(): boolean {
    return this.#list.length > 0;
  }
  add(linear: bigint, byteCount: number, kind: WatchKind): void {
    this.#list = [...this.#list, { linear, byteCount, kind }];
  }
  remove(linear: bigint, byteCount: number, kind: WatchKind): void {
    this.#list = this.#list.filter((w) => !(w.linear === linear && w.byteCount === byteCount && w.kind === kind));
  }
  pageHas(low: number, high: number): boolean {
    const page = (BigInt(high >>> 0) << 32n) | BigInt((low & ~0xfff) >>> 0);
    return this.#list.some((w) => w.linear < page + 4096n && w.linear + BigInt(w.byteCount) > page);
  }
  hit(low: number, high: number, byteCount: number, isWrite: boolean): boolean {
    if (this.isSuspended) return false;
    const linear = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    for (const w of this.#list) {
      if (w.kind !== 'access' && (w.kind === 'write') !== isWrite) continue;
      if (linear < w.linear + BigInt(w.byteCount) && linear + BigInt(byteCount) > w.linear) {
        this.hitAddress = w.linear;
        return true;
      }
    }
    return false;
  }
}
