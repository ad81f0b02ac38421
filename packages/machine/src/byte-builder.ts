// Grows a table of little-endian fields: what firmware tables and boot information are made of.

const ascii = (text: string): number[] => [...text].map((c) => (c.charCodeAt(0) < 256 ? c.charCodeAt(0) : 0x3f));

export class ByteBuilder {
  readonly #bytes: number[] = [];

  get byteCount(): number {
    return this.#bytes.length;
  }

  u8(...values: number[]): this {
    for (const v of values) this.#bytes.push(v & 0xff);
    return this;
  }

  u16(value: number): this {
    return this.u8(value, value >>> 8);
  }

  u32(value: number): this {
    return this.u8(value, value >>> 8, value >>> 16, value >>> 24);
  }

  /** A number up to 2^53. */
  u64(value: number): this {
    return this.u32(value % 0x1_0000_0000).u32(Math.floor(value / 0x1_0000_0000));
  }

  /** Text padded with `pad` (or cut) to `byteCount`. */
  text(text: string, byteCount: number, pad = 0x20): this {
    const bytes = ascii(text).slice(0, byteCount);
    while (bytes.length < byteCount) bytes.push(pad);
    return this.u8(...bytes);
  }

  /** Text and its terminating zero. */
  zeroTerminated(text: string): this {
    return this.u8(...ascii(text), 0);
  }

  bytes(bytes: Iterable<number>): this {
    for (const b of bytes) this.#bytes.push(b);
    return this;
  }

  zeros(byteCount: number): this {
    for (let i = 0; i < byteCount; i++) this.#bytes.push(0);
    return this;
  }

  align(byteCount: number): this {
    return this.zeros(-this.#bytes.length & (byteCount - 1));
  }

  build(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/** UTF-8, written out because TextEncoder is no part of ECMAScript. */
export function utf8(text: string): Uint8Array {
  const escaped = encodeURIComponent(text.toWellFormed());
  const bytes: number[] = [];
  for (let i = 0; i < escaped.length; i++) {
    if (escaped[i] !== '%') bytes.push(escaped.charCodeAt(i));
    else {
      bytes.push(Number.parseInt(escaped.slice(i + 1, i + 3), 16));
      i += 2;
    }
  }
  return Uint8Array.from(bytes);
}

/** The byte that makes `bytes` sum to 0 modulo 256, the checksum field itself being 0 now. */
export function checksum8(bytes: Uint8Array): number {
  let sum = 0;
  for (const b of bytes) sum += b;
  return -sum & 0xff;
}
