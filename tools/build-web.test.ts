import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { buildWeb } from './build-web.ts';

const folder = mkdtempSync(join(tmpdir(), 'anillo-build-web-'));
after(() => rmSync(folder, { recursive: true }));

test('all that a machine in a browser needs goes without Node', async () => {
  await buildWeb(resolve(import.meta.dirname, '..'), folder);
  const worker = readFileSync(join(folder, 'machine-worker.js'), 'utf8');
  assert.match(worker, /WebAssembly\.Module/);
  assert.doesNotMatch(worker, /["']node:|\brequire\(|import\.meta\.resolve/);
  assert.match(readFileSync(join(folder, 'index.html'), 'utf8'), /src="page\.js"/);
});
