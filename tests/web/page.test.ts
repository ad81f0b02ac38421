// The page in Chromium: the default guest boots in its worker, takes what is typed, and powers off.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { type Browser, findChromium, NO_CHROMIUM, startChromium } from '../../tools/chromium.ts';
import { serveWeb } from '../../tools/serve-web.ts';
import type { WebServer } from '../../tools/web-server.ts';

const TIMEOUT_MS = 400_000;

describe('the page', { timeout: TIMEOUT_MS }, () => {
  let missing: string | undefined;
  let server: WebServer | undefined;
  let browser: Browser | undefined;
  const failures: string[] = [];

  before(async () => {
    const program = findChromium();
    if (program === undefined) {
      missing = NO_CHROMIUM;
      return;
    }
    try {
      server = await serveWeb({ port: 0 });
    } catch (error) {
      if (!(error instanceof AnilloError)) throw error;
      missing = error.message.split('\n', 1)[0];
      return;
    }
    browser = await startChromium(program);
    browser.page.on('pageerror', (error) => failures.push(error.message));
    browser.page.setDefaultTimeout(TIMEOUT_MS);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test('boots the default guest to a shell in a worker, takes keys, and sees it power off', async (t) => {
    if (missing !== undefined || browser === undefined || server === undefined) return t.skip(missing);
    const { page } = browser;
    const printed = (text: string): Promise<void> => page.locator('#console', { hasText: text }).waitFor();
    const status = async (): Promise<string> => (await page.locator('#status').textContent()) ?? '';
    await page.goto(server.url);
    await printed('root@anillo');
    assert.equal(await page.evaluate('crossOriginIsolated'), true);
    assert.match(await status(), /^Linux \d/);
    await page.locator('#console').focus();
    // The line editor has to move its cursor for what is forgotten and put in.
    await page.keyboard.type('echo ansr=$((6*7)');
    await page.keyboard.press('ArrowLeft');
    for (let i = 0; i < '=$((6*7'.length; i++) await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.type('we');
    await page.keyboard.press('End');
    await page.keyboard.type(')');
    await page.keyboard.press('Enter');
    await printed('answer=42');
    await page.keyboard.type('poweroff -f\n');
    await page.locator('body[data-state=ended]').waitFor();
    assert.match(await status(), /powered the machine off/);
    assert.deepEqual(failures, []);
  });

  test('tells what is wrong with the address', async (t) => {
    if (missing !== undefined || browser === undefined || server === undefined) return t.skip(missing);
    const { page } = browser;
    const status = async (): Promise<string> => (await page.locator('#status').textContent()) ?? '';
    await page.goto(`${server.url}?kernel=nothing-there`);
    await page.locator('body[data-state=failed]').waitFor();
    assert.match(await status(), /^The kernel \S+\/nothing-there cannot be fetched \(.*404.*\); check the address\.$/);
    await page.goto(`${server.url}?memory=plenty`);
    await page.locator('body[data-state=failed]').waitFor();
    assert.match(await status(), /"plenty"/);
  });
});
