// Console device (Virtio 1.2, 5.3): ports of bytes both ways, with names; port 0 is a console (hvc0 in Linux), and tells its size. Ports and their state are agreed
// over two control queues.

import { struct } from '@anillo/base/struct';
import type { CharBackend } from '../device.ts';
import type { BackendProperty, DeviceProperties, TextProperty } from '../device-declaration.ts';
import { DeviceState } from '../device-state.ts';
import { type Chain, gather, scatter } from './chain.ts';
import { declareVirtio } from './declare-virtio.ts';
import type { KindLink, VirtioKind } from './virtio-device.ts';
import type { Virtqueue } from './virtqueue.ts';

const F = { size: 0, severalPorts: 1 } as const;
const CONFIG_BYTES = 12;
const AT = { columns: 0, rows: 2, portCount: 4 } as const;
const EVENT = { deviceReady: 0, portAdd: 1, portReady: 3, consolePort: 4, resize: 5, portOpen: 6, portName: 7 } as const;
const MESSAGE_BYTES = 8;
const QUEUE_SIZE = 64;
const MOST_PORTS = 8;
/** Queues of port 0, the control queues, queues of the ports from 1 on. */
const CONTROL = { receive: 2, transmit: 3 } as const;
const LONGEST_NAME = 64;
/** Messages that wait for the driver's buffers; each kind of a port waits once. */
const MOST_MESSAGES = MOST_PORTS * 8;
const STATE = struct({ open: 'u32', ready: 'u32' });

export interface ConsolePort {
  readonly backend: CharBackend;
  readonly name: string;
}

const receiveIndex = (port: number): number => (port === 0 ? 0 : 2 + port * 2);

/** Output of a port, as far as its back end has taken it. */
interface Sending {
  readonly chain: Chain;
  readonly bytes: Uint8Array;
  at: number;
}

export class Console implements VirtioKind {
  readonly name = 'virtio-console';
  readonly deviceId = 3;
  readonly features = [F.size, F.severalPorts];
  readonly queueSizes: readonly number[];
  readonly config = new Uint8Array(CONFIG_BYTES);
  readonly state = new DeviceState(STATE);
  readonly #ports: readonly ConsolePort[];
  readonly #sending: (Sending | undefined)[];
  #messages: Uint8Array[] = [];
  #link!: KindLink;

  /** The first is a console; so are those without a name. */
  constructor(ports: readonly ConsolePort[]) {
    this.#ports = ports;
    this.#sending = ports.map(() => undefined);
    this.queueSizes = new Array<number>(2 + ports.length * 2).fill(QUEUE_SIZE);
    new DataView(this.config.buffer).setUint32(AT.portCount, ports.length, true);
    ports.forEach(({ backend }, port) => {
      backend.onInput = () => this.#receive(port);
      backend.onDrain = () => this.#goOn(port);
      if (backend.size !== undefined) backend.onResize = () => this.#resized(port);
    });
  }

  attach(link: KindLink): void {
    this.#link = link;
    this.#showSize();
  }

  dispose(): void {
    for (const { backend } of this.#ports) {
      backend.onInput = undefined;
      backend.onDrain = undefined;
      backend.onResize = undefined;
    }
  }

  reset(): void {
    this.#messages = [];
    this.#sending.fill(undefined);
    this.state.clear();
  }

  get #hasPorts(): boolean {
    return this.#link.accepts(F.severalPorts);
  }

  notified(queue: Virtqueue): void {
    const { index } = queue;
    if (index === CONTROL.receive) this.#sendMessages();
    else if (index === CONTROL.transmit) this.#control(queue);
    else {
      const port = index < CONTROL.receive ? 0 : (index >> 1) - 1;
      if (index % 2 === 0) this.#receive(port);
      else this.#transmit(port, queue);
    }
  }

  // --- Size ---

  #showSize(): void {
    const size = this.#ports[0]?.backend.size;
    const view = new DataView(this.config.buffer);
    view.setUint16(AT.columns, size?.columns ?? 0, true);
    view.setUint16(AT.rows, size?.rows ?? 0, true);
  }

  #resized(port: number): void {
    if (port === 0) {
      this.#showSize();
      this.#link.configChanged();
    }
    if (this.#link.isRunning && this.#hasPorts) this.#sendSize(port);
  }

  /** Columns first, as 5.3.6.2 says; Linux before 6.1.140 or so takes them for rows. */
  #sendSize(port: number): void {
    const { size } = this.#ports[port].backend;
    if (size === undefined) return;
    const { rows, columns } = size;
    this.#send(port, EVENT.resize, 0, Uint8Array.of(columns, columns >> 8, rows, rows >> 8));
  }

  // --- Control ---

  #send(port: number, event: number, value: number, more: Uint8Array = new Uint8Array(0)): void {
    const message = new Uint8Array(MESSAGE_BYTES + more.length);
    const view = new DataView(message.buffer);
    view.setUint32(0, port, true);
    view.setUint16(4, event, true);
    view.setUint16(6, value, true);
    message.set(more, MESSAGE_BYTES);
    // A later one of the same kind stands for one that still waits.
    this.#messages = this.#messages.filter((old) => old[0] !== port || old[4] !== event);
    if (this.#messages.length < MOST_MESSAGES) this.#messages.push(message);
    this.#sendMessages();
  }

  #sendMessages(): void {
    const queue = this.#link.queues[CONTROL.receive];
    while (this.#messages.length > 0) {
      const chain = queue.next();
      if (chain === undefined) return;
      queue.complete(chain, scatter(chain.writable, 0, this.#messages.shift() as Uint8Array));
    }
  }

  #control(queue: Virtqueue): void {
    this.#link.serve(queue, (chain) => {
      const message = new Uint8Array(MESSAGE_BYTES);
      const isWhole = gather(chain.readable, 0, message) === MESSAGE_BYTES;
      queue.complete(chain, 0);
      const view = new DataView(message.buffer);
      if (isWhole && this.#hasPorts) this.#answer(view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true));
    });
  }

  #answer(port: number, event: number, value: number): void {
    if (event === EVENT.deviceReady) {
      if (value === 1) this.#ports.forEach((_, i) => this.#send(i, EVENT.portAdd, 1));
      return;
    }
    if (port >= this.#ports.length) return;
    const bit = 1 << port;
    const s = this.state.view;
    if (event === EVENT.portReady && value === 1) {
      s.ready |= bit;
      const { name } = this.#ports[port];
      if (port === 0 || name === '') this.#send(port, EVENT.consolePort, 1);
      if (name !== '')
        this.#send(
          port,
          EVENT.portName,
          1,
          Uint8Array.from([...name, '\0'], (character) => character.charCodeAt(0)),
        );
      this.#send(port, EVENT.portOpen, 1);
      this.#sendSize(port);
    } else if (event === EVENT.portOpen) {
      s.open = value === 0 ? s.open & ~bit : s.open | bit;
      if (value !== 0) this.#receive(port);
    }
  }

  // --- Host to guest ---

  /** What comes for a port that nobody has open waits in its back end. */
  #receive(port: number): void {
    if (!this.#link.isRunning || (this.#hasPorts && (this.state.view.open & (1 << port)) === 0)) return;
    const { backend } = this.#ports[port];
    const queue = this.#link.queues[receiveIndex(port)];
    for (let left = queue.registers.size; backend.available > 0 && left > 0; left--) {
      const chain = queue.next();
      if (chain === undefined) return;
      let written = 0;
      for (const view of chain.writable) for (let i = 0; i < view.length && backend.available > 0; i++, written++) view[i] = backend.read();
      queue.complete(chain, written);
    }
  }

  // --- Guest to host ---

  #transmit(port: number, queue: Virtqueue): void {
    if (this.#sending[port] !== undefined) return;
    this.#link.serve(queue, (chain) => {
      const bytes = new Uint8Array(Math.min(chain.readableBytes, LONGEST_WRITE));
      gather(chain.readable, 0, bytes);
      return this.#write(port, queue, { chain, bytes, at: 0 });
    });
  }

  /** False: the back end is full; it calls when there is room. */
  #write(port: number, queue: Virtqueue, sending: Sending): boolean {
    const { backend } = this.#ports[port];
    for (; sending.at < sending.bytes.length; sending.at++) {
      if (backend.write(sending.bytes[sending.at])) continue;
      this.#sending[port] = sending;
      return false;
    }
    queue.complete(sending.chain, 0);
    return true;
  }

  #goOn(port: number): void {
    const sending = this.#sending[port];
    if (sending === undefined) return;
    this.#sending[port] = undefined;
    const queue = this.#link.queues[receiveIndex(port) + 1];
    if (queue.owns(sending.chain) && this.#write(port, queue, sending)) this.#transmit(port, queue);
  }
}

/** Of one chain; drivers write a page. */
const LONGEST_WRITE = 1024 * 1024;

const portProperties = Object.fromEntries(
  Array.from({ length: MOST_PORTS }, (_, i): readonly (readonly [string, BackendProperty | TextProperty])[] => [
    [
      `port${i}`,
      { kind: 'backend', of: 'console', summary: i === 0 ? 'What the first port, hvc0, is attached to' : `Port ${i}`, default: undefined },
    ],
    [`name${i}`, { kind: 'text', summary: `Name of port ${i}; without one it is a console`, default: '', longest: LONGEST_NAME }],
  ]).flat(),
) satisfies DeviceProperties;

export const virtioConsole = declareVirtio({
  name: 'virtio-console',
  summary: 'Consoles and named ports',
  classCode: 0x078000,
  properties: portProperties,
  create: ({ backends }, given) => {
    const values = given as Readonly<Record<string, string | undefined>>;
    const count = 1 + Array.from({ length: MOST_PORTS }, (_, i) => values[`port${i}`]).findLastIndex((name) => name !== undefined);
    const ports = Array.from({ length: Math.max(1, count) }, (_, i) => ({
      backend: backends.console(values[`port${i}`], 'virtio-console', `port${i}`),
      name: values[`name${i}`] ?? '',
    }));
    return new Console(ports);
  },
});
