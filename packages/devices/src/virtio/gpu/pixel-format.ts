// Formats of pixels (Virtio 1.2, 5.7.6.7): four bytes each, named by the order in which they lie in memory.

import type { Picture } from './display-target.ts';

export const PIXEL_BYTES = 4;

/** Which byte of a pixel each colour is. */
export interface PixelFormat {
  readonly code: number;
  readonly red: number;
  readonly green: number;
  readonly blue: number;
  /** Undefined: opaque. */
  readonly alpha: number | undefined;
}

const FORMATS: readonly PixelFormat[] = [
  { code: 1, blue: 0, green: 1, red: 2, alpha: 3 },
  { code: 2, blue: 0, green: 1, red: 2, alpha: undefined },
  { code: 3, alpha: 0, red: 1, green: 2, blue: 3 },
  { code: 4, alpha: undefined, red: 1, green: 2, blue: 3 },
  { code: 67, red: 0, green: 1, blue: 2, alpha: 3 },
  { code: 68, alpha: undefined, blue: 1, green: 2, red: 3 },
  { code: 121, alpha: 0, blue: 1, green: 2, red: 3 },
  { code: 134, red: 0, green: 1, blue: 2, alpha: undefined },
];

export const pixelFormat = (code: number): PixelFormat | undefined => FORMATS.find((format) => format.code === code);

/** A picture's pixels as red, green, blue and alpha, row after row. */
export function toRgba({ width, height, format, pixels, offsetBytes, strideBytes }: Picture): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(width * height * PIXEL_BYTES);
  const { red, green, blue, alpha } = format;
  for (let y = 0, to = 0; y < height; y++) {
    let from = offsetBytes + y * strideBytes;
    for (let x = 0; x < width; x++, from += PIXEL_BYTES, to += PIXEL_BYTES) {
      rgba[to] = pixels[from + red];
      rgba[to + 1] = pixels[from + green];
      rgba[to + 2] = pixels[from + blue];
      rgba[to + 3] = alpha === undefined ? 255 : pixels[from + alpha];
    }
  }
  return rgba;
}
