// Writes frames as a capture file: pcapng (draft-ietf-opsawg-pcapng), nanoseconds, with the direction of each frame.
// Frames are shown as the machine sent them: large ones uncut, as captures on Linux do, but with their checksums filled in. A file may have several interfaces.

import type { FrameWork } from './frame-port.ts';
import { FrameFinisher } from './frame-finisher.ts';
import type { FrameTap } from './frame-tap.ts';

const SECTION_HEADER = 0x0a0d0d0a;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const LINKTYPE_ETHERNET = 1;
const OPTION_IF_TSRESOL = 9;
const OPTION_IF_NAME = 2;
const OPTION_EPB_FLAGS = 2;
const FLAG_INBOUND = 1;
const FLAG_OUTBOUND = 2;
const SNAP_BYTES = 0x40000;
const LONGEST_NAME = 64;

const padded = (byteCount: number): number => (byteCount + 3) & ~3;

export interface PcapFileOptions {
  /** Takes what is to be appended to the file; the bytes are its own. */
  readonly write: (bytes: Uint8Array) => void;
  /** Nanoseconds since 1970; a bigint since they need 61 bits. */
  readonly nowNs: () => bigint;
}

export class PcapFile {
  readonly #options: PcapFileOptions;
  readonly #finisher = new FrameFinisher();
  #interfaceCount = 0;

  constructor(options: PcapFileOptions) {
    this.#options = options;
    options.write(sectionHeader());
  }

  /** Shows what it sees as frames of an interface of that name. */
  addInterface(name: string): FrameTap {
    const index = this.#interfaceCount++;
    this.#options.write(interfaceDescription(name));
    return { see: (frame, work, direction) => this.#see(index, frame, work, direction) };
  }

  #see(index: number, frame: Uint8Array, work: FrameWork | undefined, direction: 'in' | 'out'): void {
    if (work?.checksum === undefined || work.segments !== undefined) return this.#write(index, frame, direction);
    this.#finisher.finish(frame, work, (finished) => {
      this.#write(index, finished, direction);
      return true;
    });
  }

  #write(index: number, frame: Uint8Array, direction: 'in' | 'out'): void {
    const kept = Math.min(frame.length, SNAP_BYTES);
    const bytes = new Uint8Array(28 + padded(kept) + 8 + 4 + 4);
    const view = new DataView(bytes.buffer);
    const now = this.#options.nowNs();
    view.setUint32(0, ENHANCED_PACKET, true);
    view.setUint32(4, bytes.length, true);
    view.setUint32(8, index, true);
    view.setUint32(12, Number((now >> 32n) & 0xffffffffn), true);
    view.setUint32(16, Number(now & 0xffffffffn), true);
    view.setUint32(20, kept, true);
    view.setUint32(24, frame.length, true);
    bytes.set(kept === frame.length ? frame : frame.subarray(0, kept), 28);
    const flagsAt = 28 + padded(kept);
    view.setUint16(flagsAt, OPTION_EPB_FLAGS, true);
    view.setUint16(flagsAt + 2, 4, true);
    // Seen from the machine, as its own capture would say it.
    view.setUint32(flagsAt + 4, direction === 'in' ? FLAG_OUTBOUND : FLAG_INBOUND, true);
    view.setUint32(bytes.length - 4, bytes.length, true);
    this.#options.write(bytes);
  }
}

function sectionHeader(): Uint8Array {
  const view = new DataView(new ArrayBuffer(28));
  view.setUint32(0, SECTION_HEADER, true);
  view.setUint32(4, 28, true);
  view.setUint32(8, BYTE_ORDER_MAGIC, true);
  view.setUint16(12, 1, true);
  // The section's length is not known.
  view.setBigInt64(16, -1n, true);
  view.setUint32(24, 28, true);
  return new Uint8Array(view.buffer);
}

function interfaceDescription(text: string): Uint8Array {
  const name = Uint8Array.from(text.slice(0, LONGEST_NAME), (character) => character.charCodeAt(0) & 0x7f);
  const bytes = new Uint8Array(20 + padded(name.length) + 8 + 4 + 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, INTERFACE_DESCRIPTION, true);
  view.setUint32(4, bytes.length, true);
  view.setUint16(8, LINKTYPE_ETHERNET, true);
  view.setUint32(12, SNAP_BYTES, true);
  view.setUint16(16, OPTION_IF_NAME, true);
  view.setUint16(18, name.length, true);
  bytes.set(name, 20);
  const next = 20 + padded(name.length);
  view.setUint16(next, OPTION_IF_TSRESOL, true);
  view.setUint16(next + 2, 1, true);
  bytes[next + 4] = 9;
  view.setUint32(bytes.length - 4, bytes.length, true);
  return bytes;
}
