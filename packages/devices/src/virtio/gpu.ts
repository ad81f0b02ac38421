// Graphics device (Virtio 1.2, 5.7), 2D: the guest makes pictures in the device, copies parts of its memory into them, and says which of them an output shows. What it
// can make the device keep and do at a time is bounded.

import type { BackendProperty, DeviceProperties } from '../device-declaration.ts';
import { StateList, type StatePart } from '../state-list.ts';
import type { Chain } from './chain.ts';
import { declareVirtio } from './declare-virtio.ts';
import type { KindLink, VirtioKind } from './virtio-device.ts';
import type { Virtqueue } from './virtqueue.ts';
import type { AddViews } from './gpu/backing.ts';
import { ANSWER, COMMAND, GpuCommand, type Rectangle } from './gpu/command.ts';
import type { DisplayTarget, Size } from './gpu/display-target.ts';
import { edidOf, LONGEST_EDID_SIDE } from './gpu/edid.ts';
import { PIXEL_BYTES } from './gpu/pixel-format.ts';
import { MOST_PIECES, type Resource, ResourceTable } from './gpu/resource-table.ts';
import { MOST_SCANOUTS, Scanouts } from './gpu/scanouts.ts';

const F = { edid: 1 } as const;
const QUEUE = { control: 0, cursor: 1 } as const;
const QUEUE_SIZES = [256, 64];
/** 5.7.4. */
const AT = { eventsRead: 0, eventsClear: 4, scanoutCount: 8, end: 16 } as const;
const DISPLAY_CHANGED = 1;
/** 5.7.6.8: an answer tells of so many outputs, whether they are there or not. */
const TOLD_SCANOUTS = 16;
const SCANOUT_INFO_BYTES = 24;
const EDID_ANSWER_BYTES = 8 + 1024;
const PIECE_BYTES = 16;
/** Copied at a time; then the machine does other things. To find a piece of memory takes as long as so many bytes. */
const MOST_COPIED_BYTES = 32 * 1024 * 1024;
const LOOK_UP_BYTES = 2048;

const NOTHING = new Uint8Array(0);
/** What becomes of a command: its type, and bytes behind the header. */
type Answer = number | readonly [type: number, body: Uint8Array];

/** Bytes behind the header, and what is done. */
type CommandRow = readonly [byteCount: number, run: (command: GpuCommand) => Answer];

export interface GpuOptions {
  readonly targets: readonly (DisplayTarget | undefined)[];
  /** Of outputs that do not say what size they have. */
  readonly usual: Size;
  /** Bytes of all pictures. */
  readonly mostBytes: number;
}

export class Gpu implements VirtioKind {
  readonly name = 'virtio-gpu';
  readonly deviceId = 16;
  readonly features = [F.edid];
  readonly queueSizes = QUEUE_SIZES;
  readonly config = new Uint8Array(AT.end);
  readonly state: StatePart;
  readonly #config = new DataView(this.config.buffer);
  readonly #targets: readonly (DisplayTarget | undefined)[];
  readonly #resources: ResourceTable;
  readonly #scanouts: Scanouts;
  readonly #commands: ReadonlyMap<number, CommandRow>;
  #copiedBytes = 0;
  #link!: KindLink;

  constructor({ targets, usual, mostBytes }: GpuOptions) {
    this.#targets = targets;
    this.#resources = new ResourceTable(mostBytes);
    this.#scanouts = new Scanouts(targets, usual);
    this.state = new StateList(this.#resources, this.#scanouts);
    this.#config.setUint32(AT.scanoutCount, targets.length, true);
    this.#commands = new Map<number, CommandRow>([
      [COMMAND.getDisplayInfo, [0, () => this.#displayInfo()]],
      [COMMAND.getEdid, [8, (command) => this.#edid(command.word(0))]],
      [COMMAND.createResource, [16, (command) => this.#create(command)]],
      [COMMAND.unreferenceResource, [8, (command) => this.#withResource(command.word(0), (resource) => this.#remove(resource))]],
      [COMMAND.setScanout, [24, (command) => this.#setScanout(command)]],
      [COMMAND.flushResource, [24, (command) => this.#withResource(command.word(16), (resource) => this.#flush(resource, command))]],
      [COMMAND.transferToHost, [32, (command) => this.#withResource(command.word(24), (resource) => this.#transfer(resource, command))]],
      [COMMAND.attachBacking, [8, (command) => this.#withResource(command.word(0), (resource) => this.#attachBacking(resource, command))]],
      [COMMAND.detachBacking, [8, (command) => this.#withResource(command.word(0), (resource) => this.#detachBacking(resource))]],
      [COMMAND.updateCursor, [32, (command) => this.#updateCursor(command)]],
      [COMMAND.moveCursor, [16, (command) => this.#moveCursor(command)]],
    ]);
    for (const target of targets) if (target !== undefined) target.onResize = () => this.#resized();
  }

  attach(link: KindLink): void {
    this.#link = link;
  }

  reset(): void {
    this.#scanouts.clear();
    this.#resources.clear();
    this.#config.setUint32(AT.eventsRead, 0, true);
  }

  start(): void {
    this.#scanouts.showAll(this.#resources);
  }

  dispose(): void {
    for (const target of this.#targets) if (target !== undefined) target.onResize = undefined;
  }

  /** The guest has seen events (5.7.5). */
  writeConfig(offset: number, byteCount: number, value: number): void {
    if (offset !== AT.eventsClear || byteCount !== 4) return;
    this.#config.setUint32(AT.eventsRead, this.#config.getUint32(AT.eventsRead, true) & ~value, true);
  }

  #resized(): void {
    this.#config.setUint32(AT.eventsRead, DISPLAY_CHANGED, true);
    this.#link.configChanged();
  }

  // --- Commands ---

  notified(queue: Virtqueue): void {
    this.#copiedBytes = 0;
    this.#link.serve(queue, (chain) => {
      queue.give(chain, this.#run(chain, queue.index === QUEUE.cursor));
      if (this.#copiedBytes < MOST_COPIED_BYTES) return true;
      this.#link.later(queue);
      return false;
    });
    queue.tell();
  }

  #run(chain: Chain, isCursorQueue: boolean): number {
    const command = new GpuCommand(chain);
    const known = command.type >= COMMAND.updateCursor === isCursorQueue ? this.#commands.get(command.type) : undefined;
    const answer = known === undefined ? ANSWER.failed : command.has(known[0]) ? known[1](command) : ANSWER.badParameter;
    return typeof answer === 'number' ? command.answer(answer, NOTHING) : command.answer(...answer);
  }

  #withResource(id: number, run: (resource: Resource) => Answer): Answer {
    const resource = this.#resources.get(id);
    return resource === undefined ? ANSWER.badResource : run(resource);
  }

  #displayInfo(): Answer {
    const body = new Uint8Array(TOLD_SCANOUTS * SCANOUT_INFO_BYTES);
    const view = new DataView(body.buffer);
    for (let i = 0; i < this.#scanouts.count; i++) {
      const { width, height } = this.#scanouts.size(i);
      [0, 0, width, height, width > 0 && height > 0 ? 1 : 0].forEach((word, n) => {
        view.setUint32(i * SCANOUT_INFO_BYTES + n * 4, word, true);
      });
    }
    return [ANSWER.displayInfo, body];
  }

  #edid(scanout: number): Answer {
    if (scanout >= this.#scanouts.count) return ANSWER.badScanout;
    const edid = edidOf(this.#scanouts.size(scanout), scanout + 1);
    const body = new Uint8Array(EDID_ANSWER_BYTES);
    new DataView(body.buffer).setUint32(0, edid.length, true);
    body.set(edid, 8);
    return [ANSWER.edid, body];
  }

  // --- Resources ---

  #create(command: GpuCommand): Answer {
    const made = this.#resources.create(command.word(0), command.word(4), command.word(8), command.word(12));
    return { made: ANSWER.ok, 'bad id': ANSWER.badResource, 'bad parameter': ANSWER.badParameter, 'no room': ANSWER.noRoom }[made];
  }

  #remove(resource: Resource): Answer {
    this.#scanouts.forget(resource);
    this.#resources.remove(resource);
    return ANSWER.ok;
  }

  #attachBacking(resource: Resource, command: GpuCommand): Answer {
    const count = command.word(4);
    if (resource.backing !== undefined || count === 0 || count > MOST_PIECES) return ANSWER.badParameter;
    const entries = command.rest(8, count * PIECE_BYTES);
    if (entries === undefined) return ANSWER.badParameter;
    const pieces = new Float64Array(count * 2);
    for (let i = 0; i < count; i++) {
      if (entries.getUint32(i * PIECE_BYTES + 8, true) === 0) return ANSWER.badParameter;
      pieces[i * 2] = entries.getUint32(i * PIECE_BYTES, true) + entries.getUint32(i * PIECE_BYTES + 4, true) * 2 ** 32;
      pieces[i * 2 + 1] = entries.getUint32(i * PIECE_BYTES + 8, true);
    }
    return this.#resources.attach(resource, pieces) ? ANSWER.ok : ANSWER.noRoom;
  }

  #detachBacking(resource: Resource): Answer {
    this.#resources.detach(resource);
    return ANSWER.ok;
  }

  readonly #addViews: AddViews = (...range) => {
    this.#copiedBytes += LOOK_UP_BYTES;
    return this.#link.addViews(...range);
  };

  /** Copies a rectangle; `offset` is where its first pixel lies in the memory behind the resource, whose rows are as long as the resource's. */
  #transfer(resource: Resource, command: GpuCommand): Answer {
    const rectangle = command.rectangle(0);
    const { x, y, width, height } = rectangle;
    const { backing, pixels } = resource;
    if (backing === undefined || !isWithin(rectangle, resource)) return ANSWER.badParameter;
    const stride = resource.width * PIXEL_BYTES;
    const [rowCount, rowBytes] = width === resource.width ? [1, stride * height] : [height, width * PIXEL_BYTES];
    this.#copiedBytes += rowCount * rowBytes;
    let from = command.long(16);
    let to = y * stride + x * PIXEL_BYTES;
    for (let row = 0; row < rowCount; row++, from += stride, to += stride)
      if (!backing.read(from, pixels.subarray(to, to + rowBytes), this.#addViews)) return ANSWER.badParameter;
    return ANSWER.ok;
  }

  // --- Outputs ---

  #setScanout(command: GpuCommand): Answer {
    const scanout = command.word(16);
    const id = command.word(20);
    const rectangle = command.rectangle(0);
    if (scanout >= this.#scanouts.count) return ANSWER.badScanout;
    if (id === 0) {
      this.#scanouts.hide(scanout);
      return ANSWER.ok;
    }
    return this.#withResource(id, (resource) => {
      if (rectangle.width === 0 || rectangle.height === 0 || !isWithin(rectangle, resource)) return ANSWER.badParameter;
      this.#scanouts.show(scanout, resource, rectangle);
      return ANSWER.ok;
    });
  }

  #flush(resource: Resource, command: GpuCommand): Answer {
    const rectangle = command.rectangle(0);
    if (!isWithin(rectangle, resource)) return ANSWER.badParameter;
    this.#scanouts.update(resource, rectangle);
    return ANSWER.ok;
  }

  #updateCursor(command: GpuCommand): Answer {
    const moved = this.#moveCursor(command);
    if (moved !== ANSWER.ok) return moved;
    const id = command.word(16);
    const resource = this.#resources.get(id);
    if (id !== 0 && resource === undefined) return ANSWER.badResource;
    this.#scanouts.showCursor(command.word(0), resource, command.word(20), command.word(24));
    return ANSWER.ok;
  }

  /** Linux counts from the screen's corner, so a cursor that is partly outside has negative numbers. */
  #moveCursor(command: GpuCommand): Answer {
    const scanout = command.word(0);
    if (scanout >= this.#scanouts.count) return ANSWER.badScanout;
    this.#scanouts.moveCursor(scanout, command.signed(4), command.signed(8));
    return ANSWER.ok;
  }
}

const isWithin = ({ x, y, width, height }: Rectangle, size: Size): boolean => x + width <= size.width && y + height <= size.height;

const propertyOf = (scanout: number): string => (scanout === 0 ? 'display' : `display${scanout}`);

const displayProperties = Object.fromEntries(
  Array.from({ length: MOST_SCANOUTS }, (_, i): readonly [string, BackendProperty] => [
    propertyOf(i),
    { kind: 'backend', of: 'display', summary: i === 0 ? 'Where its picture is shown, by name' : `Output ${i}`, default: undefined },
  ]),
) satisfies DeviceProperties;

const MIB = 1024 * 1024;

export const virtioGpu = declareVirtio({
  name: 'virtio-gpu',
  summary: 'Graphics, 2D',
  classCode: 0x038000,
  properties: {
    ...displayProperties,
    max_outputs: { kind: 'number', summary: 'Outputs', default: 1, minimum: 1, maximum: MOST_SCANOUTS },
    xres: { kind: 'number', summary: 'Width, if the display has no wish', default: 1280, minimum: 0, maximum: LONGEST_EDID_SIDE },
    yres: { kind: 'number', summary: 'Height, if the display has no wish', default: 800, minimum: 0, maximum: LONGEST_EDID_SIDE },
    max_hostmem: { kind: 'number', summary: 'Bytes of pictures', default: 256 * MIB, minimum: MIB, maximum: 2048 * MIB },
  },
  create: ({ backends }, p) => {
    const names = Array.from({ length: MOST_SCANOUTS }, (_, i) => (p as Readonly<Record<string, unknown>>)[propertyOf(i)]);
    const count = Math.max(p.max_outputs, 1 + names.findLastIndex((name) => typeof name === 'string'));
    const targets = names
      .slice(0, count)
      .map((name, i) => (typeof name === 'string' ? backends.display(name, 'virtio-gpu', propertyOf(i)) : undefined));
    return new Gpu({ targets, usual: { width: p.xres, height: p.yres }, mostBytes: p.max_hostmem });
  },
});
