// What a boot protocol decides: which bytes go where in RAM, and how the CPU starts. A plan is data: a machine that resets carries it out again.
// Segments that an image fixes come first (`put`); the rest is placed where nothing lies yet (`place`).

import type { CpuStart } from '@anillo/accel/accelerator';
import { AnilloError } from '@anillo/base/anillo-error';
import { gpa } from '@anillo/base/gpa';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import { MIB, PC_MEMORY, type PcMemoryMap } from '../boards/memory-map.ts';

export interface BootPlan {
  /** For people: "Linux 6.1.0 (64-bit entry)". */
  readonly description: string;
  readonly segments: readonly Segment[];
  readonly start: CpuStart;
}

export interface Segment {
  readonly address: number;
  readonly bytes: Uint8Array;
  /** At least bytes.length; the rest is zeroed. */
  readonly byteCount: number;
}

/** A file handed to the kernel, with the words that follow its name. */
export interface BootModule {
  readonly bytes: Uint8Array;
  /** File name, and arguments after a space. */
  readonly commandLine: string;
}

/** What a boot protocol needs to know of the board. */
export interface BootContext {
  readonly map: PcMemoryMap;
  /** The CPU model has long mode. */
  readonly longMode: boolean;
  /** Address of the ACPI root pointer. */
  readonly rsdpAddress: number;
}

const PAGE = 0x1000;

/** "17 MiB": rounded up, so that giving as much is enough. */
export const inMib = (byteCount: number): string => `${Math.ceil(byteCount / MIB)} MiB`;

const memoryText = (map: PcMemoryMap): string => `${inMib(map.memoryBytes)} of memory`;

export class LoadPlan {
  readonly segments: Segment[] = [];
  readonly #map: PcMemoryMap;
  /** Taken without a segment: what the kernel will use before it reads our tables. */
  readonly #taken: { readonly start: number; readonly end: number }[] = [];

  constructor(map: PcMemoryMap) {
    this.#map = map;
  }

  /** Puts bytes at an address that the image fixes. */
  put(address: number, bytes: Uint8Array, byteCount: number, what: string): void {
    const end = address + byteCount;
    const low = end <= PC_MEMORY.VGA_WINDOW;
    const high = address >= PC_MEMORY.HIGH && end <= this.#map.lowEnd;
    if (!low && !high) {
      const mend =
        address >= PC_MEMORY.HIGH && end <= this.#map.hole ? `; give at least ${inMib(end)} with --memory` : '; link it to another address';
      throw new AnilloError(
        'BAD_MEMORY',
        `The ${what} wants the addresses 0x${address.toString(16)}..0x${end.toString(16)}, where a machine with ${memoryText(this.#map)} has none${mend}.`,
      );
    }
    this.segments.push({ address, bytes, byteCount });
    this.take(address, byteCount);
  }

  take(address: number, byteCount: number): void {
    this.#taken.push({ start: address, end: address + byteCount });
  }

  #collision(start: number, end: number): { readonly start: number; readonly end: number } | undefined {
    return this.#taken.find((t) => start < t.end && t.start < end);
  }

  /** Places bytes, page-aligned, at the lowest free address of conventional memory. */
  placeLow(bytes: Uint8Array, what: string): number {
    let start = PAGE;
    for (;;) {
      const end = start + bytes.length;
      if (end > PC_MEMORY.EBDA)
        throw new AnilloError(
          'BAD_IMAGE',
          `The ${what} (${bytes.length} bytes) does not fit below 640 KiB beside the kernel; make it smaller.`,
        );
      const hit = this.#collision(start, end);
      if (hit === undefined) break;
      start = (hit.end + PAGE - 1) & -PAGE;
    }
    this.segments.push({ address: start, bytes, byteCount: bytes.length });
    this.take(start, bytes.length);
    return start;
  }

  /** Places bytes, page-aligned, at the highest free address above 1 MiB whose last byte is at most `lastAddress`. */
  placeHigh(bytes: Uint8Array, lastAddress: number, what: string): number {
    const limit = Math.min(lastAddress + 1, this.#map.lowEnd);
    let start = limit - bytes.length;
    for (;;) {
      start -= start % PAGE;
      if (start < PC_MEMORY.HIGH) {
        throw new AnilloError(
          'BAD_IMAGE',
          `The ${what} (${inMib(bytes.length)}) does not fit into ${memoryText(this.#map)} beside the kernel; give more with --memory or make it smaller.`,
        );
      }
      const hit = this.#collision(start, start + bytes.length);
      if (hit === undefined) break;
      start = hit.start - bytes.length;
    }
    this.segments.push({ address: start, bytes, byteCount: bytes.length });
    this.take(start, bytes.length);
    return start;
  }
}

/** Carries a plan out. */
export function loadSegments(memory: GuestMemory, segments: readonly Segment[]): void {
  for (const s of segments) {
    memory.write(gpa(s.address), s.bytes);
    if (s.byteCount > s.bytes.length) memory.write(gpa(s.address + s.bytes.length), new Uint8Array(s.byteCount - s.bytes.length));
  }
}
