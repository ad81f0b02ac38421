// Debug console: bytes written to port 0xe9 (Bochs) or 0x402 (firmware) go to the host; a read gives 0xe9, which says that it is there.
// There is no flow control: what the host cannot take waits here, and is dropped once the room is used up.

import { struct } from '@anillo/base/struct';
import type { CharBackend, Device, IoRange } from '../device.ts';
import { declareDevice } from '../device-declaration.ts';
import { DeviceState } from '../device-state.ts';
import { ByteQueue } from '../byte-queue.ts';

const SIGNATURE = 0xe9;
const DEFAULT_PORTS = [0xe9, 0x402] as const;

const STATE = struct({ queue: ['u8', 4096], queueHead: 'u16', queueCount: 'u16' });

export interface DebugConsoleOptions {
  readonly backend?: CharBackend;
  /** Default: 0xe9 and 0x402. */
  readonly portNumbers?: readonly number[];
  readonly stateBuffer?: ArrayBufferLike;
}

export class DebugConsole implements Device {
  readonly name = 'debug-console';
  readonly ports: readonly IoRange[];
  readonly #backend: CharBackend | undefined;
  readonly #state: DeviceState<(typeof STATE)['spec']>;
  readonly #waiting: ByteQueue;

  constructor(options: DebugConsoleOptions) {
    this.#backend = options.backend;
    this.#state = new DeviceState(STATE, options.stateBuffer);
    this.#waiting = new ByteQueue(this.#state.view);
    this.ports = (options.portNumbers ?? DEFAULT_PORTS).map((start) => ({
      start,
      byteCount: 1,
      widestBytes: 1,
      read: () => SIGNATURE,
      write: (_offset, _bytes, value) => {
        this.#waiting.push(value);
        this.#flush();
      },
    }));
    if (this.#backend !== undefined) this.#backend.onDrain = () => this.#flush();
  }

  #flush(): void {
    while (this.#waiting.count > 0 && this.#backend?.write(this.#waiting.peek()) !== false) this.#waiting.shift();
  }

  reset(): void {
    this.#flush();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
    this.#flush();
  }

  [Symbol.dispose](): void {
    if (this.#backend !== undefined) this.#backend.onDrain = undefined;
  }
}

export const debugConsole = declareDevice({
  name: 'isa-debugcon',
  bus: 'ISA',
  summary: 'Debug console with nothing attached; every board has one at 0xe9 and 0x402',
  properties: { iobase: { kind: 'number', summary: 'I/O port', default: 0xe9, minimum: 0, maximum: 0xffff } },
  create: (_context, { iobase }) => new DebugConsole({ portNumbers: [iobase] }),
});
