// Numbers and texts of 9P messages (little-endian; a text is a 16-bit count and its bytes, here one character each). What does not fit is EPROTO.

import { FileTreeError } from './file-tree.ts';

export const HEADER_BYTES = 7;

export class MessageReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = HEADER_BYTES;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #take(byteCount: number): number {
    const at = this.#at;
    if (at + byteCount > this.#bytes.length) throw new FileTreeError('EPROTO');
    this.#at = at + byteCount;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  /** An offset or a size in a file. */
  offset(): number {
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FileTreeError('EFBIG');
    return Number(value);
  }

  text(): string {
    const byteCount = this.u16();
    const at = this.#take(byteCount);
    let text = '';
    for (let i = 0; i < byteCount; i++) text += String.fromCharCode(this.#bytes[at + i]);
    return text;
  }
}

export class MessageWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  length: number;

  constructor(mostBytes: number, from = HEADER_BYTES) {
    this.bytes = new Uint8Array(mostBytes);
    this.#view = new DataView(this.bytes.buffer);
    this.length = from;
  }

  get room(): number {
    return this.bytes.length - this.length;
  }

  #take(byteCount: number): number {
    if (byteCount > this.room) throw new FileTreeError('EPROTO');
    const at = this.length;
    this.length += byteCount;
    return at;
  }

  u8(value: number): this {
    this.#view.setUint8(this.#take(1), value);
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#take(2), value, true);
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#take(4), value, true);
    return this;
  }

  u64(value: bigint | number): this {
    this.#view.setBigUint64(this.#take(8), BigInt.asUintN(64, BigInt(value)), true);
    return this;
  }

  text(text: string): this {
    if (text.length > 0xffff) throw new FileTreeError('ENAMETOOLONG');
    this.u16(text.length);
    const at = this.#take(text.length);
    for (let i = 0; i < text.length; i++) this.bytes[at + i] = text.charCodeAt(i);
    return this;
  }

  /** Size, type and tag in front of all. */
  head(type: number, tag: number, byteCount = this.length): this {
    this.#view.setUint32(0, byteCount, true);
    this.#view.setUint8(4, type);
    this.#view.setUint16(5, tag, true);
    return this;
  }
}
