// The page walk in IR, for TLB misses that end well (mapped RAM, access granted; also without paging) or in a plain page fault. Everything else (reserved bits,
// device memory, data breakpoints, protection keys) answers 0, and mmu.ts decides. SDM Vol. 3A 4.3 to 4.8. Both must agree: mmu.ts is the complete one.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import { ACCESS, WALK } from '@anillo/ir/frontend';
import type { Slot } from '@anillo/ir/slot';
import { CR0, CR4, EFER, MODE } from './mode.ts';
import { PAGE_FAULT } from './mmu.ts';
import { EFLAG, VECTOR, X86State } from './state.ts';

type I32 = Value<'i32'>;
type I64 = Value<'i64'>;

const at = X86State.offset;
const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const LARGE = 0x80;
const GLOBAL = 0x100;
const GRANT = { READ: 1 << ACCESS.READ, WRITE: 1 << ACCESS.WRITE, EXECUTE: 1 << ACCESS.EXECUTE };
const GRANT_ALL = GRANT.READ | GRANT.WRITE | GRANT.EXECUTE;
/** Size of what an entry of each level maps, as a power of 2, with 8-byte entries; and of a directory entry with 4-byte ones. */
const SHIFTS = [39, 30, 21, 12] as const;
const SHORT_DIRECTORY_SHIFT = 22;
const PAGE = 4096;
/** High words of 8-byte entries: bits that must be 0 (address bits 51..40; with PAE paging bits 62..52 too), and bit 63 without EFER.NXE. */
const RESERVED = { LONG: 0x000f_ff00, PAE: 0x7fff_ff00, NO_EXECUTE: 0x8000_0000 | 0 } as const;

/** What both routines compute with: the access, and what the entries say together. */
class Walk {
  readonly b: Builder;
  readonly linear: Slot<'i64'>;
  readonly access: Slot<'i32'>;
  readonly result: Slot<'i32'>;

  constructor(b: Builder, linear: I64, access: I32) {
    this.b = b;
    this.linear = b.temp('i64', linear);
    this.access = b.temp('i32', access);
    this.result = b.temp('i32', b.i32(0));
  }

  state(offset: number): I32 {
    return this.b.op('state.load32', [this.b.i32(0)], offset);
  }
  bit(value: I32, mask: number): I32 {
    const { b } = this;
    return b.ne(b.and(value, b.i32(mask)), b.i32(0));
  }
  /** Distance of a guest-physical address from the start of RAM; far beyond its end for addresses below. */
  intoRam(physical: I64): I64 {
    return this.b.sub(physical, this.b.extendU(this.state(at.ramStart)));
  }
  /** Visits the entry at a guest-physical address if it lies in RAM: `host` is its byte offset in the machine's memory. */
  atEntry(physical: I64, visit: (host: Slot<'i32'>) => void): void {
    const { b } = this;
    const into = b.temp('i64', this.intoRam(physical));
    b.if(b.ltU(b.get(into), b.extendU(this.state(at.ramBytes))), () =>
      visit(b.temp('i32', b.add(b.wrap(b.get(into)), this.state(at.ramOffset)))),
    );
  }
  /** The entry with this low word is present, or the access faults. */
  ifPresent(low: I32, then: () => void): void {
    const { b } = this;
    b.if(b.and(low, b.i32(PRESENT)), then, () => b.set(this.result, b.i32(WALK.ABSENT)));
  }
  /** After the levels below have been walked: they count as used only if that went well. */
  markAccessed(host: Slot<'i32'>, low: Slot<'i32'>): void {
    const { b } = this;
    const isNew = b.eqz(b.and(b.get(low), b.i32(ACCESSED)));
    b.if(b.select(isNew, b.and(b.get(this.result), b.i32(WALK.GRANTS)), b.i32(0)), () => void b.op('i32.ram_cmpxchg', [b.get(host), b.get(low), b.or(b.get(low), b.i32(ACCESSED))]));
  }
  /** The bits of an address that are within what an entry of `shift` maps, but not within its page. */
  within(shift: number): I64 {
    return this.b.i64(2 ** shift - PAGE);
  }
}

/**
 * The page has been found: (access, guest-physical page, byte offset of its entry, that entry's low word, AND of the entries' low words, OR of their high words, WALK.LARGE or 0)
 * -> result of the walk.
 */
const PAGE_FOUND: Routine = routine({
  name: 'pageFound',
  params: ['i32', 'i64', 'i32', 'i32', 'i32', 'i32', 'i32'],
  result: 'i32',
  reads: 'none',
  writes: 'none',
  traps: false,
  build: (b, [access, page, host, low, rights, upper, large]) => {
    const w = new Walk(b, page as I64, access as I32);
    const grants = b.temp('i32', grantsOf(w, rights as I32, upper as I32));
    const granted = b.and(b.shrU(b.get(grants), b.get(w.access)), b.i32(1));
    const into = b.temp('i64', w.intoRam(page as I64));
    const inRam = b.leU(b.add(b.get(into), b.i64(PAGE)), b.extendU(w.state(at.ramBytes)));
    b.set(w.result, b.select(b.and(b.eqz(granted), isKeyless(w, upper as I32)), b.i32(WALK.DENIED), b.i32(0)));
    b.if(b.and(b.and(granted, inRam), isKeyless(w, upper as I32)), () => {
      const isWrite = b.eq(b.get(w.access), b.i32(ACCESS.WRITE));
      const bits = b.or(b.i32(ACCESSED), b.mul(isWrite, b.i32(DIRTY)));
      const marked = b.temp('i32', b.or(low as I32, bits));
      // An entry that another CPU has just changed is looked at again, by mmu.ts.
      const same = b.temp('i32', b.i32(1));
      b.if(b.ne(b.get(marked), low as I32), () => b.set(same, b.eq(b.op('i32.ram_cmpxchg', [host as I32, low as I32, b.get(marked)]), low as I32)));
      const clean = b.eqz(b.and(b.get(marked), b.i32(DIRTY)));
      const kept = b.and(b.get(grants), b.select(clean, b.i32(~GRANT.WRITE), b.i32(-1)));
      const isGlobal = b.and(w.bit(low as I32, GLOBAL), w.bit(w.state(at.cr4), CR4.PGE));
      const where = b.add(b.wrap(b.get(into)), w.state(at.ramOffset));
      const found = b.or(b.or(where, kept), b.or(b.mul(isGlobal, b.i32(WALK.GLOBAL)), large as I32));
      b.set(w.result, b.select(b.get(same), found, b.i32(0)));
    });
    return b.get(w.result);
  },
});

/** No protection key denies anything: they are off, or the page's is 0 (as far as this walk cares to know) and that one is free. */
function isKeyless(w: Walk, upper: I32): I32 {
  const { b } = w;
  const key = b.and(upper, b.i32(0x7800_0000));
  const rightsOfKey0 = b.and(b.or(w.state(at.pkru), w.state(at.pkrs)), b.i32(3));
  const keysOff = b.eqz(b.and(w.state(at.cr4), b.i32(CR4.PKE | CR4.PKS)));
  return b.or(keysOff, b.eqz(b.or(key, rightsOfKey0)));
}

/** Access rights as mmu.ts computes them: user and supervisor, WP, SMEP, SMAP with EFLAGS.AC, NX. */
function grantsOf(w: Walk, rights: I32, upper: I32): I32 {
  const { b } = w;
  const grants = b.temp('i32', b.i32(GRANT_ALL));
  const limit = (cond: I32, kept: number): void => b.set(grants, b.and(b.get(grants), b.select(cond, b.i32(kept), b.i32(-1))));
  limit(b.ltS(upper, b.i32(0)), ~GRANT.EXECUTE);
  const isUser = w.bit(rights, USER);
  const readOnly = b.eqz(b.and(rights, b.i32(WRITABLE)));
  b.if(
    b.and(w.state(at.mode), b.i32(MODE.CPL3)),
    () => {
      limit(b.eqz(isUser), 0);
      limit(readOnly, ~GRANT.WRITE);
    },
    () => {
      limit(b.and(readOnly, w.bit(w.state(at.cr0), CR0.WP)), ~GRANT.WRITE);
      const cr4 = w.state(at.cr4);
      limit(b.and(isUser, w.bit(cr4, CR4.SMEP)), ~GRANT.EXECUTE);
      const guarded = b.and(w.bit(cr4, CR4.SMAP), b.eqz(b.and(w.state(at.flags), b.i32(EFLAG.AC))));
      limit(b.and(isUser, guarded), GRANT.EXECUTE);
    },
  );
  return b.get(grants);
}

/** 8-byte entries, from one table down. Rights of the levels above come in and are narrowed. */
class EntryWalk extends Walk {
  readonly #rights: Slot<'i32'>;
  readonly #upper: Slot<'i32'>;
  readonly #reserved: Slot<'i32'>;

  constructor(b: Builder, linear: I64, access: I32, reserved: I32) {
    super(b, linear, access);
    this.#rights = b.temp('i32', b.i32(WRITABLE | USER));
    this.#upper = b.temp('i32', b.i32(0));
    this.#reserved = b.temp('i32', reserved);
  }

  /** Reads the entry of one level and goes on, from the table at a guest-physical address. */
  level(level: number, table: I64): void {
    const { b } = this;
    const index = b.and(b.shrU(b.get(this.linear), b.i64(SHIFTS[level] as number)), b.i64(511));
    this.atEntry(b.add(table, b.shl(index, b.i64(3))), (host) => {
      const entry = b.temp('i64', b.op('i64.ram_load', [b.get(host)]));
      const low = b.temp('i32', b.wrap(b.get(entry)));
      const high = b.temp('i32', b.wrap(b.shrU(b.get(entry), b.i64(32))));
      this.ifPresent(b.get(low), () =>
        b.if(b.eqz(b.and(b.get(high), b.get(this.#reserved))), () => {
          b.set(this.#rights, b.and(b.get(this.#rights), b.get(low)));
          b.set(this.#upper, b.or(b.get(this.#upper), b.get(high)));
          this.#entry(level, host, low, b.and(b.get(entry), b.i64Words(-PAGE, 0xff)));
        }),
      );
    });
  }

  /** `frame`: the address bits of the entry. */
  #entry(level: number, host: Slot<'i32'>, low: Slot<'i32'>, frame: I64): void {
    const { b } = this;
    const next = b.temp('i64', frame);
    if (level === 3) {
      this.#leaf(host, low, b.get(next), 0);
      return;
    }
    const descend = (): void => {
      this.level(level + 1, b.get(next));
      this.markAccessed(host, low);
    };
    // 1 GiB pages depend on the CPU model, which only mmu.ts knows.
    if (level < 2) b.if(b.eqz(b.and(b.get(low), b.i32(LARGE))), descend);
    else b.if(b.and(b.get(low), b.i32(LARGE)), () => this.#largePage(host, low, next), descend);
  }

  /** Bit 12 of a large page's entry is PAT; the other bits below its address are reserved. */
  #largePage(host: Slot<'i32'>, low: Slot<'i32'>, frame: Slot<'i64'>): void {
    const { b } = this;
    const shift = SHIFTS[2];
    b.if(b.eqz(b.and(b.get(frame), b.i64(2 ** shift - 2 * PAGE))), () => {
      const within = this.within(shift);
      this.#leaf(host, low, b.or(b.and(b.get(frame), b.xor(within, b.i64(-1))), b.and(b.get(this.linear), within)), WALK.LARGE);
    });
  }

  #leaf(host: Slot<'i32'>, low: Slot<'i32'>, page: I64, large: number): void {
    const { b } = this;
    b.set(this.result, b.call(PAGE_FOUND, [b.get(this.access), page, b.get(host), b.get(low), b.get(this.#rights), b.get(this.#upper), b.i32(large)]) as I32);
  }
}

/** Page directory and page table with 4-byte entries. Large pages with address bits above 31 (PSE-36) are left to mmu.ts. */
function walkShort(w: Walk): void {
  const { b } = w;
  const addressOf = (low: I32): I64 => b.extendU(b.and(low, b.i32(-PAGE)));
  const read = (table: I64, shift: number, visit: (host: Slot<'i32'>, low: Slot<'i32'>) => void): void => {
    const index = b.and(b.shrU(b.get(w.linear), b.i64(shift)), b.i64(1023));
    w.atEntry(b.add(table, b.shl(index, b.i64(2))), (host) => {
      const low = b.temp('i32', b.op('i32.ram_load', [b.get(host)]));
      w.ifPresent(b.get(low), () => visit(host, low));
    });
  };
  const leaf = (host: Slot<'i32'>, low: Slot<'i32'>, page: I64, rights: I32, large: number): void =>
    b.set(w.result, b.call(PAGE_FOUND, [b.get(w.access), page, b.get(host), b.get(low), rights, b.i32(0), b.i32(large)]) as I32);
  read(addressOf(w.state(at.cr3)), SHORT_DIRECTORY_SHIFT, (host, low) => {
    const isLarge = b.and(w.bit(b.get(low), LARGE), w.bit(w.state(at.cr4), CR4.PSE));
    b.if(
      isLarge,
      () => {
        const within = w.within(SHORT_DIRECTORY_SHIFT);
        const page = b.or(addressOf(b.and(b.get(low), b.i32(-(2 ** SHORT_DIRECTORY_SHIFT)))), b.and(b.get(w.linear), within));
        b.if(b.eqz(b.and(b.get(low), b.i32(0x003f_e000))), () => leaf(host, low, page, b.get(low), WALK.LARGE));
      },
      () => {
        read(addressOf(b.get(low)), SHIFTS[3], (host2, low2) => leaf(host2, low2, addressOf(b.get(low2)), b.and(b.get(low), b.get(low2)), 0));
        w.markAccessed(host, low);
      },
    );
  });
}

/** Linear addresses are physical ones. */
function walkUnpaged(w: Walk): void {
  const { b } = w;
  const page = b.and(b.get(w.linear), b.i64(-PAGE));
  w.atEntry(b.add(page, b.i64(PAGE - 1)), (last) => {
    b.if(b.geU(page, b.extendU(w.state(at.ramStart))), () => b.set(w.result, b.or(b.sub(b.get(last), b.i32(PAGE - 1)), b.i32(GRANT_ALL))));
  });
}

const reservedBits = (w: Walk, bits: number): I32 => w.b.select(w.bit(w.state(at.efer), EFER.NXE), w.b.i32(bits), w.b.i32(bits | RESERVED.NO_EXECUTE));

/** (linear, access) -> result. Each kind of paging is a routine of its own, for few machines use more than one. */
const walkOf = (name: string, build: (b: Builder, linear: I64, access: I32) => I32): Routine =>
  routine({ name, params: ['i64', 'i32'], result: 'i32', reads: 'none', writes: 'none', traps: false, build: (b, [linear, access]) => build(b, linear as I64, access as I32) });

const WALK_LONG = walkOf('walkLong', (b, linear, access) => {
  const w = new EntryWalk(b, linear, access, reservedBits(new Walk(b, linear, access), RESERVED.LONG));
  const canonical = b.eq(b.shrS(b.shl(linear, b.i64(16)), b.i64(16)), linear);
  b.if(canonical, () => w.level(0, b.and(b.op('state.load64', [b.i32(0)], at.cr3), b.i64Words(-PAGE, 0xff))));
  return b.get(w.result);
});

const WALK_PAE = walkOf('walkPae', (b, linear, access) => {
  const w = new EntryWalk(b, linear, access, reservedBits(new Walk(b, linear, access), RESERVED.PAE));
  const pointer = b.temp('i64', b.op('state.load64', [b.shl(b.shrU(b.wrap(linear), b.i32(30)), b.i32(3))], at.pdpte));
  w.ifPresent(b.wrap(b.get(pointer)), () => w.level(2, b.and(b.get(pointer), b.i64Words(-PAGE, 0xff))));
  return b.get(w.result);
});

const WALK_SHORT = walkOf('walkShort', (b, linear, access) => {
  const w = new Walk(b, linear, access);
  walkShort(w);
  return b.get(w.result);
});

const WALK_UNPAGED = walkOf('walkUnpaged', (b, linear, access) => {
  const w = new Walk(b, linear, access);
  walkUnpaged(w);
  return b.get(w.result);
});

export const PAGE_WALK: Routine = walkOf('pageWalk', (b, linear, access) => {
  const w = new Walk(b, linear, access);
  const go = (r: Routine) => (): void => b.set(w.result, b.call(r, [b.get(w.linear), b.get(w.access)]) as I32);
  const isPaged = w.bit(w.state(at.cr0), CR0.PG);
  const isLegacy = (): void => {
    const isLow = b.ltU(b.get(w.linear), b.i64(2 ** 32));
    b.if(isLow, () => b.if(isPaged, () => b.if(w.bit(w.state(at.cr4), CR4.PAE), go(WALK_PAE), go(WALK_SHORT)), go(WALK_UNPAGED)));
  };
  b.if(b.eqz(b.and(w.state(at.dr + 56), b.i32(0xff))), () => b.if(w.bit(w.state(at.efer), EFER.LMA), go(WALK_LONG), isLegacy));
  return b.get(w.result);
});

/** (linear, access, WALK.ABSENT or WALK.DENIED): records the page fault of a read or write. */
export const RECORD_PAGE_FAULT: Routine = routine({
  name: 'recordPageFault',
  params: ['i64', 'i32', 'i32'],
  result: undefined,
  reads: 'none',
  writes: 'none',
  traps: false,
  build: (b, [linear, access, reason]) => {
    const w = new Walk(b, linear as I64, access as I32);
    const put = (offset: number, value: I32): void => b.op('state.store32', [b.i32(0), value], offset);
    const present = b.mul(b.eq(reason as I32, b.i32(WALK.DENIED)), b.i32(PAGE_FAULT.PRESENT));
    const write = b.mul(b.eq(b.get(w.access), b.i32(ACCESS.WRITE)), b.i32(PAGE_FAULT.WRITE));
    const user = b.mul(w.bit(w.state(at.mode), MODE.CPL3), b.i32(PAGE_FAULT.USER));
    b.op('state.store64', [b.i32(0), b.get(w.linear)], at.cr2);
    put(at.faultVector, b.i32(VECTOR.PF));
    put(at.faultError, b.or(b.or(present, write), user));
    put(at.faultSoftware, b.i32(0));
    put(at.trapCode, b.i32(0));
    put(at.trapped, b.i32(1));
    return undefined;
  },
});

/** What PAGE_WALK calls. */
export const PAGE_WALK_ROUTINES: readonly Routine[] = [PAGE_FOUND, WALK_LONG, WALK_PAE, WALK_SHORT, WALK_UNPAGED];
