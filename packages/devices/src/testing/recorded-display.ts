// A display that remembers what it was told, and a source of input events under the test's hand.

import type { Cursor, DisplayTarget, Picture, Size } from '../virtio/gpu/display-target.ts';
import type { InputSource } from '../virtio/input/input-source.ts';

export class RecordedDisplay implements DisplayTarget {
  size: Size | undefined = { width: 640, height: 480 };
  onResize: (() => void) | undefined = undefined;
  picture: Picture | undefined = undefined;
  cursor: Cursor | undefined = undefined;
  cursorAt: readonly number[] = [];
  updates: (readonly number[])[] = [];

  show(picture: Picture | undefined): void {
    this.picture = picture;
  }

  update(...rectangle: readonly number[]): void {
    this.updates.push(rectangle);
  }

  showCursor(cursor: Cursor | undefined): void {
    this.cursor = cursor;
  }

  moveCursor(x: number, y: number): void {
    this.cursorAt = [x, y];
  }
}

export class RecordedInput implements InputSource {
  sink: InputSource['sink'] = undefined;
  readonly lights: (readonly [number, boolean])[] = [];

  onLight(light: number, isOn: boolean): void {
    this.lights.push([light, isOn]);
  }
}
