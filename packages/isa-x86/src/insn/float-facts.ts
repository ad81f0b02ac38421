// What the lifting of a block knows of floating-point values, so that each is checked once: which are not denormal, and whether MXCSR lets native
// arithmetic stand. `doubt` is -1 where one of this does not hold after all, and whoever builds on it must test it.

import type { Inst, Value } from '@anillo/ir/block';
import type { Builder } from '@anillo/ir/builder';
import type { Slot } from '@anillo/ir/slot';
import { SIMD_DOUBT } from '../state.ts';
import { type FloatKind, isDouble } from './simd-float-lanes.ts';
import { mxcsrFast } from './simd-float-fast.ts';

type I32 = Value<'i32'>;

export class FloatFacts {
  readonly #b: Builder;
  #doubt: Slot<'i32'> | undefined;
  #upheavals = 0;
  /** Values whose double or single (scalars), or all of whose doubles or singles (vectors), are not denormal. */
  readonly #known = { doubles: new Set<Inst>(), singles: new Set<Inst>() };

  constructor(b: Builder) {
    this.#b = b;
  }

  /** MXCSR is about to be loaded. */
  forget(): void {
    this.#doubt = undefined;
    this.#known.doubles.clear();
    this.#known.singles.clear();
  }

  /** 0, or -1 where MXCSR is not as wanted or an earlier value in the block not as supposed. */
  doubt(): I32 {
    const b = this.#b;
    if (this.#upheavals !== b.upheavals) {
      this.#upheavals = b.upheavals;
      this.forget();
    }
    if (this.#doubt !== undefined) return b.get(this.#doubt);
    const isSlow = b.sub(mxcsrFast(b), b.i32(1));
    // A variable of the whole block cannot begin on one way of several.
    if (b.depth > 0) return isSlow;
    this.#doubt = b.temp('i32', isSlow);
    return b.get(this.#doubt);
  }
  /** After the slow way, which has left in SIMD_DOUBT whether operands and results are plain. */
  addDoubt(): void {
    const b = this.#b;
    if (this.#doubt !== undefined) b.set(this.#doubt, b.or(b.get(this.#doubt), b.wrap(b.get(SIMD_DOUBT))));
  }

  /** Are the value's lanes known not to be denormal, provided that there is no doubt? To be asked after `doubt`. */
  isKnown(kind: FloatKind, value: Value): boolean {
    const known = isDouble(kind) ? this.#known.doubles : this.#known.singles;
    const key = this.#key(value);
    return known.has(key) || (key.op === LANE[kind] && known.has(this.#b.origin(key.args[0] as Inst)));
  }
  learn(kind: FloatKind, value: Value): void {
    if (this.#doubt === undefined || this.#b.depth > 0) return;
    (isDouble(kind) ? this.#known.doubles : this.#known.singles).add(this.#key(value));
  }

  /** Lane 0 of a vector into which a scalar has been put is that scalar. */
  #key(value: Value): Inst {
    const key = this.#b.origin(value as Inst);
    if (key.op !== 'f64x2.extract_lane' && key.op !== 'f32x4.extract_lane') return key;
    if (key.imm !== 0) return key;
    const vector = this.#b.origin(key.args[0] as Inst);
    const put = key.op === 'f64x2.extract_lane' ? 'f64x2.replace_lane' : 'f32x4.replace_lane';
    if (vector.op === put && vector.imm === 0) return this.#b.origin(vector.args[1] as Inst);
    return this.#lanes(vector, key);
  }
  /** One inst for all extractions of a vector's lane 0. */
  readonly #first = new Map<Inst, Inst>();
  #lanes(vector: Inst, lane: Inst): Inst {
    const found = this.#first.get(vector);
    if (found !== undefined && found.op === lane.op) return found;
    this.#first.set(vector, lane);
    return lane;
  }
}
const LANE: Readonly<Record<FloatKind, string>> = { sd: 'f64x2.extract_lane', ss: 'f32x4.extract_lane', pd: '', ps: '' };
