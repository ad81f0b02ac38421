// The addresses of one kind (ports, or memory) that a bridge forwards: ranges of devices behind it show before it as far as they lie in one of its windows.

import type { IoRange } from '../device.ts';
import type { RangeSpace } from './pci-bus.ts';

/** [start, end). */
export interface Forwarded {
  readonly start: number;
  readonly end: number;
}

export class BridgeWindows implements RangeSpace {
  readonly #before: () => RangeSpace | undefined;
  /** Ranges behind the bridge, and what of them shows. */
  readonly #shown = new Map<IoRange, readonly IoRange[]>();
  #windows: readonly Forwarded[] = [];

  /** `before`: the space on the other side; undefined while there is none. */
  constructor(before: () => RangeSpace | undefined) {
    this.#before = before;
  }

  add(range: IoRange): void {
    this.#shown.set(range, this.#show(range));
  }

  remove(range: IoRange): void {
    this.#hide(range);
    this.#shown.delete(range);
  }

  /** The bridge forwards these now. */
  forward(windows: readonly Forwarded[]): void {
    const isSame =
      windows.length === this.#windows.length &&
      windows.every((w, i) => w.start === this.#windows[i].start && w.end === this.#windows[i].end);
    if (isSame) return;
    for (const range of this.#shown.keys()) this.#hide(range);
    this.#windows = windows;
    for (const range of this.#shown.keys()) this.#shown.set(range, this.#show(range));
  }

  #show(range: IoRange): readonly IoRange[] {
    const before = this.#before();
    if (before === undefined) return [];
    const parts = this.#windows.flatMap((window): IoRange[] => {
      const start = Math.max(range.start, window.start);
      const end = Math.min(range.start + range.byteCount, window.end);
      if (start >= end) return [];
      const skipped = start - range.start;
      return [
        {
          ...{ start, byteCount: end - start, widestBytes: range.widestBytes, underlay: true },
          read: (offset, byteCount) => range.read(skipped + offset, byteCount),
          write: (offset, byteCount, value) => range.write(skipped + offset, byteCount, value),
        },
      ];
    });
    for (const part of parts) before.add(part);
    return parts;
  }

  #hide(range: IoRange): void {
    for (const part of this.#shown.get(range) ?? []) this.#before()?.remove(part);
    this.#shown.set(range, []);
  }
}
