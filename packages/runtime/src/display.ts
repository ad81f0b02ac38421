// What a guest shows on its first output, with keyboard and pointer: `machine.display`.

import type { Cursor, DisplayTarget, Picture, Size } from '@anillo/devices/virtio/gpu/display-target';
import { toRgba } from '@anillo/devices/virtio/gpu/pixel-format';
import { Keyboard } from './keyboard.ts';
import { Pointer } from './pointer.ts';

/** Red, green, blue and alpha of each pixel, row after row. */
export interface Screenshot extends Size {
  readonly rgba: Uint8ClampedArray<ArrayBuffer>;
}

export class Display implements DisplayTarget {
  readonly keyboard = new Keyboard();
  readonly pointer = new Pointer();
  /** The device's. */
  onResize: (() => void) | undefined = undefined;
  /** Called when the guest has drawn, or shows something else. */
  onChange: (() => void) | undefined = undefined;
  #size: Size;
  #picture: Picture | undefined;
  /** What was shown before nothing was. */
  #last: Picture | undefined;
  #cursor: Cursor | undefined;
  #cursorX = 0;
  #cursorY = 0;

  constructor(size: Size) {
    this.#size = size;
  }

  /** The size that the guest is asked for; at most 4095 each way. */
  get size(): Size {
    return this.#size;
  }

  /** Asks the guest for another size; of no pixels: the display is unplugged. */
  resize(width: number, height: number): void {
    this.#size = { width, height };
    this.onResize?.();
  }

  /** What is seen now, cursor and all; undefined: the guest shows nothing. `orLast`: then what it showed last, for a guest that switches itself off ends its display first. */
  screenshot({ orLast = false }: { readonly orLast?: boolean } = {}): Screenshot | undefined {
    const picture = this.#picture ?? (orLast ? this.#last : undefined);
    if (picture === undefined) return undefined;
    const screenshot = { width: picture.width, height: picture.height, rgba: toRgba(picture) };
    if (this.#cursor !== undefined) draw(screenshot, this.#cursor.picture, this.#cursorX, this.#cursorY);
    return screenshot;
  }

  // --- The device's side ---

  show(picture: Picture | undefined): void {
    this.#picture = picture;
    if (picture !== undefined) this.#last = picture;
    this.pointer.range = picture ?? this.#size;
    this.onChange?.();
  }

  update(): void {
    this.onChange?.();
  }

  showCursor(cursor: Cursor | undefined): void {
    this.#cursor = cursor;
    this.onChange?.();
  }

  moveCursor(x: number, y: number): void {
    this.#cursorX = x;
    this.#cursorY = y;
    if (this.#cursor !== undefined) this.onChange?.();
  }
}

/** A picture over another one, by its alpha. */
function draw({ width, height, rgba }: Screenshot, over: Picture, left: number, top: number): void {
  const source = toRgba(over);
  for (let y = Math.max(0, -top); y < over.height && top + y < height; y++) {
    for (let x = Math.max(0, -left); x < over.width && left + x < width; x++) {
      const [from, to] = [(y * over.width + x) * 4, ((top + y) * width + left + x) * 4];
      const alpha = source[from + 3] / 255;
      for (let i = 0; i < 3; i++) rgba[to + i] = source[from + i] * alpha + rgba[to + i] * (1 - alpha);
    }
  }
}
