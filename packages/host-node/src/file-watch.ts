// What others do to an image's file while it is in use, locks or not: they delete it, cut it, or write to one that is only read here. A guest that is told that all is
// well loses what it writes, or reads a mixture of two images.

import fs from 'node:fs';
import { AnilloError } from '@anillo/base/anillo-error';

/** How long a look at the file is good. */
const LOOK_LASTS_MS = 1;

export class FileWatch {
  readonly #fd: number;
  readonly #name: string;
  readonly #opened: fs.Stats;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #change: AnilloError | undefined;

  /** `opened`: as the file was then. */
  constructor(fd: number, name: string, opened: fs.Stats) {
    this.#fd = fd;
    this.#name = name;
    this.#opened = opened;
  }

  /** What keeps the file from holding what has been written to it; it had `byteCount` bytes at least. */
  loss(byteCount: number): AnilloError | undefined {
    const now = fs.fstatSync(this.#fd);
    if (now.size < byteCount) return cutShort(this.#name);
    if (now.nlink > 0 || this.#opened.nlink === 0) return undefined;
    const place = process.platform === 'linux' ? `copy /proc/${process.pid}/fd/${this.#fd}` : 'copy what it holds';
    return new AnilloError(
      'FILE',
      `The image ${this.#name} was deleted while it was in use; ${place} to a safe place before the machine ends.`,
    );
  }

  /** Whether somebody has written to a file that is only read. */
  change(): AnilloError | undefined {
    const nowMs = performance.now();
    if (nowMs - this.#lookedAtMs < LOOK_LASTS_MS) return this.#change;
    this.#lookedAtMs = nowMs;
    const now = fs.fstatSync(this.#fd);
    const { mtimeMs, size } = this.#opened;
    this.#change =
      now.mtimeMs === mtimeMs && now.size === size
        ? undefined
        : new AnilloError(
            'FILE',
            `The image ${this.#name} was changed while it was in use, so nothing that lies on it can be relied on; put it back with its time (cp -p).`,
          );
    return this.#change;
  }
}

export const cutShort = (name: string): AnilloError =>
  new AnilloError('FILE', `The image ${name} has become shorter while it was in use; restore it from a copy.`);
