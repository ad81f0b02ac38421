// What vCPUs on several threads tell each other of translated code (docs/adr/0012-several-cpus.md). Granule marks and their owners are shared; who wants
// others to drop a page's translations, or to give up write access to it, writes that to the change log under the lock and waits for those who run.
//
// A vCPU is inside while it runs and outside while it waits for anything; outside it holds no knowledge that an entry of the log could make wrong, for
// it reads the log before it goes in again.

import { struct } from '@anillo/base/struct';
import { VcpuHeader } from '@anillo/ir/vcpu-header';
import { CodePages } from './code-pages.ts';
import { type MemoryPlan, SHARED_CODE_AT } from './memory-plan.ts';

export const MAX_VCPUS = 32;
const LOG_ENTRIES = 2048;
/** An entry is a page's address and in its low bits the kind, the first granule and the number of granules less one. */
const DROP = 1;
const REVOKE_WRITE = 0;
const GRANULE_SHIFT = 6;
const FIRST_SHIFT = 1;
const COUNT_SHIFT = 7;
const MOST_GRANULES = 32;
const LOCK = { FREE: 0, HELD: 1, WANTED: 2 } as const;
const SPINS = 200;
const SPINS_A_KICK = 8;
const NAP_MS = 0.2;
/** Some hundred microseconds of spinning for one of waiting. */
const PAUSES_A_NAP = 4000;
const PAUSE_NAP_MS = 0.05;

const Layout = struct({ lock: 'i32', head: 'i32', inside: ['i32', MAX_VCPUS], read: ['i32', MAX_VCPUS], log: ['u32', LOG_ENTRIES] });

/** What a vCPU does with entries of the log. */
export interface CodeHolder {
  /** [at, at + byteCount) is within a page. */
  dropGranules(at: number, byteCount: number): void;
  revokeWrite(hostPage: number): void;
  /** It cannot tell what has changed: the TLB goes now, all translations before the next block (`isBehind`). */
  lost(): void;
  /** Running code is to leave soon. */
  endBurst(): void;
}

/** The marks as one vCPU's translation cache sees them: set before a translation is entered, taken away only for all vCPUs at once. */
class OwnCodePages extends CodePages {
  override add(): boolean {
    return false;
  }
  override clear(): void {}
  override clearAll(): void {}
}

export class SharedCode {
  /** For the vCPU's translation cache. */
  readonly codePages: CodePages;
  /** Too much happened while the vCPU was outside: its translations are to be dropped before it runs on. */
  isBehind = false;
  holder: CodeHolder | undefined;
  readonly #id: number;
  readonly #vcpuCount: number;
  readonly #lock: Int32Array;
  readonly #head: Int32Array;
  readonly #inside: Int32Array;
  readonly #readUpTo: Int32Array;
  readonly #log: Uint32Array;
  readonly #owners: Int32Array;
  readonly #marks: CodePages;
  readonly #words: Int32Array;
  readonly #budgetAt: readonly number[];
  #depth = 0;
  #isInside = false;
  #read = 0;
  #pauses = 0;

  constructor(buffer: ArrayBufferLike, plan: MemoryPlan, id: number, vcpuCount: number) {
    const at = Layout.offset;
    this.#id = id;
    this.#vcpuCount = vcpuCount;
    this.#lock = new Int32Array(buffer, SHARED_CODE_AT + at.lock, 1);
    this.#head = new Int32Array(buffer, SHARED_CODE_AT + at.head, 1);
    this.#inside = new Int32Array(buffer, SHARED_CODE_AT + at.inside, MAX_VCPUS);
    this.#readUpTo = new Int32Array(buffer, SHARED_CODE_AT + at.read, MAX_VCPUS);
    this.#log = new Uint32Array(buffer, SHARED_CODE_AT + at.log, LOG_ENTRIES);
    this.#owners = new Int32Array(buffer, plan.ownersAt, plan.pageCount * 16);
    this.#marks = new CodePages(buffer, plan.granulesAt, plan.pageCount * 65536);
    this.#words = new Int32Array(buffer);
    this.#budgetAt = Array.from({ length: vcpuCount }, (_, i) => (plan.vcpuAt(i) + VcpuHeader.offset.budget) >>> 2);
    this.codePages = new OwnCodePages(buffer, plan.granulesAt, plan.pageCount * 65536);
  }

  /** The vCPU is about to run, or goes on. */
  enter(): void {
    Atomics.store(this.#inside, this.#id, 1);
    this.#isInside = true;
    this.#serve();
  }
  /** The vCPU waits, or its thread does something else. */
  leave(): void {
    this.#isInside = false;
    Atomics.store(this.#inside, this.#id, 0);
  }
  /** The guest spins. Once it has done so for long, its thread makes room: whoever it waits for may have none. */
  pause(): void {
    if (++this.#pauses < PAUSES_A_NAP) return;
    this.#pauses = 0;
    this.outside(() => Atomics.wait(this.#inside, this.#id, 0, PAUSE_NAP_MS));
  }

  /** Does what may wait for others. */
  outside<T>(wait: () => T): T {
    if (!this.#isInside) return wait();
    this.leave();
    try {
      return wait();
    } finally {
      this.enter();
    }
  }

  #serve(): void {
    const head = Atomics.load(this.#head, 0);
    const first = this.#read;
    if (first === head) return;
    for (let i = first; i !== head && ((head - first) | 0) <= LOG_ENTRIES; i = (i + 1) | 0) {
      const entry = this.#log[i & (LOG_ENTRIES - 1)] as number;
      const page = (entry & ~0xfff) >>> 0;
      if (entry & DROP) {
        const first = (entry >>> FIRST_SHIFT) & 63;
        const count = ((entry >>> COUNT_SHIFT) & (MOST_GRANULES - 1)) + 1;
        this.holder?.dropGranules(page + (first << GRANULE_SHIFT), count << GRANULE_SHIFT);
      } else this.holder?.revokeWrite(page);
    }
    // What was read may have been written over meanwhile.
    if (((Atomics.load(this.#head, 0) - first) | 0) > LOG_ENTRIES) {
      this.isBehind = true;
      this.holder?.lost();
    }
    this.holder?.endBurst();
    this.#setRead(head);
  }
  #setRead(head: number): void {
    this.#read = head;
    Atomics.store(this.#readUpTo, this.#id, head);
    Atomics.notify(this.#readUpTo, this.#id);
  }

  /** May be taken again by who has it. */
  lock(): void {
    if (this.#depth++ > 0) return;
    if (Atomics.compareExchange(this.#lock, 0, LOCK.FREE, LOCK.HELD) !== LOCK.FREE) this.outside(() => this.#waitForLock());
    this.#serve();
  }
  #waitForLock(): void {
    for (let spin = 0; spin < SPINS; spin++)
      if (Atomics.load(this.#lock, 0) === LOCK.FREE && Atomics.compareExchange(this.#lock, 0, LOCK.FREE, LOCK.HELD) === LOCK.FREE) return;
    while (Atomics.exchange(this.#lock, 0, LOCK.WANTED) !== LOCK.FREE) Atomics.wait(this.#lock, 0, LOCK.WANTED, NAP_MS);
  }
  unlock(): void {
    if (--this.#depth > 0) return;
    if (Atomics.exchange(this.#lock, 0, LOCK.FREE) === LOCK.WANTED) Atomics.notify(this.#lock, 0, 1);
  }

  /** With the lock: writes an entry, and waits until those of `targets` (bits) that run have dealt with it. */
  #request(entry: number, targets: number): void {
    const end = (Atomics.load(this.#head, 0) + 1) | 0;
    this.#log[(end - 1) & (LOG_ENTRIES - 1)] = entry;
    Atomics.store(this.#head, 0, end);
    this.#setRead(end);
    for (let id = 0; id < this.#vcpuCount; id++) if (id !== this.#id && (targets & (1 << id)) !== 0) this.#awaitReader(id, end);
  }
  #awaitReader(id: number, end: number): void {
    for (let spin = 0; ; spin++) {
      const read = Atomics.load(this.#readUpTo, id);
      if (((read - end) | 0) >= 0 || Atomics.load(this.#inside, id) === 0) return;
      // Again and again: its own thread may overwrite what is stored here.
      if (spin % SPINS_A_KICK === 0) Atomics.store(this.#words, this.#budgetAt[id] as number, 0);
      if (spin > SPINS) Atomics.wait(this.#readUpTo, id, read, NAP_MS);
    }
  }

  /** Bytes [at, at + byteCount) of one page are about to be translated: afterwards nobody stores there unnoticed. */
  mark(at: number, byteCount: number): void {
    const hostPage = (at & ~0xfff) >>> 0;
    this.lock();
    const fresh = this.#marks.add(at, byteCount);
    Atomics.or(this.#owners, hostPage >>> 12, 1 << this.#id);
    if (fresh) {
      this.holder?.revokeWrite(hostPage);
      this.#request(hostPage | REVOKE_WRITE, -1);
    }
    this.unlock();
  }

  /** Code in [at, at + byteCount) of one page is about to change: nobody has translations of it afterwards. */
  dropRange(at: number, byteCount: number): void {
    this.lock();
    this.dropOthers(at, byteCount);
    this.holder?.dropGranules(at, byteCount);
    this.#marks.clear(at, byteCount);
    if (!this.#marks.hasCode(at)) Atomics.store(this.#owners, at >>> 12, 0);
    this.unlock();
  }
  /** With the lock: no other vCPU has translations of [at, at + byteCount) of one page afterwards. */
  dropOthers(at: number, byteCount: number): void {
    const hostPage = (at & ~0xfff) >>> 0;
    const others = Atomics.load(this.#owners, hostPage >>> 12) & ~(1 << this.#id);
    if (others === 0) return;
    const last = (at + byteCount - 1 - hostPage) >> GRANULE_SHIFT;
    for (let first = (at - hostPage) >> GRANULE_SHIFT; first <= last; first += MOST_GRANULES) {
      const count = Math.min(MOST_GRANULES, last - first + 1);
      this.#request((hostPage | DROP | (first << FIRST_SHIFT) | ((count - 1) << COUNT_SHIFT)) >>> 0, others);
    }
  }
  /** Does the page hold translated code? Marks that have no owner any more go. */
  hasCode(hostPage: number): boolean {
    if (!this.#marks.hasCode(hostPage)) return false;
    if (Atomics.load(this.#owners, hostPage >>> 12) !== 0) return true;
    this.lock();
    const unowned = Atomics.load(this.#owners, hostPage >>> 12) === 0;
    if (unowned) this.#marks.clear(hostPage, 4096);
    this.unlock();
    return !unowned;
  }

  /** The present vCPU is about to write [at, at + byteCount), before it comes to the loop again: no page there holds code. */
  clearForWrite(at: number, byteCount: number): void {
    for (let page = (at & ~0xfff) >>> 0; page < at + byteCount; page += 4096) if (this.hasCode(page)) this.dropRange(page, 4096);
  }

  /** Around a write that somebody other than the vCPU makes. */
  beginWrite(at: number, byteCount: number): void {
    this.lock();
    for (let page = (at & ~0xfff) >>> 0; page < at + byteCount; page += 4096) {
      const from = Math.max(at, page);
      const count = Math.min(at + byteCount, page + 4096) - from;
      if (this.#marks.hasCode(page) && this.#marks.touches(from, count)) this.dropRange(from, count);
    }
  }
  endWrite(): void {
    this.unlock();
  }
}
