// Fetched guests on disk: <cache>/guests/<flavour>/<version>/{kernel,busybox,applets,modules,SHA256SUMS}. A folder appears whole, by a rename;
// what it holds is checked against SHA256SUMS, and a damaged one is put aside. CHECKED keeps how the files looked when they were right: while they look
// the same (no tool can set back the time of the last change), the sums need not be computed again.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

export interface CachedGuest {
  readonly version: string;
  readonly folder: string;
  readonly busybox: Uint8Array;
  readonly applets: readonly string[];
  /** An archive of drivers; undefined where an earlier version fetched the guest. */
  readonly modulesPath: string | undefined;
}

export interface GuestParts {
  readonly kernel: Uint8Array;
  readonly busybox: Uint8Array;
  readonly applets: readonly string[];
  /** A cpio archive, or empty. */
  readonly modules: Uint8Array;
}

const SUMS = 'SHA256SUMS';
const CHECKED = 'CHECKED';
const PARTS = ['kernel', 'busybox', 'applets'] as const;
const MODULES = 'modules' as const;
const WORK_PREFIX = '.work-';
const STALE_WORK_MS = 3_600_000;
/** Files changed within a tick of the file system's clock look the same. */
const SETTLED_MS = 2000;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The XDG base directory specification ignores a relative XDG_CACHE_HOME. */
export function cacheFolder(): string {
  const home = process.env.XDG_CACHE_HOME;
  return join(home !== undefined && isAbsolute(home) ? home : join(homedir(), '.cache'), 'anillo');
}

const partsIn = (folder: string): readonly string[] => (existsSync(join(folder, MODULES)) ? [...PARTS, MODULES] : PARTS);

/** Undefined while a change could go unnoticed. */
function looks(folder: string): string | undefined {
  const stats = [SUMS, ...partsIn(folder)].map((name) => statSync(join(folder, name)));
  if (stats.some((stat) => Date.now() - stat.ctimeMs < SETTLED_MS)) return undefined;
  return stats.map(({ ino, size, mtimeMs, ctimeMs }) => `${ino} ${size} ${mtimeMs} ${ctimeMs}\n`).join('');
}

function wasChecked(folder: string, look: string | undefined): boolean {
  try {
    return readFileSync(join(folder, CHECKED), 'utf8') === look;
  } catch {
    return false;
  }
}

function noteChecked(folder: string, look: string | undefined): void {
  if (look === undefined) return;
  const path = join(folder, CHECKED);
  try {
    writeFileSync(`${path}.${process.pid}`, look);
    renameSync(`${path}.${process.pid}`, path);
  } catch {
    // A cache of another user's: checked in full each time.
  }
}

function sumsAreRight(folder: string): boolean {
  const sums = readFileSync(join(folder, SUMS), 'utf8');
  return partsIn(folder).every((name) => sums.includes(`${sha256(readFileSync(join(folder, name)))}  ${name}\n`));
}

function modulesIn(folder: string): string | undefined {
  const path = join(folder, MODULES);
  return existsSync(path) ? path : undefined;
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
      const look = looks(folder);
      if (!wasChecked(folder, look)) {
        if (!sumsAreRight(folder)) return undefined;
        noteChecked(folder, look);
      }
      const applets = readFileSync(join(folder, 'applets'), 'utf8').split('\n').filter(Boolean);
      return { version, folder, busybox: readFileSync(join(folder, 'busybox')), applets, modulesPath: modulesIn(folder) };
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
      [MODULES]: parts.modules,
    };
    let sums = '';
    for (const name of [...PARTS, MODULES] as const) {
      writeFileSync(join(staging, name), contents[name], { flush: true });
      sums += `${sha256(contents[name])}  ${name}\n`;
    }
    writeFileSync(join(staging, SUMS), sums, { flush: true });
    // One without drivers, of an earlier version.
    if (modulesIn(target) === undefined) rmSync(target, { recursive: true, force: true });
    try {
      renameSync(staging, target);
    } catch (error) {
      // Another process was first; what it stored is as good.
      if (this.#verified(version) === undefined) throw error;
    }
    return { version, folder: target, busybox: parts.busybox, applets: parts.applets, modulesPath: modulesIn(target) };
  }
}
