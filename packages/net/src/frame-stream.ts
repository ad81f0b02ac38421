// Ethernet frames over a row of bytes: each with its length before it, 32 bits big-endian, as QEMU's `-netdev socket` and `-netdev stream` speak.
// Joins a byte stream (a socket of the host) to a port, so that switches of several processes become one network.

import { FrameFinisher } from './frame-finisher.ts';
import type { FramePort, FrameWork } from './frame-port.ts';
import { read32, write32 } from './network-order.ts';

const LENGTH_BYTES = 4;
/** The largest that QEMU takes: a frame of 64 KiB with its headers. */
const LARGEST_FRAME_BYTES = 69_632;

export interface FrameStreamOptions {
  readonly port: FramePort;
  /** Sends bytes, copying them; false: taken, but no more until `onDrain` here. */
  readonly write: (bytes: Uint8Array) => boolean;
  /** The other side sends what is no frame: the stream is of no more use. */
  readonly onBroken: (reason: string) => void;
}

export class FrameStream {
  readonly #options: FrameStreamOptions;
  readonly #finisher = new FrameFinisher();
  readonly #out = new Uint8Array(LENGTH_BYTES + LARGEST_FRAME_BYTES);
  /** The frame that is coming in, with its length. */
  readonly #in = new Uint8Array(LENGTH_BYTES + LARGEST_FRAME_BYTES);
  #inCount = 0;
  #isFull = false;
  #isBroken = false;

  constructor(options: FrameStreamOptions) {
    this.#options = options;
    options.port.receiver = { takesWork: false, send: (frame, work) => this.#send(frame, work) };
  }

  /** Bytes from the other side, lent for the call. */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && !this.#isBroken) {
      const wanted = this.#inCount < LENGTH_BYTES ? LENGTH_BYTES : LENGTH_BYTES + read32(this.#in, 0);
      const taken = Math.min(wanted - this.#inCount, bytes.length - at);
      this.#in.set(bytes.subarray(at, at + taken), this.#inCount);
      this.#inCount += taken;
      at += taken;
      if (this.#inCount < wanted) return;
      if (wanted === LENGTH_BYTES) this.#checkLength();
      else this.#takeFrame();
    }
  }

  /** The stream has room again. */
  onDrain(): void {
    this.#isFull = false;
    this.#options.port.hasRoom();
  }

  close(): void {
    this.#isBroken = true;
    this.#options.port.receiver = undefined;
  }

  #checkLength(): void {
    const byteCount = read32(this.#in, 0);
    if (byteCount === 0) this.#inCount = 0;
    if (byteCount <= LARGEST_FRAME_BYTES) return;
    this.close();
    this.#options.onBroken(`a frame of ${byteCount} bytes was announced`);
  }

  #takeFrame(): void {
    const frame = this.#in.subarray(LENGTH_BYTES, this.#inCount);
    this.#inCount = 0;
    this.#options.port.send(frame, undefined);
  }

  #send(frame: Uint8Array, work: FrameWork | undefined): boolean {
    if (this.#isFull) return false;
    if (work === undefined) this.#write(frame);
    else this.#finisher.finish(frame, work, (piece) => this.#write(piece));
    return true;
  }

  /** The pieces of one frame go all, full or not. */
  #write(frame: Uint8Array): boolean {
    if (frame.length > LARGEST_FRAME_BYTES) return true;
    write32(this.#out, 0, frame.length);
    this.#out.set(frame, LENGTH_BYTES);
    this.#isFull = !this.#options.write(this.#out.subarray(0, LENGTH_BYTES + frame.length));
    return true;
  }
}
