// Floating-point arithmetic in the IR, written once for scalars and vectors: a `FloatLanes` names the ops of one kind of operand.
// Tests ("is each lane ...") are i32 for scalars and lane masks for vectors; `all` makes either an i32.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import type { Type } from '@anillo/ir/ops';
import type { V } from './simd-operands.ts';

export type FloatKind = 'ss' | 'sd' | 'ps' | 'pd';
export const isDouble = (kind: FloatKind): boolean => kind[1] === 'd';
export const CARRIER = { ss: 'f32', sd: 'f64', ps: 'v128', pd: 'v128' } as const satisfies Record<FloatKind, Type>;
const PREFIX = { ss: 'f32', sd: 'f64', ps: 'f32x4', pd: 'f64x2' } as const;

/** Any op by a name put together at run time; the caller answers for the types. */
export const dynamicOp = (b: Builder, name: string, ...args: readonly Value[]): Value =>
  b.op(name as 'v128.and', args as unknown as [V, V]);

export class FloatLanes {
  readonly b: Builder;
  readonly kind: FloatKind;
  constructor(b: Builder, kind: FloatKind) {
    this.b = b;
    this.kind = kind;
  }
  get isVector(): boolean {
    return this.kind[0] === 'p';
  }
  op(name: string, ...args: readonly Value[]): Value {
    return dynamicOp(this.b, `${PREFIX[this.kind]}.${name}`, ...args);
  }
  constant(value: number): Value {
    const { b } = this;
    if (this.kind === 'sd') return b.f64(value);
    const bits = new Uint32Array(Float32Array.of(value).buffer)[0];
    if (this.kind === 'ss') return b.op('f32.reinterpret_i32', [b.i32(bits)]);
    if (this.kind === 'ps') return b.v128(new Uint8Array(Float32Array.of(value, value, value, value).buffer));
    return b.v128(new Uint8Array(Float64Array.of(value, value).buffer));
  }

  // ---- tests
  and(x: Value, y: Value): Value {
    return dynamicOp(this.b, this.isVector ? 'v128.and' : 'i32.and', x, y);
  }
  or(x: Value, y: Value): Value {
    return dynamicOp(this.b, this.isVector ? 'v128.or' : 'i32.or', x, y);
  }
  /** Each lane passes. */
  all(test: Value): Value<'i32'> {
    if (!this.isVector) return test as Value<'i32'>;
    return dynamicOp(this.b, this.kind === 'ps' ? 'i32x4.all_true' : 'i64x2.all_true', test) as Value<'i32'>;
  }
  get smallestNormal(): Value {
    return this.constant(isDouble(this.kind) ? 2 ** -1022 : 2 ** -126);
  }
  isZero(x: Value): Value {
    return this.op('eq', x, this.constant(0));
  }
  isFinite(x: Value): Value {
    return this.op('lt', this.op('abs', x), this.constant(Number.POSITIVE_INFINITY));
  }
  /** Neither a NaN nor denormal: as an operand it raises nothing by itself. */
  isPlain(x: Value): Value {
    return this.or(this.op('ge', this.op('abs', x), this.smallestNormal), this.isZero(x));
  }
  /** Finite and above the smallest normal number, which a tiny result may have been rounded to. */
  isOrdinary(r: Value): Value {
    return this.and(this.op('gt', this.op('abs', r), this.smallestNormal), this.isFinite(r));
  }
  /** x where the test passes, else y. */
  choose(test: Value, x: Value, y: Value): Value {
    if (this.isVector) return this.b.op('v128.bitselect', [x as V, y as V, test as V]);
    return this.b.select(test as Value<'i32'>, x as Value<'f64'>, y as Value<'f64'>);
  }

  // ---- error-free transformations

  /** x * y and its rounding error, exactly, where nothing overflows or underflows (Dekker, Veltkamp). */
  product(x: Value, y: Value): readonly [Value, Value] {
    const splitter = this.constant(isDouble(this.kind) ? 2 ** 27 + 1 : 2 ** 12 + 1);
    const split = (v: Value): readonly [Value, Value] => {
      const scaled = this.op('mul', v, splitter);
      const high = this.op('sub', scaled, this.op('sub', scaled, v));
      return [high, this.op('sub', v, high)];
    };
    const product = this.op('mul', x, y);
    const [xh, xl] = split(x);
    const [yh, yl] = split(y);
    const rest = this.op(
      'sub',
      this.op('sub', this.op('sub', product, this.op('mul', xh, yh)), this.op('mul', xl, yh)),
      this.op('mul', xh, yl),
    );
    return [product, this.op('sub', this.op('mul', xl, yl), rest)];
  }
  /** Zero, or so far from overflow and underflow that products of two such values and their errors are too. */
  isModerate(x: Value): Value {
    const limit = isDouble(this.kind) ? 400 : 40;
    const size = this.op('abs', x);
    return this.or(
      this.isZero(x),
      this.and(this.op('ge', size, this.constant(2 ** -limit)), this.op('le', size, this.constant(2 ** limit))),
    );
  }
  /** x * y is exactly r. */
  isProduct(r: Value, x: Value, y: Value): Value {
    const [product, error] = this.product(x, y);
    return this.and(this.and(this.isModerate(x), this.isModerate(y)), this.and(this.op('eq', product, r), this.isZero(error)));
  }
}
