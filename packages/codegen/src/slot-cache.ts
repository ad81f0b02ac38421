// State slots kept in WebAssembly locals while a compiled function runs: loaded at entry, written back where others can look.

import type { StateAccess } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import type { FunctionCode, Local } from './function-code.ts';
import { emitSlotLoad, emitSlotStore } from './slot-access.ts';

interface CachedSlot {
  readonly slot: Slot;
  readonly local: Local;
  written: boolean;
}

export class SlotCache {
  readonly #f: FunctionCode;
  readonly #cpu: Local;
  readonly #slots = new Map<number, CachedSlot>();

  constructor(f: FunctionCode, cpu: Local) {
    this.#f = f;
    this.#cpu = cpu;
  }

  /** To be called for every unpinned state slot that the function uses, before code is written. */
  add(slot: Slot, written: boolean): void {
    const cached = this.#slots.get(slot.offset);
    if (cached) cached.written ||= written;
    else this.#slots.set(slot.offset, { slot, local: this.#f.local(slot.type), written });
  }

  localOf(slot: Slot): Local {
    const cached = this.#slots.get(slot.offset);
    if (!cached) throw new TypeError(`slot ${slot.name} was not announced to the cache`);
    return cached.local;
  }

  #load(c: CachedSlot): void {
    this.#f.get(this.#cpu);
    emitSlotLoad(this.#f, c.slot.type, c.slot.offset);
    this.#f.set(c.local);
  }
  #store(c: CachedSlot): void {
    if (!c.written) return;
    this.#f.get(this.#cpu);
    this.#f.get(c.local);
    emitSlotStore(this.#f, c.slot.type, c.slot.offset);
  }

  /** Brings what is named into the locals. Returns whether that took code. */
  load(what: StateAccess): boolean {
    return this.#each(what, (c) => this.#load(c));
  }
  /** Writes back what is named. */
  store(what: StateAccess): void {
    this.#each(what, (c) => this.#store(c));
  }
  /** Does `load` of this take code? */
  holds(what: StateAccess): boolean {
    return this.#each(what, () => {});
  }

  #each(what: StateAccess, visit: (c: CachedSlot) => void): boolean {
    if (what === 'none') return false;
    let any = false;
    if (what === 'all') {
      for (const c of this.#slots.values()) visit(c);
      return this.#slots.size > 0;
    }
    for (const slot of what) {
      const c = slot.pinned ? undefined : this.#slots.get(slot.offset);
      if (!c) continue;
      visit(c);
      any = true;
    }
    return any;
  }
}
