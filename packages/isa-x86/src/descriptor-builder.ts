// Descriptors of the GDT in IR: fetching, checking, and what a segment register holds afterwards. SDM Vol. 3A 3.4.5.
// Only descriptors that need no marking (accessed) are taken; reads go through the TLB in force, which must be the supervisor's, and never fault.

import type { Value } from '@anillo/ir/block';
import type { Slot } from '@anillo/ir/slot';
import { REACH } from './reach.ts';
import type { SegmentValue, StateBuilder } from './state-builder.ts';
import { X86State } from './state.ts';

type I32 = Value<'i32'>;

const at = X86State.offset;
const DESCRIPTOR_BYTES = 8;
/** G, D/B, L, limit 19..16, base 31..24 and 23..16 of a flat 32-bit segment. */
const FLAT = { MASK: 0xffef_00ff | 0, IS: 0x00cf_0000, LOW_WORD: 0x0000_ffff } as const;
/** Second words of descriptors: present, accessed, code that is not conforming (flat ones readable too). */
export const CODE = { MASK: 0x9d00, IS: 0x9900, READABLE: 0x200 } as const;
/** L and D of 64-bit code. */
export const LONG_CODE = { MASK: 0x0060_0000, IS: 0x0020_0000 } as const;
/** Second word: present, accessed, writable data that does not expand down. */
export const WRITABLE_DATA = { MASK: 0x9f00, IS: 0x9300 } as const;

/** The two words of a descriptor. */
export interface Descriptor {
  readonly low: Slot<'i32'>;
  readonly high: Slot<'i32'>;
}

export class DescriptorBuilder {
  readonly #s: StateBuilder;
  readonly #wide: boolean;

  /** `wide`: in 64-bit mode; else linear addresses are cut to 32 bits. */
  constructor(state: StateBuilder, wide: boolean) {
    this.#s = state;
    this.#wide = wide;
  }

  /** Goes on with the descriptor of a selector that is not null. */
  fetch(selector: Slot<'i32'>, then: (d: Descriptor) => void): void {
    const s = this.#s;
    const { b } = s;
    const index = b.temp('i32', b.and(b.get(selector), b.i32(0xfff8)));
    const address = b.temp('i64', b.add(s.quad(at.gdtBase), b.extendU(b.get(index))));
    if (!this.#wide) b.set(address, b.extendU(b.wrap(b.get(address))));
    const inTable = s.all(
      s.matches(b.get(selector), 4, 0),
      b.ne(b.get(index), b.i32(0)),
      b.leU(b.add(b.get(index), b.i32(DESCRIPTOR_BYTES - 1)), s.word(at.gdtLimit)),
      s.matches(b.wrap(b.get(address)), DESCRIPTOR_BYTES - 1, 0),
    );
    b.if(inTable, () => {
      const entry = b.temp('i32', b.call(REACH, [b.get(address)]) as I32);
      b.if(b.ne(b.get(entry), b.i32(-1)), () => {
        const low = b.temp('i32', b.op('i32.ram_load', [b.get(entry)]));
        const high = b.temp('i32', b.op('i32.ram_load', [b.add(b.get(entry), b.i32(4))]));
        then({ low, high });
      });
    });
  }

  isFlat({ low, high }: Descriptor): I32 {
    const { b } = this.#s;
    return b.and(b.eq(b.get(low), b.i32(FLAT.LOW_WORD)), this.#s.matches(b.get(high), FLAT.MASK, FLAT.IS));
  }
  level({ high }: Descriptor): I32 {
    const { b } = this.#s;
    return b.and(b.shrU(b.get(high), b.i32(13)), b.i32(3));
  }
  hasLevel(d: Descriptor, level: Slot<'i32'>): I32 {
    return this.#s.b.eq(this.level(d), this.#s.b.get(level));
  }

  /** What a register holds after it has been loaded from a descriptor. */
  segment(selector: Slot<'i32'>, d: Descriptor): SegmentValue {
    const { b } = this.#s;
    const [low, high] = [b.get(d.low), b.get(d.high)];
    const base = b.or(b.or(b.shrU(low, b.i32(16)), b.shl(b.and(high, b.i32(0xff)), b.i32(16))), b.and(high, b.i32(0xff00_0000 | 0)));
    const limit = b.or(b.and(low, b.i32(0xffff)), b.and(high, b.i32(0x000f_0000)));
    const inPages = b.or(b.shl(limit, b.i32(12)), b.i32(0xfff));
    return {
      selector: b.get(selector),
      base: b.extendU(base),
      limit: b.select(b.and(high, b.i32(0x0080_0000)), inPages, limit),
      attributes: b.and(b.shrU(high, b.i32(8)), b.i32(0xf0ff)),
    };
  }
}
