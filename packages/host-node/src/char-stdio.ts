// The terminal (or the pipes) this program was started with, as a serial port's other end. A terminal is in raw mode from `open` to `close`, and is given
// back also when the process exits in another way. Ctrl-A is the escape key on a terminal: the key after it goes to `onEscape`, Ctrl-A A sends Ctrl-A.

import type { CharBackend } from '@anillo/devices/device';
import { ChunkQueue } from '@anillo/base/chunk-queue';

/** What is used of process.stdin. */
export interface InputStream {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
  on(event: 'data', listener: (chunk: Buffer) => void): unknown;
  on(event: 'error' | 'end', listener: () => void): unknown;
  off(event: 'data', listener: (chunk: Buffer) => void): unknown;
  pause(): unknown;
  resume(): unknown;
  unref?(): unknown;
}

/** What is used of process.stdout. */
export interface OutputStream {
  write(bytes: Uint8Array, done?: () => void): boolean;
  on(event: 'error' | 'drain' | 'resize', listener: () => void): unknown;
  /** Of a terminal. */
  readonly columns?: number;
  readonly rows?: number;
}

export interface CharStdioOptions {
  readonly input?: InputStream;
  readonly output?: OutputStream;
  /** Key pressed after Ctrl-A, in lower case ("x": quit, "h": help, "c": ...). */
  readonly onEscape?: (key: string) => void;
  /** Look for Ctrl-A; default: when the input is a terminal. */
  readonly escape?: boolean;
  /** The input has ended (a pipe's end, Ctrl-D never). */
  readonly onEnd?: () => void;
}

const CTRL_A = 0x01;
/** Input kept for a guest that does not read. */
const INPUT_HIGH_BYTES = 64 * 1024;
const CHUNK_BYTES = 16 * 1024;

export class CharStdio implements CharBackend {
  onDrain: (() => void) | undefined;
  onInput: (() => void) | undefined;
  onResize: (() => void) | undefined;
  readonly #input: InputStream;
  readonly #output: OutputStream;
  readonly #options: CharStdioOptions;
  readonly #escape: boolean;
  readonly #queue = new ChunkQueue();
  readonly #leave = (): void => {
    this.#send();
    this.#setRaw(false);
  };
  readonly #onData = (chunk: Buffer): void => this.#receive(chunk);
  #chunk = new Uint8Array(CHUNK_BYTES);
  #filled = 0;
  #flushScheduled = false;
  #outputFull = false;
  #outputBroken = false;
  #inputPaused = false;
  #escaped = false;
  #open = false;

  constructor(options: CharStdioOptions = {}) {
    this.#options = options;
    this.#input = options.input ?? process.stdin;
    this.#output = options.output ?? process.stdout;
    this.#escape = options.escape ?? this.#input.isTTY === true;
    // A reader that went away (EPIPE) is no reason to end the guest.
    this.#output.on('error', () => {
      this.#outputBroken = true;
      this.#outputFull = false;
      this.onDrain?.();
    });
    this.#output.on('drain', () => {
      this.#outputFull = false;
      this.onDrain?.();
    });
    this.#output.on('resize', () => this.onResize?.());
    this.#input.on('error', () => options.onEnd?.());
    this.#input.on('end', () => options.onEnd?.());
  }

  /** Starts to read, with the terminal in raw mode. */
  open(): void {
    if (this.#open) return;
    this.#open = true;
    this.#setRaw(true);
    process.on('exit', this.#leave);
    this.#input.on('data', this.#onData);
    this.#input.resume();
  }

  /** Gives the terminal back; resolves when all output has left. */
  async close(): Promise<void> {
    if (this.#open) {
      this.#open = false;
      this.#input.off('data', this.#onData);
      this.#input.pause();
      this.#input.unref?.();
      process.off('exit', this.#leave);
    }
    await this.flush();
    this.#setRaw(false);
  }

  #setRaw(raw: boolean): void {
    if (this.#input.isTTY === true) this.#input.setRawMode?.(raw);
  }

  /** Undefined where the output is no terminal. */
  get size(): { readonly columns: number; readonly rows: number } | undefined {
    const { columns, rows } = this.#output;
    return columns === undefined || rows === undefined ? undefined : { columns, rows };
  }

  get available(): number {
    return this.#queue.available;
  }

  read(): number {
    const byte = this.#queue.read();
    if (this.#inputPaused && this.#queue.available < INPUT_HIGH_BYTES / 2) {
      this.#inputPaused = false;
      if (this.#open) this.#input.resume();
    }
    return byte;
  }

  #receive(chunk: Buffer): void {
    const before = this.#queue.available;
    this.#queue.push(this.#escape ? this.#withoutEscapes(chunk) : Uint8Array.from(chunk));
    if (this.#queue.available >= INPUT_HIGH_BYTES) {
      this.#inputPaused = true;
      this.#input.pause();
    }
    if (this.#queue.available > before) this.onInput?.();
  }

  #withoutEscapes(chunk: Uint8Array): Uint8Array {
    const kept: number[] = [];
    for (const byte of chunk) {
      if (!this.#escaped) {
        if (byte === CTRL_A) this.#escaped = true;
        else kept.push(byte);
        continue;
      }
      this.#escaped = false;
      const key = String.fromCharCode(byte).toLowerCase();
      if (key === 'a' || byte === CTRL_A) kept.push(CTRL_A);
      else this.#options.onEscape?.(key);
    }
    return Uint8Array.from(kept);
  }

  write(byte: number): boolean {
    if (this.#outputBroken) return true;
    if (this.#outputFull && this.#filled === CHUNK_BYTES) return false;
    this.#chunk[this.#filled++] = byte;
    if (this.#filled === CHUNK_BYTES && !this.#outputFull) this.#send();
    else if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      setImmediate(() => {
        this.#flushScheduled = false;
        this.#send();
      });
    }
    return true;
  }

  #send(done?: () => void): void {
    const bytes = this.#chunk.slice(0, this.#filled);
    this.#filled = 0;
    if (this.#outputBroken) done?.();
    else if (bytes.length > 0 || done !== undefined) this.#outputFull = !this.#output.write(bytes, done);
  }

  /** Resolves when everything written so far has left. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.#send(() => resolve());
    });
  }
}
