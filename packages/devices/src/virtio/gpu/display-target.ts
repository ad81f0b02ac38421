// What a graphics device needs of whoever shows its picture.

import type { PixelFormat } from './pixel-format.ts';

/** A rectangle of pixels as they lie in the device's memory; they change while the guest draws. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly format: PixelFormat;
  readonly pixels: Uint8Array;
  readonly offsetBytes: number;
  readonly strideBytes: number;
}

export interface Cursor {
  readonly picture: Picture;
  /** The pixel of it that points. */
  readonly hotX: number;
  readonly hotY: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** One output of a graphics device. All calls are the device's, on the machine's thread, and leave the device alone. */
export interface DisplayTarget {
  /** The size that the guest is asked for; undefined: the device's own choice. Of no pixels: nothing is plugged in. */
  readonly size: Size | undefined;
  /** `size` has changed. */
  onResize: (() => void) | undefined;
  /** What is shown from now on; undefined: nothing. */
  show(picture: Picture | undefined): void;
  /** The guest has drawn there. */
  update(x: number, y: number, width: number, height: number): void;
  showCursor(cursor: Cursor | undefined): void;
  moveCursor(x: number, y: number): void;
}
