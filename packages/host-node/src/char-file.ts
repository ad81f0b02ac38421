// A serial port's output written to a file; there is no input. The guest is never held up by an error of the file: the first one is reported and
// what follows is dropped.

import { closeSync, openSync, writeSync } from 'node:fs';
import { AnilloError } from '@anillo/base/anillo-error';
import type { CharBackend } from '@anillo/devices/device';
import { fileErrorReason } from './file.ts';

export interface CharFileOptions {
  /** The file cannot be written any more (AnilloError FILE). Called once. */
  readonly onError?: (error: AnilloError) => void;
}

const CHUNK_BYTES = 64 * 1024;
const FLUSH_AFTER_MS = 50;

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'cannot be written further: the disk is full; make room or choose another disk',
  EDQUOT: 'cannot be written further: the disk quota is used up; make room or choose another disk',
  EFBIG: 'cannot be written further: it has reached the largest size allowed; raise ulimit -f',
  EROFS: 'cannot be written: the file system is read-only; choose another place',
  ENOENT: 'cannot be created: its directory does not exist; create it first',
  EACCES: 'cannot be written by this user; choose another place',
  EPERM: 'cannot be written by this user; choose another place',
};

function fail(path: string, error: unknown): AnilloError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return new AnilloError('FILE', `The serial port's file ${path} ${REASONS[code] ?? fileErrorReason(error)}.`, { cause: error });
}

export class CharFile implements CharBackend {
  onDrain: (() => void) | undefined;
  onInput: (() => void) | undefined;
  readonly available = 0;
  readonly #path: string;
  readonly #options: CharFileOptions;
  readonly #chunk = new Uint8Array(CHUNK_BYTES);
  #filled = 0;
  #descriptor: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Creates or empties the file. AnilloError FILE if that fails. */
  constructor(path: string, options: CharFileOptions = {}) {
    this.#path = path;
    this.#options = options;
    try {
      this.#descriptor = openSync(path, 'w');
    } catch (error) {
      throw fail(path, error);
    }
  }

  read(): number {
    return -1;
  }

  write(byte: number): boolean {
    if (this.#descriptor === undefined) return true;
    this.#chunk[this.#filled++] = byte;
    if (this.#filled === CHUNK_BYTES) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_AFTER_MS).unref();
    return true;
  }

  /** Writes what has gathered. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const descriptor = this.#descriptor;
    if (descriptor === undefined) return;
    try {
      let at = 0;
      while (at < this.#filled) at += writeSync(descriptor, this.#chunk, at, this.#filled - at);
    } catch (error) {
      this.#descriptor = undefined;
      closeSync(descriptor);
      this.#options.onError?.(fail(this.#path, error));
    }
    this.#filled = 0;
  }

  /** Writes the rest and closes. */
  close(): void {
    this.flush();
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
