// Takes the fields of a message one after the other; tells when it is shorter than it says.

import { viewOf } from '../packed-layout.ts';
import { utf8Text } from '../text-bytes.ts';

export class MessageReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  /** Something that was asked for is not there; what came of it is zero or empty. */
  isShort = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  /** All has been taken, and all was there. */
  get isWhole(): boolean {
    return !this.isShort && this.#at === this.#bytes.length;
  }

  #advance(byteCount: number): number | undefined {
    const at = this.#at;
    if (this.isShort || at + byteCount > this.#bytes.length) {
      this.isShort = true;
      return undefined;
    }
    this.#at += byteCount;
    return at;
  }

  u16(): number {
    const at = this.#advance(2);
    return at === undefined ? 0 : this.#view.getUint16(at);
  }

  u32(): number {
    const at = this.#advance(4);
    return at === undefined ? 0 : this.#view.getUint32(at);
  }

  u64(): number {
    const at = this.#advance(8);
    return at === undefined ? 0 : Number(this.#view.getBigUint64(at));
  }

  bytes(byteCount: number): Uint8Array {
    const at = this.#advance(byteCount);
    return at === undefined ? new Uint8Array(0) : this.#bytes.subarray(at, at + byteCount);
  }

  /** UTF-8 of so many bytes. */
  text(byteCount: number): string {
    return utf8Text(this.bytes(byteCount));
  }

  rest(): Uint8Array {
    return this.bytes(this.#bytes.length - this.#at);
  }
}
