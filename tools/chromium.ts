// Chromium without a window, for tests and measurements: the host's own (Debian's package `chromium`), driven by playwright-core.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';

const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** No sandbox: it needs name spaces that containers do not give. Nothing is fetched but the page. */
const FLAGS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
];

export const NO_CHROMIUM = "There is no Chromium on this machine; install Debian's package chromium, or name the program in $CHROMIUM.";

/** Undefined: none is installed. */
export function findChromium(): string | undefined {
  const { CHROMIUM } = process.env;
  return [...(CHROMIUM === undefined ? [] : [CHROMIUM]), ...PROGRAMS].find((path) => existsSync(path));
}

export interface Browser {
  readonly version: string;
  readonly page: Page;
  /** Process ids of what runs pages, with their workers. */
  renderers(): Promise<readonly number[]>;
  close(): Promise<void>;
}

/** With a profile of its own, which goes with it. */
export async function startChromium(program: string): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'anillo-chromium-'));
  const context = await chromium.launchPersistentContext(profile, { executablePath: program, args: FLAGS, headless: true });
  const page = context.pages()[0] ?? (await context.newPage());
  return {
    version: context.browser()?.version() ?? '',
    page,
    async renderers() {
      const session = await context.browser()?.newBrowserCDPSession();
      const { processInfo } = (await session?.send('SystemInfo.getProcessInfo')) ?? { processInfo: [] };
      await session?.detach();
      return processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
    },
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
