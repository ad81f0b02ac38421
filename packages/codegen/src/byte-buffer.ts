// Growing byte buffer with WebAssembly's number encodings (WebAssembly 3.0, 5.2.2).

export class ByteBuffer {
  bytes: Uint8Array<ArrayBuffer>;
  length = 0;
  /** Length of `bytes`, which is slow to ask for. */
  #capacity: number;

  constructor(capacityBytes = 1024) {
    this.bytes = new Uint8Array(capacityBytes);
    this.#capacity = capacityBytes;
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    if (this.length + count > this.#capacity) this.#grow(count);
  }
  #grow(count: number): void {
    this.#capacity = Math.max(this.#capacity * 2, this.length + count);
    const grown = new Uint8Array(this.#capacity);
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  u8(value: number): void {
    if (this.length === this.#capacity) this.#grow(1);
    this.bytes[this.length++] = value;
  }
  /** A byte, then the unsigned LEB128 of a u32: an instruction and its operand. */
  u8Uleb(value: number, operand: number): void {
    if (this.length + 6 > this.#capacity) this.#grow(6);
    this.bytes[this.length++] = value;
    if (operand >= 0 && operand < 128) this.bytes[this.length++] = operand;
    else this.uleb(operand);
  }

  /** Unsigned LEB128 of a u32. */
  uleb(value: number): void {
    this.reserve(5);
    let rest = value >>> 0;
    while (rest > 127) {
      this.bytes[this.length++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  /** Signed LEB128 of an i32. */
  sleb(value: number): void {
    this.reserve(5);
    let rest = value | 0;
    while (rest > 63 || rest < -64) {
      this.bytes[this.length++] = (rest & 127) | 128;
      rest >>= 7;
    }
    this.bytes[this.length++] = rest & 127;
  }

  /** Signed LEB128 of the i64 made of two words. */
  sleb64(low: number, high: number): void {
    this.reserve(10);
    let lo = low | 0;
    let hi = high | 0;
    while (hi !== lo >> 31 || lo > 63 || lo < -64) {
      this.bytes[this.length++] = (lo & 127) | 128;
      lo = (lo >>> 7) | (hi << 25);
      hi >>= 7;
    }
    this.bytes[this.length++] = lo & 127;
  }

  append(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** A name in ASCII. */
  name(text: string): void {
    this.uleb(text.length);
    this.reserve(text.length);
    for (let i = 0; i < text.length; i++) this.bytes[this.length++] = text.charCodeAt(i);
  }

  view(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }
}
