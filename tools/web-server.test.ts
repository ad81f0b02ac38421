import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startWebServer } from './web-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'anillo-web-server-'));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'index.html'), '<p>hello');

/** `fetch` would tidy the path. */
const statusOf = (url: string, path: string): Promise<number> =>
  new Promise((done, fail) => {
    const { hostname, port } = new URL(url);
    request({ hostname, port, path }, (response) => {
      response.resume();
      done(response.statusCode ?? 0);
    })
      .on('error', fail)
      .end();
  });

test('serves its folder and named files to an isolated page, and nothing else', async () => {
  const server = await startWebServer({ folder, files: { '/guest/kernel': new Uint8Array([1, 2, 3]) }, port: 0 });
  try {
    const page = await fetch(server.url);
    assert.equal(await page.text(), '<p>hello');
    assert.equal(page.headers.get('content-type'), 'text/html; charset=utf-8');
    assert.equal(page.headers.get('cross-origin-opener-policy'), 'same-origin');
    assert.equal(page.headers.get('cross-origin-embedder-policy'), 'require-corp');
    assert.deepEqual(new Uint8Array(await (await fetch(`${server.url}guest/kernel`)).arrayBuffer()), new Uint8Array([1, 2, 3]));
    assert.equal((await fetch(`${server.url}none`)).status, 404);
    assert.equal((await fetch(server.url, { method: 'POST' })).status, 405);
    for (const path of ['/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/..%2f..%2fetc/passwd', '/%00', '//etc/passwd', '//['])
      assert.ok([400, 404].includes(await statusOf(server.url, path)), path);
  } finally {
    await server.close();
  }
});
