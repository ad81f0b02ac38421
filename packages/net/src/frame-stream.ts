// Ethernet frames over a row of bytes: each with its length before it, 32 bits big-endian, as QEMU's `-netdev socket` and `-netdev stream` speak.
// Joins a byte stream (a socket of the host) to a port, so that switches of several processes become one network. Between our own processes there are two more kinds of messages, told
// by the length's first byte: frames with work left to do, so that 64 KiB go at once, and texts between the processes themselves, which no guest can send.

import { canTake, FrameFinisher } from './frame-finisher.ts';
import type { FramePort, FrameWork } from './frame-port.ts';
import { read32, write32 } from './network-order.ts';
import { readWork, WORK_HEADER_BYTES, writeWork } from './work-header.ts';

const LENGTH_BYTES = 4;
/** The largest that QEMU takes: a frame of 64 KiB with its headers. */
const LARGEST_FRAME_BYTES = 69_632;
const LONGEST_TEXT = 4096;
const KIND = { frame: 0, work: 0x80, text: 0xc0 } as const;
const COUNT_MASK = 0xff_ffff;

export interface FrameStreamOptions {
  readonly port: FramePort;
  /** Sends bytes, copying them; false: taken, but no more until `onDrain` here. */
  readonly write: (bytes: Uint8Array) => boolean;
  /** The other side sends what is no frame: the stream is of no more use. */
  readonly onBroken: (reason: string) => void;
  /** The other process says something; given: both speak more than QEMU's protocol, once the other has said something. */
  readonly onText?: (text: string) => void;
}

export class FrameStream {
  readonly #options: FrameStreamOptions;
  readonly #finisher = new FrameFinisher();
  readonly #out = new Uint8Array(LENGTH_BYTES + WORK_HEADER_BYTES + LARGEST_FRAME_BYTES);
  /** The frame that is coming in, with its length. */
  readonly #in = new Uint8Array(LENGTH_BYTES + WORK_HEADER_BYTES + LARGEST_FRAME_BYTES);
  #inCount = 0;
  #isFull = false;
  #isBroken = false;
  /** The other side has shown that it knows our kinds of messages. */
  #isOurs = false;

  constructor(options: FrameStreamOptions) {
    this.#options = options;
    const stream = this;
    options.port.receiver = {
      get takesWork() {
        return stream.#isOurs;
      },
      get takesUdpSegments() {
        return stream.#isOurs;
      },
      send: (frame, work) => this.#send(frame, work),
    };
  }

  /** To the other process itself, in ASCII. */
  say(text: string): void {
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    const message = new Uint8Array(LENGTH_BYTES + bytes.length);
    write32(message, 0, bytes.length);
    message[0] = KIND.text;
    message.set(bytes, LENGTH_BYTES);
    this.#isFull = !this.#options.write(message);
  }

  /** Bytes from the other side, lent for the call. */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && !this.#isBroken) {
      const wanted = this.#inCount < LENGTH_BYTES ? LENGTH_BYTES : LENGTH_BYTES + (read32(this.#in, 0) & COUNT_MASK);
      const taken = Math.min(wanted - this.#inCount, bytes.length - at);
      this.#in.set(bytes.subarray(at, at + taken), this.#inCount);
      this.#inCount += taken;
      at += taken;
      if (this.#inCount < wanted) return;
      if (wanted === LENGTH_BYTES) this.#checkLength();
      else this.#takeMessage();
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
    const word = read32(this.#in, 0);
    const kind = word >>> 24;
    const byteCount = word & COUNT_MASK;
    const isKnown = kind === KIND.frame || (this.#options.onText !== undefined && (kind === KIND.work || kind === KIND.text));
    const most = kind === KIND.text ? LONGEST_TEXT : kind === KIND.work ? LARGEST_FRAME_BYTES + WORK_HEADER_BYTES : LARGEST_FRAME_BYTES;
    if (isKnown && byteCount <= most) {
      if (byteCount === 0) this.#inCount = 0;
      return;
    }
    this.close();
    this.#options.onBroken(`a frame of ${word} bytes was announced`);
  }

  #takeMessage(): void {
    const kind = this.#in[0];
    const message = this.#in.subarray(LENGTH_BYTES, this.#inCount);
    this.#inCount = 0;
    if (kind === KIND.frame) this.#options.port.send(message, undefined);
    else if (kind === KIND.work) this.#takeWork(message);
    else {
      this.#isOurs = true;
      this.#options.onText?.(String.fromCharCode(...message));
    }
  }

  #takeWork(message: Uint8Array): void {
    if (message.length < WORK_HEADER_BYTES) return;
    const frame = message.subarray(WORK_HEADER_BYTES);
    const work = readWork(message, 0, frame.length);
    const { port } = this.#options;
    if (work === 'bad') return;
    if (canTake(port, work)) port.send(frame, work);
    else this.#finisher.finish(frame, work!, (piece) => port.send(piece, undefined));
  }

  #send(frame: Uint8Array, work: FrameWork | undefined): boolean {
    if (this.#isFull) return false;
    if (work === undefined) this.#write(frame, undefined);
    else if (this.#isOurs) this.#write(frame, work);
    else
      this.#finisher.finish(frame, work, (piece) => {
        // The pieces of one frame go all, full or not.
        this.#write(piece, undefined);
        return true;
      });
    return true;
  }

  #write(frame: Uint8Array, work: FrameWork | undefined): void {
    if (frame.length > LARGEST_FRAME_BYTES) return;
    const start = LENGTH_BYTES + (work === undefined ? 0 : WORK_HEADER_BYTES);
    write32(this.#out, 0, start - LENGTH_BYTES + frame.length);
    if (work !== undefined) {
      this.#out[0] = KIND.work;
      writeWork(this.#out, LENGTH_BYTES, work);
    }
    this.#out.set(frame, start);
    this.#isFull = !this.#options.write(this.#out.subarray(0, start + frame.length));
  }
}
