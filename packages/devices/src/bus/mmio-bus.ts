// Memory-mapped devices: guest-physical ranges, sorted, found by bisection with the last hit remembered. An access that lies in one range goes there
// whole unless the device is narrower; any other is split. Addresses that nobody claims read as ones and drop writes.

import { AnilloError } from '@anillo/base/anillo-error';
import type { AccessBytes, IoRange } from '../device.ts';

export class MmioBus {
  #ranges: IoRange[] = [];
  /** Few: they are tried first. */
  #overlays: IoRange[] = [];
  /** Few: they are tried last. */
  #underlays: IoRange[] = [];
  #last: IoRange | undefined;

  /** The ranges in ascending order, without overlays and underlays. */
  get ranges(): readonly IoRange[] {
    return this.#ranges;
  }

  add(range: IoRange): void {
    if (range.overlay === true) {
      this.#overlays.push(range);
      return;
    }
    if (range.underlay === true) {
      this.#underlays.push(range);
      return;
    }
    const end = range.start + range.byteCount;
    const other = this.#ranges.find((r) => range.start < r.start + r.byteCount && r.start < end);
    if (range.byteCount < 1 || other !== undefined) {
      throw new AnilloError(
        'BAD_OPTION',
        `Device memory at 0x${range.start.toString(16)} overlaps another device; give one of them another address.`,
      );
    }
    this.#ranges = [...this.#ranges, range].sort((a, b) => a.start - b.start);
    this.#last = undefined;
  }

  remove(range: IoRange): void {
    this.#ranges = this.#ranges.filter((r) => r !== range);
    this.#overlays = this.#overlays.filter((r) => r !== range);
    this.#underlays = this.#underlays.filter((r) => r !== range);
    this.#last = undefined;
  }

  #find(address: number): IoRange | undefined {
    for (const overlay of this.#overlays) if (address >= overlay.start && address < overlay.start + overlay.byteCount) return overlay;
    const last = this.#last;
    if (last !== undefined && address >= last.start && address < last.start + last.byteCount) return last;
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const range = this.#ranges[middle];
      if (address < range.start) high = middle;
      else if (address >= range.start + range.byteCount) low = middle + 1;
      else {
        this.#last = range;
        return range;
      }
    }
    return this.#underlays.find((r) => address >= r.start && address < r.start + r.byteCount);
  }

  read(address: number, byteCount: AccessBytes): number {
    const range = this.#find(address);
    const offset = range === undefined ? 0 : address - range.start;
    if (range !== undefined && offset + byteCount <= range.byteCount && (range.widestBytes ?? 4) >= byteCount) {
      const value = range.read(offset, byteCount);
      return byteCount === 1 ? value & 0xff : byteCount === 2 ? value & 0xffff : value >>> 0;
    }
    if (byteCount === 1) return 0xff;
    const half = (byteCount >> 1) as AccessBytes;
    return (this.read(address, half) | (this.read(address + half, half) << (half * 8))) >>> 0;
  }

  write(address: number, byteCount: AccessBytes, value: number): void {
    const range = this.#find(address);
    const offset = range === undefined ? 0 : address - range.start;
    if (range !== undefined && offset + byteCount <= range.byteCount && (range.widestBytes ?? 4) >= byteCount) {
      range.write(offset, byteCount, byteCount === 1 ? value & 0xff : byteCount === 2 ? value & 0xffff : value >>> 0);
      return;
    }
    if (byteCount === 1) return;
    const half = (byteCount >> 1) as AccessBytes;
    this.write(address, half, value);
    this.write(address + half, half, value >>> (half * 8));
  }
}
