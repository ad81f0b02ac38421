import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fetchGuest } from './fetch-guest.ts';

test('a host without apt is told what to pass instead, and nothing is left behind', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-noapt-'));
  const { PATH, XDG_CACHE_HOME } = process.env;
  t.after(() => {
    process.env.PATH = PATH;
    if (XDG_CACHE_HOME === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = XDG_CACHE_HOME;
    rmSync(folder, { recursive: true });
  });
  process.env.PATH = folder;
  process.env.XDG_CACHE_HOME = folder;
  await assert.rejects(
    fetchGuest(),
    (error: Error) => error.message.split('\n').length === 2 && /anillo run --kernel FILE/.test(error.message),
  );
});
