// A serial port as code uses it: write to it, read it as a stream, wait for what a guest prints. The guest's end is `backend`.

import { AnilloError } from '@anillo/base/anillo-error';
import type { CharBackend } from '@anillo/devices/device';
import { ChunkQueue } from '@anillo/base/chunk-queue';

export interface WaitOptions {
  /** Default: 60,000. Infinity: as long as the machine runs. */
  readonly timeoutMs?: number;
}

interface Waiter {
  readonly wanted: string | RegExp;
  readonly found: (text: string) => void;
  readonly failed: (error: AnilloError) => void;
}

/** Text kept for `waitForOutput`. */
const KEPT_CHARS = 1024 * 1024;
/** Bytes that may wait in a reader before the guest is held up. */
const READER_BYTES = 1024 * 1024;
const DEFAULT_TIMEOUT_MS = 60_000;
const TAIL_CHARS = 200;

/** Reading side: the guest's output from the moment on at which the reader was made. */
class Reader {
  readonly stream: ReadableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(onRoom: () => void, onCancel: (reader: Reader) => void) {
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => onRoom(),
        cancel: () => onCancel(this),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: READER_BYTES }),
    );
  }

  get full(): boolean {
    return (this.#controller?.desiredSize ?? 1) <= 0;
  }

  push(bytes: Uint8Array): void {
    this.#controller?.enqueue(bytes);
  }

  end(): void {
    this.#controller?.close();
  }
}

export class SerialStream {
  /** The UART's side. */
  readonly backend: CharBackend;
  readonly #input = new ChunkQueue();
  readonly #readers = new Set<Reader>();
  readonly #waiters = new Set<Waiter>();
  readonly #decoder = new TextDecoder();
  #pending: number[] = [];
  #flushScheduled = false;
  /** Output that no `waitForOutput` has consumed. */
  #text = '';
  #ended: string | undefined;

  constructor() {
    const stream = this;
    this.backend = {
      onDrain: undefined,
      onInput: undefined,
      get available() {
        return stream.#input.available;
      },
      read: () => this.#input.read(),
      write: (byte) => this.#receive(byte),
    };
  }

  /** Sends to the guest; text as UTF-8. */
  write(data: string | Uint8Array): void {
    if (this.#ended !== undefined) throw new AnilloError('STATE', `Nothing can be written to the serial port: ${this.#ended}`);
    this.#input.push(typeof data === 'string' ? new TextEncoder().encode(data) : data.slice());
    this.backend.onInput?.();
  }

  /** A stream of the guest's output from now on. While it is not read, 1 MiB later, the guest waits; cancel it when it is no longer wanted. */
  get output(): ReadableStream<Uint8Array> {
    const reader = new Reader(
      () => this.backend.onDrain?.(),
      (r) => {
        this.#readers.delete(r);
        this.backend.onDrain?.();
      },
    );
    if (this.#ended === undefined) this.#readers.add(reader);
    else reader.end();
    return reader.stream;
  }

  /** The guest's output from now on, decoded. Leaving the loop cancels. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    const decoder = new TextDecoder();
    for await (const bytes of this.output) yield decoder.decode(bytes, { stream: true });
  }

  /**
   * Resolves with the guest's output up to the end of `wanted`, which it consumes: the next call looks behind it. Output since the start that nobody
   * waited for counts too (the last million characters of it). AnilloError STATE after the timeout, or when the machine stops first.
   */
  waitForOutput(wanted: string | RegExp, options: WaitOptions = {}): Promise<string> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const timer =
      timeoutMs === Number.POSITIVE_INFINITY
        ? undefined
        : setTimeout(() => waiter.failed(this.#failure(wanted, `within ${timeoutMs} ms`)), timeoutMs);
    const settle = (): void => {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    };
    const waiter: Waiter = {
      wanted,
      found: (text) => {
        settle();
        resolve(text);
      },
      failed: (error) => {
        settle();
        reject(error);
      },
    };
    this.#flush();
    this.#waiters.add(waiter);
    this.#look();
    if (this.#ended !== undefined && this.#waiters.has(waiter)) waiter.failed(this.#failure(wanted, `before it ended (${this.#ended})`));
    return promise;
  }

  /** The machine has stopped: streams end, who waits is told. */
  end(reason: string): void {
    if (this.#ended !== undefined) return;
    this.#flush();
    this.#ended = reason;
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
    for (const waiter of [...this.#waiters]) waiter.failed(this.#failure(waiter.wanted, `before it ended (${reason})`));
  }

  #failure(wanted: string | RegExp, when: string): AnilloError {
    const tail = this.#text.slice(-TAIL_CHARS);
    return new AnilloError(
      'STATE',
      `The guest did not print ${typeof wanted === 'string' ? JSON.stringify(wanted) : String(wanted)} ${when}; its last output is ${JSON.stringify(tail)}.`,
    );
  }

  #receive(byte: number): boolean {
    for (const reader of this.#readers) if (reader.full) return false;
    this.#pending.push(byte);
    if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      queueMicrotask(() => this.#flush());
    }
    return true;
  }

  /** Hands on what the guest wrote in one go. */
  #flush(): void {
    this.#flushScheduled = false;
    if (this.#pending.length === 0) return;
    const bytes = Uint8Array.from(this.#pending);
    this.#pending = [];
    for (const reader of this.#readers) reader.push(bytes.slice());
    this.#text += this.#decoder.decode(bytes, { stream: true });
    this.#look();
    if (this.#text.length > KEPT_CHARS) this.#text = this.#text.slice(-KEPT_CHARS);
  }

  #look(): void {
    for (const waiter of [...this.#waiters]) {
      const { wanted } = waiter;
      let end = -1;
      if (typeof wanted === 'string') {
        const at = this.#text.indexOf(wanted);
        if (at >= 0) end = at + wanted.length;
      } else {
        const match = new RegExp(wanted.source, wanted.flags.replace(/[gy]/g, '')).exec(this.#text);
        if (match !== null) end = match.index + match[0].length;
      }
      if (end < 0) continue;
      const text = this.#text.slice(0, end);
      this.#text = this.#text.slice(end);
      waiter.found(text);
    }
  }
}
