// A capture file (pcapng) that grows as frames pass. They are collected and written some times a second, so a process that is killed loses the last moment at most.

import { closeSync, openSync, writeSync } from 'node:fs';
import { AnilloError } from '@anillo/base/anillo-error';
import type { FrameTap } from '@anillo/net/frame-tap';
import { PcapFile } from '@anillo/net/pcap-file';

const BUFFER_BYTES = 256 * 1024;
const WRITE_AFTER_MS = 100;
const NS_PER_MS = 1_000_000n;

export class CaptureFile {
  readonly #path: string;
  readonly #fd: number;
  readonly #onError: (sentence: string) => void;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  readonly #pcap: PcapFile;
  #filled = 0;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  /** `onError`: the file cannot be written to any more, and holds what came before. AnilloError FILE where there can be none. */
  constructor(path: string, onError: (sentence: string) => void) {
    this.#path = path;
    this.#onError = onError;
    try {
      this.#fd = openSync(path, 'w');
    } catch (cause) {
      throw new AnilloError('FILE', `The capture ${path} cannot be made (${(cause as NodeJS.ErrnoException).code}); name another file.`, {
        cause,
      });
    }
    const startNs = BigInt(Date.now()) * NS_PER_MS - process.hrtime.bigint();
    this.#pcap = new PcapFile({ write: (bytes) => this.#add(bytes), nowNs: () => startNs + process.hrtime.bigint() });
    this.#write();
  }

  addInterface(name: string): FrameTap {
    return this.#pcap.addInterface(name);
  }

  close(): void {
    if (this.#isOver) return;
    this.#write();
    this.#end();
  }

  #add(bytes: Uint8Array): void {
    if (this.#isOver) return;
    if (this.#filled + bytes.length > BUFFER_BYTES) this.#write();
    this.#buffer.set(bytes, this.#filled);
    this.#filled += bytes.length;
    this.#timer ??= setTimeout(() => this.#write(), WRITE_AFTER_MS).unref();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      for (let at = 0; at < this.#filled; ) at += writeSync(this.#fd, this.#buffer, at, this.#filled - at);
    } catch (cause) {
      this.#end();
      this.#onError(`The capture ${this.#path} ends here, for it cannot be written to (${(cause as NodeJS.ErrnoException).code}).`);
    }
    this.#filled = 0;
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    closeSync(this.#fd);
  }
}
