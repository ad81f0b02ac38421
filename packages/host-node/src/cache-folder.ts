// Files below the user's cache folder (XDG base directory specification) that may go at any time: each carries its own digest, so a damaged one is as good
// as none, appears whole by a rename, and is one of a limited number. Nothing here ever fails the caller.

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

const DIGEST_BYTES = 32;

const digest = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

export class CacheFolder {
  readonly #name: string;
  readonly #keptFiles: number;

  /** `keptFiles`: when there are more, those that have not been used for longest go. */
  constructor(name: string, keptFiles: number) {
    this.#name = name;
    this.#keptFiles = keptFiles;
  }

  /** A relative XDG_CACHE_HOME does not count. */
  #folder(): string {
    const { XDG_CACHE_HOME } = process.env;
    const home = XDG_CACHE_HOME !== undefined && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), '.cache');
    return join(home, 'anillo', this.#name);
  }

  read(name: string): Buffer | undefined {
    try {
      const path = join(this.#folder(), name);
      const file = readFileSync(path);
      const content = file.subarray(DIGEST_BYTES);
      if (!digest(content).equals(file.subarray(0, DIGEST_BYTES))) return undefined;
      const now = new Date();
      utimesSync(path, now, now);
      return content;
    } catch {
      return undefined;
    }
  }

  write(name: string, content: Uint8Array): void {
    try {
      const folder = this.#folder();
      const path = join(folder, name);
      mkdirSync(folder, { recursive: true });
      const temporary = `${path}.${process.pid}`;
      writeFileSync(temporary, Buffer.concat([digest(content), content]));
      renameSync(temporary, path);
      this.#removeOldest(folder);
    } catch {
      // A cache that cannot be written is a slower start, not an error.
    }
  }

  #removeOldest(folder: string): void {
    const paths = readdirSync(folder).map((name) => join(folder, name));
    const byAge = paths.map((path) => ({ path, timeMs: statSync(path).mtimeMs })).sort((a, b) => b.timeMs - a.timeMs);
    for (const { path } of byAge.slice(this.#keptFiles)) rmSync(path, { force: true });
  }
}
