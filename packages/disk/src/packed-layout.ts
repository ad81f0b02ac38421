// A layout of a file or of a wire, declared once: fields one after the other without padding, in either byte order. A `u64` is a number: above 2^53 it is not exact
// but larger than every limit, and 2^64 stands for all ones.

export type PackedField = 'u8' | 'u16' | 'u32' | 'u64' | number;
export type PackedSpec = Readonly<Record<string, PackedField>>;

/** A field given by its number of bytes is those bytes. */
export type PackedValues<S extends PackedSpec> = { [K in keyof S]: S[K] extends number ? Uint8Array : number };

export interface PackedLayout<S extends PackedSpec> {
  readonly byteCount: number;
  /** Byte offset of each field. */
  readonly offset: { readonly [K in keyof S]: number };
  /** Bytes of a `bytes` field are a view. The caller has checked that there are enough. */
  decode(bytes: Uint8Array, at?: number): PackedValues<S>;
  /** What is not given is left as it is. */
  encodeInto(bytes: Uint8Array, at: number, values: Partial<PackedValues<S>>): void;
  /** What is not given is zero. */
  encode(values: Partial<PackedValues<S>>): Uint8Array;
}

const SIZE = { u8: 1, u16: 2, u32: 4, u64: 8 } as const;
const TWO_64 = 2 ** 64;

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function get(view: DataView, at: number, field: PackedField, isLittle: boolean): number | Uint8Array {
  switch (field) {
    case 'u8':
      return view.getUint8(at);
    case 'u16':
      return view.getUint16(at, isLittle);
    case 'u32':
      return view.getUint32(at, isLittle);
    case 'u64':
      return Number(view.getBigUint64(at, isLittle));
    default:
      return new Uint8Array(view.buffer, view.byteOffset + at, field);
  }
}

function set(view: DataView, at: number, field: PackedField, isLittle: boolean, value: number | Uint8Array): void {
  if (value instanceof Uint8Array) {
    if (typeof field !== 'number' || value.length > field) throw new RangeError('the bytes do not fit their field');
    new Uint8Array(view.buffer, view.byteOffset + at, field).set(value);
    return;
  }
  switch (field) {
    case 'u8':
      return view.setUint8(at, value);
    case 'u16':
      return view.setUint16(at, value, isLittle);
    case 'u32':
      return view.setUint32(at, value, isLittle);
    case 'u64':
      return view.setBigUint64(at, value >= TWO_64 ? 0xffff_ffff_ffff_ffffn : BigInt(value), isLittle);
  }
}

export function packedLayout<const S extends PackedSpec>(order: 'little' | 'big', spec: S): PackedLayout<S> {
  const isLittle = order === 'little';
  const fields: (readonly [string, PackedField, number])[] = [];
  let byteCount = 0;
  for (const [name, field] of Object.entries(spec)) {
    fields.push([name, field, byteCount]);
    byteCount += typeof field === 'number' ? field : SIZE[field];
  }
  const encodeInto = (bytes: Uint8Array, at: number, values: Partial<PackedValues<S>>): void => {
    const view = viewOf(bytes);
    for (const [name, field, offset] of fields) {
      const value = values[name];
      if (value !== undefined) set(view, at + offset, field, isLittle, value);
    }
  };
  return {
    byteCount,
    offset: Object.fromEntries(fields.map(([name, , offset]) => [name, offset])) as { readonly [K in keyof S]: number },
    decode(bytes, at = 0) {
      const view = viewOf(bytes);
      return Object.fromEntries(fields.map(([name, field, offset]) => [name, get(view, at + offset, field, isLittle)])) as PackedValues<S>;
    },
    encodeInto,
    encode(values) {
      const bytes = new Uint8Array(byteCount);
      encodeInto(bytes, 0, values);
      return bytes;
    },
  };
}
