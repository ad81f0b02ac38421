// The 4-level page walk in IR, for TLB misses that end well: mapped RAM, access granted. Everything else (faults, device memory, other paging modes,
// data breakpoints, protection keys) answers 0, and mmu.ts decides. SDM Vol. 3A 4.5 to 4.8. Both must agree: mmu.ts is the complete one.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import { ACCESS, WALK } from '@anillo/ir/frontend';
import type { Slot } from '@anillo/ir/slot';
import { CR0, CR4, EFER, MODE } from './mode.ts';
import { EFLAG, X86State } from './state.ts';

const at = X86State.offset;
const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const LARGE = 0x80;
const GLOBAL = 0x100;
const GRANT = { READ: 1 << ACCESS.READ, WRITE: 1 << ACCESS.WRITE, EXECUTE: 1 << ACCESS.EXECUTE };
/** Sizes of what an entry of each level maps: 2^30, 2^21, 2^12. */
const SHIFTS = [39, 30, 21, 12] as const;

class WalkBuilder {
  readonly #b: Builder;
  readonly #linear: Slot<'i64'>;
  readonly #access: Slot<'i32'>;
  readonly #result: Slot<'i32'>;
  /** AND of the entries' low words, OR of their high words. */
  readonly #rights: Slot<'i32'>;
  readonly #upper: Slot<'i32'>;

  constructor(b: Builder, linear: Value<'i64'>, access: Value<'i32'>) {
    this.#b = b;
    this.#linear = b.temp('i64', linear);
    this.#access = b.temp('i32', access);
    this.#result = b.temp('i32', b.i32(0));
    this.#rights = b.temp('i32', b.i32(WRITABLE | USER));
    this.#upper = b.temp('i32', b.i32(0));
  }

  #state(offset: number): Value<'i32'> {
    return this.#b.op('state.load32', [this.#b.i32(0)], offset);
  }
  #bit(value: Value<'i32'>, mask: number): Value<'i32'> {
    const b = this.#b;
    return b.op('i32.ne', [b.and(value, b.i32(mask)), b.i32(0)]);
  }

  /** Distance of a guest-physical address from the start of RAM; far beyond its end for addresses below. */
  #intoRam(physical: Value<'i64'>): Value<'i64'> {
    return this.#b.sub(physical, this.#b.extendU(this.#state(at.ramStart)));
  }

  build(): Value<'i32'> {
    const b = this.#b;
    const linear = b.get(this.#linear);
    const isLong = b.and(this.#bit(this.#state(at.cr0), CR0.PG), this.#bit(this.#state(at.efer), EFER.LMA));
    const canonical = b.eq(b.shrS(b.shl(linear, b.i64(16)), b.i64(16)), linear);
    const noBreakpoints = b.eqz(b.and(this.#state(at.dr + 56), b.i32(0xff)));
    b.if(b.and(b.and(isLong, canonical), noBreakpoints), () => {
      const table = b.temp('i64', b.and(b.op('state.load64', [b.i32(0)], at.cr3), b.i64Words(~0xfff, 0xff)));
      this.#level(0, table);
    });
    return b.get(this.#result);
  }

  /** Reads the entry of one level and goes on, from the table at a guest-physical address. */
  #level(level: number, table: Slot<'i64'>): void {
    const b = this.#b;
    const index = b.and(b.shrU(b.get(this.#linear), b.i64(SHIFTS[level] as number)), b.i64(511));
    const physical = b.temp('i64', b.add(b.get(table), b.shl(index, b.i64(3))));
    const into = b.temp('i64', this.#intoRam(b.get(physical)));
    b.if(b.ltU(b.get(into), b.extendU(this.#state(at.ramBytes))), () => {
      const host = b.temp('i32', b.add(b.wrap(b.get(into)), this.#state(at.ramOffset)));
      const entry = b.temp('i64', b.op('i64.ram_load', [b.get(host)]));
      const low = b.temp('i32', b.wrap(b.get(entry)));
      const high = b.temp('i32', b.wrap(b.shrU(b.get(entry), b.i64(32))));
      // Reserved: address bits 51..40, and bit 63 without EFER.NXE.
      const reserved = b.select(this.#bit(this.#state(at.efer), EFER.NXE), b.i32(0x000f_ff00), b.i32(0x800f_ff00 | 0));
      const usable = b.and(b.and(b.get(low), b.i32(PRESENT)), b.eqz(b.and(b.get(high), reserved)));
      b.if(usable, () => {
        b.set(this.#rights, b.and(b.get(this.#rights), b.get(low)));
        b.set(this.#upper, b.or(b.get(this.#upper), b.get(high)));
        this.#entry(level, host, entry, low);
      });
    });
  }

  #entry(level: number, host: Slot<'i32'>, entry: Slot<'i64'>, low: Slot<'i32'>): void {
    const b = this.#b;
    const next = b.temp('i64', b.and(b.get(entry), b.i64Words(~0xfff, 0xff)));
    if (level === 3) {
      this.#leaf(level, host, entry, low, next);
      return;
    }
    const descend = (): void => {
      this.#level(level + 1, next);
      const isNew = b.eqz(b.and(b.get(low), b.i32(ACCESSED)));
      b.if(b.select(isNew, b.get(this.#result), b.i32(0)), () => b.op('i64.ram_store', [b.get(host), b.or(b.get(entry), b.i64(ACCESSED))]));
    };
    // 1 GiB pages depend on the CPU model, which only mmu.ts knows.
    if (level < 2) b.if(b.eqz(b.and(b.get(low), b.i32(LARGE))), descend);
    else b.if(b.and(b.get(low), b.i32(LARGE)), () => this.#leaf(level, host, entry, low, next), descend);
  }

  /** The page has been found: rights, accessed and dirty bits, result. `frame`: the address bits of the entry. */
  #leaf(level: number, host: Slot<'i32'>, entry: Slot<'i64'>, low: Slot<'i32'>, frame: Slot<'i64'>): void {
    const b = this.#b;
    const within = b.i64(2 ** (SHIFTS[level] as number) - 4096);
    const page = b.temp('i64', b.get(frame));
    const valid = b.temp('i32', b.i32(1));
    if (level < 3) {
      // Bits 12..20 (or 29) of a large page's entry: bit 12 is PAT, the others are reserved.
      const reserved = b.i64(2 ** (SHIFTS[level] as number) - 8192);
      b.set(valid, b.eqz(b.and(b.get(frame), reserved)));
      b.set(page, b.or(b.and(b.get(frame), b.xor(within, b.i64(-1))), b.and(b.get(this.#linear), within)));
    }
    b.set(valid, b.and(b.get(valid), this.#isKeyless()));
    const grants = b.temp('i32', this.#grants());
    const granted = b.and(b.shrU(b.get(grants), b.get(this.#access)), b.i32(1));
    const into = b.temp('i64', this.#intoRam(b.get(page)));
    const inRam = b.leU(b.add(b.get(into), b.i64(4096)), b.extendU(this.#state(at.ramBytes)));
    b.if(b.and(b.and(granted, inRam), b.get(valid)), () => {
      const isWrite = b.eq(b.get(this.#access), b.i32(ACCESS.WRITE));
      const bits = b.or(b.i32(ACCESSED), b.mul(isWrite, b.i32(DIRTY)));
      const marked = b.temp('i32', b.or(b.get(low), bits));
      b.if(b.ne(b.get(marked), b.get(low)), () => b.op('i64.ram_store', [b.get(host), b.or(b.get(entry), b.extendU(bits))]));
      const clean = b.eqz(b.and(b.get(marked), b.i32(DIRTY)));
      const kept = b.and(b.get(grants), b.select(clean, b.i32(~GRANT.WRITE), b.i32(-1)));
      const isGlobal = b.and(this.#bit(b.get(low), GLOBAL), this.#bit(this.#state(at.cr4), CR4.PGE));
      const where = b.add(b.wrap(b.get(into)), this.#state(at.ramOffset));
      b.set(this.#result, b.or(b.or(where, kept), b.or(b.mul(isGlobal, b.i32(WALK.GLOBAL)), b.i32(level < 3 ? WALK.LARGE : 0))));
    });
  }

  /** No protection key denies anything: they are off, or the page's is 0 (as far as this walk cares to know) and that one is free. */
  #isKeyless(): Value<'i32'> {
    const b = this.#b;
    const key = b.and(b.get(this.#upper), b.i32(0x7800_0000));
    const rightsOfKey0 = b.and(b.or(this.#state(at.pkru), this.#state(at.pkrs)), b.i32(3));
    const keysOff = b.eqz(b.and(this.#state(at.cr4), b.i32(CR4.PKE | CR4.PKS)));
    return b.or(keysOff, b.eqz(b.or(key, rightsOfKey0)));
  }

  /** Access rights as mmu.ts computes them: user and supervisor, WP, SMEP, SMAP with EFLAGS.AC, NX. */
  #grants(): Value<'i32'> {
    const b = this.#b;
    const grants = b.temp('i32', b.i32(GRANT.READ | GRANT.WRITE | GRANT.EXECUTE));
    const limit = (cond: Value<'i32'>, kept: number): void => b.set(grants, b.and(b.get(grants), b.select(cond, b.i32(kept), b.i32(-1))));
    limit(b.ltS(b.get(this.#upper), b.i32(0)), ~GRANT.EXECUTE);
    const isUser = this.#bit(b.get(this.#rights), USER);
    const readOnly = b.eqz(b.and(b.get(this.#rights), b.i32(WRITABLE)));
    b.if(
      b.and(this.#state(at.mode), b.i32(MODE.CPL3)),
      () => {
        limit(b.eqz(isUser), 0);
        limit(readOnly, ~GRANT.WRITE);
      },
      () => {
        limit(b.and(readOnly, this.#bit(this.#state(at.cr0), CR0.WP)), ~GRANT.WRITE);
        const cr4 = this.#state(at.cr4);
        limit(b.and(isUser, this.#bit(cr4, CR4.SMEP)), ~GRANT.EXECUTE);
        const guarded = b.and(this.#bit(cr4, CR4.SMAP), b.eqz(b.and(this.#state(at.flags), b.i32(EFLAG.AC))));
        limit(b.and(isUser, guarded), GRANT.EXECUTE);
      },
    );
    return b.get(grants);
  }
}

export const PAGE_WALK: Routine = routine({
  name: 'pageWalk',
  params: ['i64', 'i32'],
  result: 'i32',
  reads: 'none',
  writes: 'none',
  traps: false,
  build: (b, [linear, access]) => new WalkBuilder(b, linear as Value<'i64'>, access as Value<'i32'>).build(),
});
