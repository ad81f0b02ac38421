// Port bus: 65536 I/O ports, dispatched by table (SDM 1, chapter "Input/Output"). An access that lies in one range goes there whole unless the
// device is narrower; any other is split. Ports that nobody claims read as ones and drop writes. Ports wrap at 64 KiB.

import { AnilloError } from '@anillo/base/anillo-error';
import type { AccessBytes, IoRange } from '../device.ts';

const PORT_COUNT = 0x10000;
const PORT_MASK = PORT_COUNT - 1;

const isUnderlay = (range: IoRange): boolean => range.underlay === true;
const isOverlay = (range: IoRange): boolean => range.overlay === true;
const isFixed = (range: IoRange): boolean => !isUnderlay(range) && !isOverlay(range);

export class IoBus {
  /** Per port: index into #ranges; 0 is nobody. */
  readonly #owner = new Uint16Array(PORT_COUNT);
  readonly #ranges: (IoRange | undefined)[] = [undefined];

  add(range: IoRange): void {
    if (range.byteCount < 1 || range.start < 0 || range.start + range.byteCount > PORT_COUNT) {
      throw new AnilloError(
        'BAD_OPTION',
        `I/O ports 0x${range.start.toString(16)} + ${range.byteCount} are not within 0..0xffff; choose another base.`,
      );
    }
    for (let port = range.start; port < range.start + range.byteCount; port++) {
      const other = this.#ranges[this.#owner[port]];
      if (other !== undefined && isFixed(range) && isFixed(other)) {
        throw new AnilloError('BAD_OPTION', `I/O port 0x${port.toString(16)} is claimed by two devices; give one of them another base.`);
      }
    }
    this.#ranges.push(range);
    this.#build();
  }

  remove(range: IoRange): void {
    const at = this.#ranges.indexOf(range, 1);
    if (at < 0) return;
    this.#ranges.splice(at, 1);
    this.#build();
  }

  /** Underlays first and overlays last: who comes later wins, whatever the order of adding. */
  #build(): void {
    this.#owner.fill(0);
    for (const layer of [isUnderlay, isFixed, isOverlay]) {
      for (let i = 1; i < this.#ranges.length; i++) {
        const range = this.#ranges[i] as IoRange;
        if (layer(range)) this.#owner.fill(i, range.start, range.start + range.byteCount);
      }
    }
  }

  read(port: number, byteCount: AccessBytes): number {
    const range = this.#ranges[this.#owner[port & PORT_MASK]];
    if (byteCount === 1) return range === undefined ? 0xff : range.read((port & PORT_MASK) - range.start, 1) & 0xff;
    const offset = range === undefined ? 0 : (port & PORT_MASK) - range.start;
    if (range !== undefined && offset + byteCount <= range.byteCount && (range.widestBytes ?? 4) >= byteCount) {
      return range.read(offset, byteCount) >>> 0;
    }
    const half = (byteCount >> 1) as AccessBytes;
    return (this.read(port, half) | (this.read(port + half, half) << (half * 8))) >>> 0;
  }

  write(port: number, byteCount: AccessBytes, value: number): void {
    const range = this.#ranges[this.#owner[port & PORT_MASK]];
    const offset = range === undefined ? 0 : (port & PORT_MASK) - range.start;
    if (byteCount === 1) {
      range?.write(offset, 1, value & 0xff);
      return;
    }
    if (range !== undefined && offset + byteCount <= range.byteCount && (range.widestBytes ?? 4) >= byteCount) {
      range.write(offset, byteCount, byteCount === 2 ? value & 0xffff : value >>> 0);
      return;
    }
    const half = (byteCount >> 1) as AccessBytes;
    this.write(port, half, value);
    this.write(port + half, half, value >>> (half * 8));
  }
}
