// A pipe that has ended, for a guest that knows only a terminal: end-of-file is typed (Ctrl-D) again and again, as every read of a pipe at its end says so.

import type { CharBackend } from '@anillo/devices/device';

const CTRL_D = 0x04;
const REPEAT_MS = 1000;

export class ClosedInput implements CharBackend {
  onInput: (() => void) | undefined;
  readonly #inner: CharBackend;
  #timer: NodeJS.Timeout | undefined;
  #waiting = 0;

  constructor(inner: CharBackend) {
    this.#inner = inner;
    inner.onInput = () => this.onInput?.();
  }

  /** The input is at its end; what was read before it is delivered first. */
  end(): void {
    this.#timer ??= setInterval(() => this.#type(), REPEAT_MS).unref();
    this.#type();
  }

  dispose(): void {
    clearInterval(this.#timer);
  }

  #type(): void {
    this.#waiting = 1;
    this.onInput?.();
  }

  get onDrain(): (() => void) | undefined {
    return this.#inner.onDrain;
  }

  set onDrain(drained: (() => void) | undefined) {
    this.#inner.onDrain = drained;
  }

  get available(): number {
    return this.#inner.available + this.#waiting;
  }

  read(): number {
    if (this.#inner.available > 0) return this.#inner.read();
    if (this.#waiting === 0) return -1;
    this.#waiting = 0;
    return CTRL_D;
  }

  write(byte: number): boolean {
    return this.#inner.write(byte);
  }
}
