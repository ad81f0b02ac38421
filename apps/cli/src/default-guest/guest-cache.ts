// Fetched guests on disk: <cache>/guests/<flavour>/<version>/{kernel,busybox,applets,SHA256SUMS}. A folder appears whole, by a rename;
// what it holds is checked against SHA256SUMS at each use, and a damaged one is put aside.

import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

export interface CachedGuest {
  readonly version: string;
  readonly folder: string;
  readonly busybox: Uint8Array;
  readonly applets: readonly string[];
}

export interface GuestParts {
  readonly kernel: Uint8Array;
  readonly busybox: Uint8Array;
  readonly applets: readonly string[];
}

const SUMS = 'SHA256SUMS';
const PARTS = ['kernel', 'busybox', 'applets'] as const;
const WORK_PREFIX = '.work-';
const STALE_WORK_MS = 3_600_000;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The XDG base directory specification ignores a relative XDG_CACHE_HOME. */
export function cacheFolder(): string {
  const home = process.env.XDG_CACHE_HOME;
  return join(home !== undefined && isAbsolute(home) ? home : join(homedir(), '.cache'), 'anillo');
}

export class GuestCache {
  readonly folder: string;

  constructor(flavour: string, root: string = cacheFolder()) {
    this.folder = join(root, 'guests', flavour);
  }

  /** The newest undamaged guest; `damaged` counts those put aside on the way. */
  find(): { readonly guest: CachedGuest | undefined; readonly damaged: number } {
    let damaged = 0;
    for (const version of this.#versions()) {
      const guest = this.#verified(version);
      if (guest !== undefined) return { guest, damaged };
      damaged++;
      rmSync(join(this.folder, version), { recursive: true, force: true });
    }
    return { guest: undefined, damaged };
  }

  #versions(): readonly string[] {
    try {
      return readdirSync(this.folder)
        .filter((name) => !name.startsWith('.'))
        .map((name) => ({ name, time: statSync(join(this.folder, name)).mtimeMs }))
        .sort((a, b) => b.time - a.time)
        .map(({ name }) => name);
    } catch {
      return [];
    }
  }

  #verified(version: string): CachedGuest | undefined {
    const folder = join(this.folder, version);
    try {
      const sums = readFileSync(join(folder, SUMS), 'utf8');
      const parts = PARTS.map((name) => readFileSync(join(folder, name)));
      if (!PARTS.every((name, index) => sums.includes(`${sha256(parts[index])}  ${name}\n`))) return undefined;
      return { version, folder, busybox: parts[1], applets: parts[2].toString('utf8').split('\n').filter(Boolean) };
    } catch {
      return undefined;
    }
  }

  /** A folder for a fetch in progress, on the same file system; left-overs of fetches that were cut off are removed. */
  createWorkFolder(): string {
    mkdirSync(this.folder, { recursive: true });
    for (const name of readdirSync(this.folder)) {
      const path = join(this.folder, name);
      if (name.startsWith(WORK_PREFIX) && Date.now() - statSync(path).mtimeMs > STALE_WORK_MS)
        rmSync(path, { recursive: true, force: true });
    }
    return mkdtempSync(join(this.folder, WORK_PREFIX));
  }

  store(version: string, parts: GuestParts, workFolder: string): CachedGuest {
    const staging = join(workFolder, 'guest');
    const target = join(this.folder, version);
    mkdirSync(staging);
    const contents = {
      kernel: parts.kernel,
      busybox: parts.busybox,
      applets: Buffer.from(parts.applets.map((line) => `${line}\n`).join('')),
    };
    let sums = '';
    for (const name of PARTS) {
      writeFileSync(join(staging, name), contents[name], { flush: true });
      sums += `${sha256(contents[name])}  ${name}\n`;
    }
    writeFileSync(join(staging, SUMS), sums, { flush: true });
    try {
      renameSync(staging, target);
    } catch (error) {
      // Another process was first; what it stored is as good.
      if (this.#verified(version) === undefined) throw error;
    }
    return { version, folder: target, busybox: parts.busybox, applets: parts.applets };
  }
}
