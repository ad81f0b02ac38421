// Commands of a graphics device and their answers (Virtio 1.2, 5.7.6.7), as they lie in chains.

import { type Chain, gather, scatter } from '../chain.ts';

export const COMMAND = {
  getDisplayInfo: 0x100,
  createResource: 0x101,
  unreferenceResource: 0x102,
  setScanout: 0x103,
  flushResource: 0x104,
  transferToHost: 0x105,
  attachBacking: 0x106,
  detachBacking: 0x107,
  getEdid: 0x10a,
  updateCursor: 0x300,
  moveCursor: 0x301,
} as const;

export const ANSWER = {
  ok: 0x1100,
  displayInfo: 0x1101,
  edid: 0x1104,
  failed: 0x1200,
  noRoom: 0x1201,
  badScanout: 0x1202,
  badResource: 0x1203,
  badParameter: 0x1205,
} as const;

/** Type, flags, fence (8 bytes), context, ring and padding. */
export const HEADER_BYTES = 24;
/** The longest command, without what follows it. */
const LONGEST_COMMAND = 56;
const FLAG = { fence: 1, ring: 2 } as const;
/** What an answer has of its command: flags to ring. */
const ECHO = { flags: 4, end: HEADER_BYTES } as const;

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export class GpuCommand {
  readonly #chain: Chain;
  readonly #bytes = new Uint8Array(LONGEST_COMMAND);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #length: number;

  /** Copies it out of the chain: the guest may change it at any time. */
  constructor(chain: Chain) {
    this.#chain = chain;
    this.#length = gather(chain.readable, 0, this.#bytes);
  }

  get type(): number {
    return this.#view.getUint32(0, true);
  }

  /** Are so many bytes behind the header? */
  has(byteCount: number): boolean {
    return this.#length >= HEADER_BYTES + byteCount;
  }

  /** A word behind the header. */
  word(offset: number): number {
    return this.#view.getUint32(HEADER_BYTES + offset, true);
  }

  signed(offset: number): number {
    return this.#view.getInt32(HEADER_BYTES + offset, true);
  }

  long(offset: number): number {
    return this.word(offset) + this.word(offset + 4) * 2 ** 32;
  }

  rectangle(offset: number): Rectangle {
    return { x: this.word(offset), y: this.word(offset + 4), width: this.word(offset + 8), height: this.word(offset + 12) };
  }

  /** What follows the first `offset` bytes behind the header; undefined: less than that. */
  rest(offset: number, byteCount: number): DataView | undefined {
    const bytes = new Uint8Array(byteCount);
    return gather(this.#chain.readable, HEADER_BYTES + offset, bytes) < byteCount ? undefined : new DataView(bytes.buffer);
  }

  /** Puts an answer into the chain, as much of it as there is room for; gives the number of bytes. */
  answer(type: number, body: Uint8Array): number {
    const answer = new Uint8Array(HEADER_BYTES + body.length);
    const view = new DataView(answer.buffer);
    view.setUint32(0, type, true);
    // 5.7.6.7: a fence comes back when all is done, which here it is.
    if ((this.#view.getUint32(ECHO.flags, true) & FLAG.fence) !== 0) {
      answer.set(this.#bytes.subarray(ECHO.flags, ECHO.end), ECHO.flags);
      view.setUint32(ECHO.flags, this.#view.getUint32(ECHO.flags, true) & (FLAG.fence | FLAG.ring), true);
    }
    answer.set(body, HEADER_BYTES);
    return scatter(this.#chain.writable, 0, answer);
  }
}
