// A cache folder for the tests of one file, gone after them.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

/** Sets XDG_CACHE_HOME until the file's tests are over. */
export function ownCacheHome(): string {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-cache-'));
  const home = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = folder;
  after(() => {
    if (home === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = home;
    rmSync(folder, { recursive: true });
  });
  return folder;
}
