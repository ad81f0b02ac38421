// A pointer that a program moves: positions in pixels of what the guest shows, buttons and the wheel.

import type { Size } from '@anillo/devices/virtio/gpu/display-target';
import {
  ABSOLUTE,
  BUTTON,
  EVENT,
  type InputEvent,
  type InputSource,
  MOST_ABSOLUTE,
  RELATIVE,
} from '@anillo/devices/virtio/input/input-source';

export type PointerButton = keyof typeof BUTTON;

export class Pointer implements InputSource {
  /** The device's. */
  sink: InputSource['sink'] = undefined;
  /** Positions are in pixels of this; the display keeps it. */
  range: Size = { width: 0, height: 0 };

  /** False, here as below: the guest does not take it. */
  move(x: number, y: number): boolean {
    const place = (at: number, length: number): number =>
      Math.round((Math.max(0, Math.min(at, length - 1)) * MOST_ABSOLUTE) / Math.max(1, length - 1));
    return this.#send([
      { type: EVENT.absolute, code: ABSOLUTE.x, value: place(x, this.range.width) },
      { type: EVENT.absolute, code: ABSOLUTE.y, value: place(y, this.range.height) },
    ]);
  }

  press(button: PointerButton = 'left'): boolean {
    return this.#send([{ type: EVENT.key, code: BUTTON[button], value: 1 }]);
  }

  release(button: PointerButton = 'left'): boolean {
    return this.#send([{ type: EVENT.key, code: BUTTON[button], value: 0 }]);
  }

  /** Steps away from the user. */
  wheel(steps: number): boolean {
    return this.#send([{ type: EVENT.relative, code: RELATIVE.wheel, value: steps }]);
  }

  #send(events: readonly InputEvent[]): boolean {
    return this.sink?.(events) ?? false;
  }
}
