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

/** Declares a layout. */
export function struct<const S extends StructSpec>(spec: S): Struct<S> {
  let at = 0;
  const offset: Record<string, number> = {};
  for (const [name, field] of Object.entries(spec)) {
    const [type, count] = typeof field === 'string' ? [field, 1] : field;
    at = (at + SIZE[type] - 1) & -SIZE[type];
    offset[name] = at;
    at += SIZE[type] * count;
  }
  const bytes = (at + 15) & -16;
  return {
    spec,
    offset: offset as { readonly [K in keyof S]: number },
    bytes,
    view(buffer, base) {
      const view: object = {};
      for (const [name, field] of Object.entries(spec)) {
        const fieldAt = base + (offset[name] as number);
        if (typeof field !== 'string' || field === 'v128') {
          const [type, count] = typeof field === 'string' ? [field, 1] : field;
          Object.defineProperty(view, name, { value: scalarArray(type, buffer, fieldAt, count), enumerable: true });
          continue;
        }
        const cells = scalarArray(field, buffer, fieldAt, 1) as Uint32Array;
        Object.defineProperty(view, name, {
          get: () => cells[0],
          set: (value: number) => {
            cells[0] = value;
          },
          enumerable: true,
        });
      }
      return view as View<S>;
    },
  };
}
