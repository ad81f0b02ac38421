// A layout declared once: field offsets, a typed view over an ArrayBuffer, and a snapshot codec derive from it.
// Fields are little-endian, naturally aligned (v128 to 16 bytes), in declaration order. Shared or plain buffers both work.

export type Scalar = 'u8' | 'u16' | 'u32' | 'i32' | 'u64' | 'f64' | 'v128';
export type Field = Scalar | readonly [Scalar, number];
export type StructSpec = Readonly<Record<string, Field>>;

const SIZE = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, f64: 8, v128: 16 } as const;

type ArrayOf<S> = S extends 'u8'
  ? Uint8Array
  : S extends 'u16'
    ? Uint16Array
    : S extends 'u32'
      ? Uint32Array
      : S extends 'i32'
        ? Int32Array
        : S extends 'u64'
          ? BigUint64Array
          : S extends 'f64'
            ? Float64Array
            : Uint8Array;

/** Live accessors: a scalar reads and writes the buffer; an array is a typed array over it (v128: 16 bytes an element). */
export type View<S extends StructSpec> = {
  -readonly [K in keyof S]: S[K] extends readonly [infer T, number]
    ? ArrayOf<T>
    : S[K] extends 'u64'
      ? bigint
      : S[K] extends 'v128'
        ? Uint8Array
        : number;
};

export interface Struct<S extends StructSpec> {
  readonly spec: S;
  /** Byte offset of each field (of its first element for an array). */
  readonly offset: { readonly [K in keyof S]: number };
  /** Size in bytes, a multiple of 16. */
  readonly bytes: number;
  /** Accessors over `buffer` at byte `base` (a multiple of 16). */
  view(buffer: ArrayBufferLike, base: number): View<S>;
}

function scalarArray(type: Scalar, buffer: ArrayBufferLike, at: number, count: number) {
  switch (type) {
    case 'u8':
      return new Uint8Array(buffer, at, count);
    case 'u16':
      return new Uint16Array(buffer, at, count);
    case 'u32':
      return new Uint32Array(buffer, at, count);
    case 'i32':
      return new Int32Array(buffer, at, count);
    case 'u64':
      return new BigUint64Array(buffer, at, count);
    case 'f64':
      return new Float64Array(buffer, at, count);
    case 'v128':
      return new Uint8Array(buffer, at, count * 16);
  }
}

/**
 * What the views of all structs share: typed arrays over the struct's bytes. A struct's fields are accessors of its own subclass, which the host compiles into
 * the array accesses that they are; accessors of each object would be look-ups by name.
 */
class StructView {
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #i32: Int32Array;
  readonly #u64: BigUint64Array;
  readonly #f64: Float64Array;
  /** The array fields. */
  readonly #arrays: readonly unknown[];

  constructor(buffer: ArrayBufferLike, base: number, bytes: number, arrays: readonly unknown[]) {
    this.#u8 = new Uint8Array(buffer, base, bytes);
    this.#u16 = new Uint16Array(buffer, base, bytes / 2);
    this.#u32 = new Uint32Array(buffer, base, bytes / 4);
    this.#i32 = new Int32Array(buffer, base, bytes / 4);
    this.#u64 = new BigUint64Array(buffer, base, bytes / 8);
    this.#f64 = new Float64Array(buffer, base, bytes / 8);
    this.#arrays = arrays;
  }

  static arrayAccessor(n: number): ThisType<StructView> & PropertyDescriptor {
    return {
      get() {
        return this.#arrays[n];
      },
    };
  }

  static scalarAccessor(type: Exclude<Scalar, 'v128'>, offset: number): ThisType<StructView> & PropertyDescriptor {
    const n = offset / SIZE[type];
    switch (type) {
      case 'u8':
        return {
          get() {
            return this.#u8[n];
          },
          set(value: number) {
            this.#u8[n] = value;
          },
        };
      case 'u16':
        return {
          get() {
            return this.#u16[n];
          },
          set(value: number) {
            this.#u16[n] = value;
          },
        };
      case 'u32':
        return {
          get() {
            return this.#u32[n];
          },
          set(value: number) {
            this.#u32[n] = value;
          },
        };
      case 'i32':
        return {
          get() {
            return this.#i32[n];
          },
          set(value: number) {
            this.#i32[n] = value;
          },
        };
      case 'u64':
        return {
          get() {
            return this.#u64[n];
          },
          set(value: bigint) {
            this.#u64[n] = value;
          },
        };
      case 'f64':
        return {
          get() {
            return this.#f64[n];
          },
          set(value: number) {
            this.#f64[n] = value;
          },
        };
    }
  }
}

/** Declares a layout. */
export function struct<const S extends StructSpec>(spec: S): Struct<S> {
  let at = 0;
  const offsets: [string, number][] = [];
  const arrays: { type: Scalar; offset: number; count: number }[] = [];
  class Fields extends StructView {}
  for (const [name, field] of Object.entries(spec)) {
    const [type, count] = typeof field === 'string' ? [field, 1] : field;
    at = (at + SIZE[type] - 1) & -SIZE[type];
    offsets.push([name, at]);
    let accessor: PropertyDescriptor;
    if (typeof field === 'string' && field !== 'v128') accessor = StructView.scalarAccessor(field, at);
    else {
      accessor = StructView.arrayAccessor(arrays.length);
      arrays.push({ type, offset: at, count });
    }
    Object.defineProperty(Fields.prototype, name, { ...accessor, enumerable: true });
    at += SIZE[type] * count;
  }
  const bytes = (at + 15) & -16;
  return {
    spec,
    // Not filled key by key: look-ups in such an object are slow.
    offset: Object.fromEntries(offsets) as { readonly [K in keyof S]: number },
    bytes,
    view(buffer, base) {
      const own = arrays.map(({ type, offset, count }) => scalarArray(type, buffer, base + offset, count));
      return new Fields(buffer, base, bytes, own) as unknown as View<S>;
    },
  };
}
