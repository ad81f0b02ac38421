// Input devices (Virtio 1.2, 5.8): a keyboard, a mouse and a tablet, which are the same but for what they say that they have. Events go to the guest as its buffers
// allow; what belongs to one moment goes whole or not at all.

import { struct } from '@anillo/base/struct';
import type { DeviceDeclaration } from '../device-declaration.ts';
import { DeviceState } from '../device-state.ts';
import { gather, scatter } from './chain.ts';
import { declareVirtio } from './declare-virtio.ts';
import { bitmap, INPUT_KINDS, type InputKind } from './input/input-kinds.ts';
import { EVENT, type InputEvent, type InputSource, MOST_ABSOLUTE } from './input/input-source.ts';
import type { KindLink, VirtioKind } from './virtio-device.ts';
import type { Virtqueue } from './virtqueue.ts';

const QUEUE = { event: 0, status: 1 } as const;
const QUEUE_SIZE = 64;
const EVENT_BYTES = 8;
/** Events that wait for the guest's buffers. */
const MOST_EVENTS = 1024;
/** 5.8.4: what is asked for, how many bytes of answer there are, and the answer. */
const AT = { select: 0, subselect: 1, size: 2, answer: 8, end: 136 } as const;
const SELECT = { name: 0x01, serial: 0x02, ids: 0x03, properties: 0x10, events: 0x11, absolute: 0x12 } as const;
const BUS_VIRTUAL = 6;
const VENDOR = 0x1af4;
const STATE = struct({ select: 'u32', subselect: 'u32' });

const words = (byteCount: 2 | 4, values: readonly number[]): Uint8Array => {
  const bytes = new Uint8Array(values.length * byteCount);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    if (byteCount === 2) view.setUint16(i * 2, value, true);
    else view.setUint32(i * 4, value, true);
  });
  return bytes;
};

export class Input implements VirtioKind {
  readonly name: string;
  readonly deviceId = 18;
  readonly features = [];
  readonly queueSizes = [QUEUE_SIZE, QUEUE_SIZE];
  readonly config = new Uint8Array(AT.end);
  readonly state = new DeviceState(STATE);
  readonly #kind: InputKind;
  readonly #serial: string;
  readonly #source: InputSource | undefined;
  #waiting: InputEvent[] = [];
  #link!: KindLink;

  constructor(kind: InputKind, serial: string, source: InputSource | undefined) {
    this.name = `virtio-${kind.name}`;
    this.#kind = kind;
    this.#serial = serial;
    this.#source = source;
    if (source !== undefined) source.sink = (events) => this.#happened(events);
  }

  attach(link: KindLink): void {
    this.#link = link;
  }

  dispose(): void {
    if (this.#source !== undefined) this.#source.sink = undefined;
  }

  reset(): void {
    this.#waiting = [];
    this.state.clear();
    this.#answer();
  }

  start(): void {
    this.#answer();
  }

  // --- Configuration ---

  writeConfig(offset: number, byteCount: number, value: number): void {
    const s = this.state.view;
    if (offset === AT.select) s.select = value & 0xff;
    if (offset <= AT.subselect && offset + byteCount > AT.subselect) s.subselect = (value >>> (8 * (AT.subselect - offset))) & 0xff;
    this.#answer();
  }

  #answer(): void {
    const { select, subselect } = this.state.view;
    const answer = this.#answerTo(select, subselect);
    this.config.fill(0);
    this.config[AT.select] = select;
    this.config[AT.subselect] = subselect;
    this.config[AT.size] = answer.length;
    this.config.set(answer, AT.answer);
  }

  #answerTo(select: number, subselect: number): Uint8Array {
    const { title, product, events } = this.#kind;
    const text = (value: string): Uint8Array => Uint8Array.from(value.slice(0, AT.end - AT.answer), (character) => character.charCodeAt(0));
    if (select === SELECT.events) return bitmap(events[subselect] ?? []);
    if (select === SELECT.absolute && events[EVENT.absolute]?.includes(subselect) === true) return words(4, [0, MOST_ABSOLUTE, 0, 0, 0]);
    if (subselect !== 0) return new Uint8Array(0);
    if (select === SELECT.name) return text(title);
    if (select === SELECT.serial) return text(this.#serial);
    if (select === SELECT.ids) return words(2, [BUS_VIRTUAL, VENDOR, product, 1]);
    return new Uint8Array(0);
  }

  // --- Events ---

  #happened(events: readonly InputEvent[]): boolean {
    if (!this.#link.isRunning || this.#waiting.length + events.length >= MOST_EVENTS) return false;
    this.#waiting.push(...events, { type: EVENT.sync, code: 0, value: 0 });
    this.#send(this.#link.queues[QUEUE.event]);
    return true;
  }

  #send(queue: Virtqueue): void {
    let sent = 0;
    for (const { type, code, value } of this.#waiting) {
      const chain = queue.next();
      if (chain === undefined) break;
      const bytes = new Uint8Array(EVENT_BYTES);
      const view = new DataView(bytes.buffer);
      view.setUint16(0, type, true);
      view.setUint16(2, code, true);
      view.setInt32(4, value, true);
      queue.give(chain, scatter(chain.writable, 0, bytes));
      sent++;
    }
    if (sent === 0) return;
    this.#waiting = this.#waiting.slice(sent);
    queue.tell();
  }

  notified(queue: Virtqueue): void {
    if (queue.index === QUEUE.event) this.#send(queue);
    else
      this.#link.serve(queue, (chain) => {
        const bytes = new Uint8Array(EVENT_BYTES);
        const isWhole = gather(chain.readable, 0, bytes) === EVENT_BYTES;
        queue.complete(chain, 0);
        const view = new DataView(bytes.buffer);
        const light = view.getUint16(2, true);
        const isOurs = view.getUint16(0, true) === EVENT.light && this.#kind.events[EVENT.light]?.includes(light) === true;
        if (isWhole && isOurs) this.#source?.onLight?.(light, view.getUint32(4, true) !== 0);
      });
  }
}

const declareInput = (kind: InputKind): readonly DeviceDeclaration[] =>
  declareVirtio({
    name: `virtio-${kind.name}`,
    summary: kind.summary,
    classCode: kind.classCode,
    properties: {
      source: { kind: 'backend', of: 'input', summary: 'Where its events come from, by name; without: none come', default: undefined },
      serial: { kind: 'text', summary: 'Serial number', default: '', longest: 64 },
    },
    create: ({ backends }, { source, serial }) =>
      new Input(kind, serial, source === undefined ? undefined : backends.input(source, `virtio-${kind.name}`)),
  });

export const virtioInputs: readonly DeviceDeclaration[] = INPUT_KINDS.flatMap(declareInput);
