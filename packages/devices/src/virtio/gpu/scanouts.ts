// Outputs of a graphics device: which rectangle of which resource each shows, and its cursor.

import { struct } from '@anillo/base/struct';
import { DeviceState } from '../../device-state.ts';
import type { StatePart } from '../../state-list.ts';
import type { Rectangle } from './command.ts';
import type { Cursor, DisplayTarget, Picture, Size } from './display-target.ts';
import { LONGEST_EDID_SIDE } from './edid.ts';
import { PIXEL_BYTES } from './pixel-format.ts';
import type { Resource, ResourceTable } from './resource-table.ts';

export const MOST_SCANOUTS = 4;
/** 5.7.6.9: all cursors are so large. */
const CURSOR_SIDE = 64;

const EACH = ['u32', MOST_SCANOUTS] as const;
const STATE = struct({
  ...{ resource: EACH, x: EACH, y: EACH, width: EACH, height: EACH },
  ...{ cursorResource: EACH, hotX: EACH, hotY: EACH, cursorX: EACH, cursorY: EACH },
});

const pictureOf = ({ width, format, pixels }: Resource, { x, y, ...size }: Rectangle): Picture => ({
  ...size,
  ...{ format, pixels, strideBytes: width * PIXEL_BYTES, offsetBytes: (y * width + x) * PIXEL_BYTES },
});

export class Scanouts implements StatePart {
  readonly #targets: readonly (DisplayTarget | undefined)[];
  readonly #usual: Size;
  readonly #state = new DeviceState(STATE);

  /** `usual`: of those who do not say what size they have. */
  constructor(targets: readonly (DisplayTarget | undefined)[], usual: Size) {
    this.#targets = targets;
    this.#usual = usual;
  }

  get count(): number {
    return this.#targets.length;
  }

  /** What the guest is asked for; of no pixels: nothing is plugged in. */
  size(scanout: number): Size {
    const { width, height } = this.#targets[scanout]?.size ?? this.#usual;
    const side = (length: number): number => Math.max(0, Math.min(LONGEST_EDID_SIDE, Math.floor(length)));
    return { width: side(width), height: side(height) };
  }

  clear(): void {
    this.#state.clear();
    for (const target of this.#targets) {
      target?.show(undefined);
      target?.showCursor(undefined);
    }
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }

  /** All again, as after a snapshot. */
  showAll(resources: ResourceTable): void {
    const s = this.#state.view;
    this.#targets.forEach((_, i) => {
      const resource = resources.get(s.resource[i]);
      if (resource !== undefined) this.show(i, resource, this.#rectangle(i));
      const cursor = resources.get(s.cursorResource[i]);
      if (cursor !== undefined) this.showCursor(i, cursor, s.hotX[i], s.hotY[i]);
      this.moveCursor(i, s.cursorX[i] | 0, s.cursorY[i] | 0);
    });
  }

  #rectangle(scanout: number): Rectangle {
    const s = this.#state.view;
    return { x: s.x[scanout], y: s.y[scanout], width: s.width[scanout], height: s.height[scanout] };
  }

  /** The rectangle lies within the resource. */
  show(scanout: number, resource: Resource, rectangle: Rectangle): void {
    const s = this.#state.view;
    s.resource[scanout] = resource.id;
    s.x[scanout] = rectangle.x;
    s.y[scanout] = rectangle.y;
    s.width[scanout] = rectangle.width;
    s.height[scanout] = rectangle.height;
    this.#targets[scanout]?.show(pictureOf(resource, rectangle));
  }

  hide(scanout: number): void {
    this.#state.view.resource[scanout] = 0;
    this.#targets[scanout]?.show(undefined);
  }

  /** The resource is gone; the image of a cursor stays, as it was copied. */
  forget({ id }: Resource): void {
    const s = this.#state.view;
    this.#targets.forEach((_, i) => {
      if (s.resource[i] === id) this.hide(i);
      if (s.cursorResource[i] === id) s.cursorResource[i] = 0;
    });
  }

  /** The guest has drawn there: whoever shows that is told. */
  update({ id }: Resource, drawn: Rectangle): void {
    this.#targets.forEach((target, i) => {
      if (this.#state.view.resource[i] !== id) return;
      const shown = this.#rectangle(i);
      const x = Math.max(drawn.x, shown.x);
      const y = Math.max(drawn.y, shown.y);
      const width = Math.min(drawn.x + drawn.width, shown.x + shown.width) - x;
      const height = Math.min(drawn.y + drawn.height, shown.y + shown.height) - y;
      if (width > 0 && height > 0) target?.update(x - shown.x, y - shown.y, width, height);
    });
  }

  // --- Cursors ---

  /** What is no cursor by its size is none. */
  showCursor(scanout: number, resource: Resource | undefined, hotX: number, hotY: number): void {
    const s = this.#state.view;
    const isCursor = resource !== undefined && resource.width === CURSOR_SIDE && resource.height === CURSOR_SIDE;
    s.cursorResource[scanout] = isCursor ? resource.id : 0;
    s.hotX[scanout] = hotX;
    s.hotY[scanout] = hotY;
    let cursor: Cursor | undefined;
    if (isCursor) {
      const picture = pictureOf(resource, { x: 0, y: 0, width: CURSOR_SIDE, height: CURSOR_SIDE });
      cursor = { picture: { ...picture, pixels: picture.pixels.slice() }, hotX, hotY };
    }
    this.#targets[scanout]?.showCursor(cursor);
  }

  moveCursor(scanout: number, x: number, y: number): void {
    this.#state.view.cursorX[scanout] = x;
    this.#state.view.cursorY[scanout] = y;
    this.#targets[scanout]?.moveCursor(x, y);
  }
}
