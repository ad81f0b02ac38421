// PCMPESTRx and PCMPISTRx. SDM Vol. 1, 12.11.3 (string processing), Vol. 2 4.1. Strings are x (first operand) and y; elements beyond a string's length are not
// valid. The immediate is known when an instruction is lifted: what depends on it alone costs nothing at run time.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import { EFLAG } from '../state.ts';
import { dynamicOp } from './simd-float-lanes.ts';
import { vectorZero, type V } from './simd-operands.ts';

type I32 = Value<'i32'>;
type Shape = 'i8x16' | 'i16x8';
type Aggregate = 'any' | 'ranges' | 'each' | 'ordered';
const AGGREGATES: readonly Aggregate[] = ['any', 'ranges', 'each', 'ordered'];

/** Control byte of the instructions. */
export class StringControl {
  readonly shape: Shape;
  readonly signed: boolean;
  readonly aggregate: Aggregate;
  /** Bits inverted: none, all, those of valid elements of y. */
  readonly inverted: 'none' | 'all' | 'valid';
  /** Bit 6: the most significant index; a mask of elements instead of bits. */
  readonly upper: boolean;
  constructor(imm: number) {
    this.shape = imm & 1 ? 'i16x8' : 'i8x16';
    this.signed = (imm & 2) !== 0;
    this.aggregate = AGGREGATES[(imm >> 2) & 3] as Aggregate;
    this.inverted = imm & 0x10 ? (imm & 0x20 ? 'valid' : 'all') : 'none';
    this.upper = (imm & 0x40) !== 0;
  }
  get count(): 8 | 16 {
    return this.shape === 'i16x8' ? 8 : 16;
  }
}

const bitmask = (b: Builder, shape: Shape, v: V): I32 => dynamicOp(b, `${shape}.bitmask`, v) as I32;
const lanes = (b: Builder, shape: Shape, name: string, x: V, y: V): V => dynamicOp(b, `${shape}.${name}`, x, y) as V;
const below = (b: Builder, n: I32): I32 => b.sub(b.shl(b.i32(1), n), b.i32(1));
const allOf = (shape: Shape): number => (shape === 'i16x8' ? 0xff : 0xffff);

/** Every lane of the result is lane `n` of v, for n known at run time. */
function splatLane(b: Builder, shape: Shape, v: V, n: I32): V {
  if (shape === 'i8x16') return b.op('i8x16.swizzle', [v, b.op('i8x16.splat', [n])]);
  return b.op('i8x16.swizzle', [v, b.op('i16x8.splat', [b.add(b.mul(n, b.i32(0x202)), b.i32(0x100))])]);
}

/** Up to `length`, by `step`, from 0. */
function forEach(b: Builder, length: I32, step: number, body: (i: I32) => void): void {
  const i = b.temp('i32', b.i32(0));
  const goesOn = (n: I32): I32 => b.ltU(b.add(n, b.i32(step - 1)), length);
  b.if(goesOn(b.get(i)), () =>
    b.loopWhile(() => {
      const n = b.get(i);
      body(n);
      const next = b.add(n, b.i32(step));
      b.set(i, next);
      return goesOn(next);
    }),
  );
}

/** (x, y, length of x) -> bit j: element j of y passes, whether it is valid or not. */
function search(shape: Shape, ranges: 'any' | 's' | 'u'): Routine {
  return routine({
    name: `string-${ranges}-${shape}`,
    params: ['v128', 'v128', 'i32'],
    result: 'i32',
    reads: 'none',
    writes: 'none',
    traps: false,
    pure: true,
    build: (b, params) => {
      const [x, y, length] = params as readonly Value[] as [V, V, I32];
      const found = b.temp('v128', vectorZero(b));
      forEach(b, length, ranges === 'any' ? 1 : 2, (i) => {
        const element = splatLane(b, shape, x, i);
        let passes: V;
        if (ranges === 'any') passes = lanes(b, shape, 'eq', element, y);
        else {
          const most = splatLane(b, shape, x, b.add(i, b.i32(1)));
          const isAbove = lanes(b, shape, 'eq', lanes(b, shape, `max_${ranges}`, element, y), y);
          const isBelow = lanes(b, shape, 'eq', lanes(b, shape, `min_${ranges}`, most, y), y);
          passes = b.op('v128.and', [isAbove, isBelow]);
        }
        b.set(found, b.op('v128.or', [b.get(found), passes]));
      });
      return bitmask(b, shape, b.get(found));
    },
  });
}

/** (x, y, length of x, valid elements of y) -> bit j: x is found at element j of y, as far as y reaches. */
function substring(shape: Shape): Routine {
  return routine({
    name: `string-ordered-${shape}`,
    params: ['v128', 'v128', 'i32', 'i32'],
    result: 'i32',
    reads: 'none',
    writes: 'none',
    traps: false,
    pure: true,
    build: (b, params) => {
      const [x, y, length, valid] = params as readonly Value[] as [V, V, I32, I32];
      const found = b.temp('i32', b.i32(allOf(shape)));
      forEach(b, length, 1, (i) => {
        const equal = b.and(bitmask(b, shape, lanes(b, shape, 'eq', splatLane(b, shape, x, i), y)), valid);
        // What lies beyond the register is not asked.
        b.set(found, b.and(b.get(found), b.shrS(b.or(equal, b.i32(~allOf(shape))), i)));
      });
      return b.get(found);
    },
  });
}

const SHAPES = ['i8x16', 'i16x8'] as const;
export const STRING_COMPARE_ROUTINES: ReadonlyMap<string, Routine> = new Map(
  SHAPES.flatMap((shape) => [search(shape, 'any'), search(shape, 's'), search(shape, 'u'), substring(shape)]).map((r) => [r.name, r]),
);
const find = (name: string): Routine => STRING_COMPARE_ROUTINES.get(name) as Routine;

/** Elements before the first zero. */
export function implicitLength(b: Builder, control: StringControl, v: V): I32 {
  const zeros = bitmask(b, control.shape, lanes(b, control.shape, 'eq', v, vectorZero(b)));
  return b.op('i32.ctz', [b.or(zeros, b.i32(1 << control.count))]);
}

/** IntRes1 of the manual. */
function compareElements(b: Builder, control: StringControl, x: V, y: V, length1: I32, length2: I32): I32 {
  const { shape } = control;
  const valid = below(b, length2);
  switch (control.aggregate) {
    case 'any':
      return b.and(b.call(find(`string-any-${shape}`), [x, y, length1]) as I32, valid);
    case 'ranges':
      return b.and(b.call(find(`string-${control.signed ? 's' : 'u'}-${shape}`), [x, y, length1]) as I32, valid);
    case 'each': {
      // Two that are not valid are alike, one alone is not.
      const equal = bitmask(b, shape, lanes(b, shape, 'eq', x, y));
      const valid1 = below(b, length1);
      const both = b.and(equal, b.and(valid1, valid));
      return b.or(both, b.xor(b.or(valid1, valid), b.i32(allOf(shape))));
    }
    case 'ordered':
      return b.call(find(`string-ordered-${shape}`), [x, y, length1, valid]) as I32;
  }
}

/** Result bits (IntRes2) and the arithmetic flags. */
export function compareStrings(
  b: Builder,
  control: StringControl,
  x: V,
  y: V,
  length1: I32,
  length2: I32,
): { readonly bits: I32; readonly flags: I32 } {
  let bits = compareElements(b, control, x, y, length1, length2);
  if (control.inverted === 'all') bits = b.xor(bits, b.i32(allOf(control.shape)));
  if (control.inverted === 'valid') bits = b.xor(bits, below(b, length2));
  const flag = (test: I32, bit: number): I32 => b.shl(test, b.i32(Math.log2(bit)));
  const isShort = (length: I32): I32 => b.ltU(length, b.i32(control.count));
  const flags = b.or(
    b.or(b.ne(bits, b.i32(0)), flag(b.and(bits, b.i32(1)), EFLAG.OF)),
    b.or(flag(isShort(length2), EFLAG.ZF), flag(isShort(length1), EFLAG.SF)),
  );
  return { bits, flags };
}

/** Number of the first (or last) bit that is set, or of elements. */
export function indexOfBits(b: Builder, control: StringControl, bits: I32): I32 {
  if (!control.upper) return b.op('i32.ctz', [b.or(bits, b.i32(1 << control.count))]);
  return b.select(bits, b.sub(b.i32(31), b.op('i32.clz', [bits])), b.i32(control.count));
}

/** The bits as they are, or a mask of elements. */
export function maskOfBits(b: Builder, control: StringControl, bits: I32): V {
  if (!control.upper) return b.op('i32x4.replace_lane', [vectorZero(b), bits], 0);
  const all = b.op('i16x8.splat', [bits]);
  const own = Uint8Array.from({ length: 16 }, (_, i) => (control.count === 8 ? (i & 1 ? 0 : 1 << (i >> 1)) : 1 << (i & 7)));
  const halves = control.count === 8 ? all : b.shuffle(all, all, Array.from({ length: 16 }, (_, i) => i >> 3));
  const bit = b.v128(own);
  return lanes(b, control.shape, 'eq', b.op('v128.and', [halves, bit]), bit);
}
