// A browser as the library's host: a page or, better, a worker. Its JavaScript engine takes no options (docs/adr/0015-seeing-it.md).

import { createEventLoop } from '@anillo/host-web/event-loop';
import { fetchFile } from '@anillo/host-web/fetch-file';
import { fillRandom } from '@anillo/host-web/fill-random';
import { hostNowNs, hostWallMs } from '@anillo/host-web/host-clock';
import type { RuntimeHost } from './runtime-host.ts';

export const host: RuntimeHost = {
  nowNs: hostNowNs,
  wallMs: hostWallMs,
  createEventLoop,
  readFile: fetchFile,
  rereader: () => undefined,
  fillRandom,
  openRuntimeSource: () => undefined,
  openTranslations: () => undefined,
  fingerprint: () => '',
  tuneEngine: () => {},
};
