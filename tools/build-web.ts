// Bundles the page and its worker for browsers, with esbuild. A `node:` import anywhere in what the library needs there ends it with an error that names the
// importer: what is Node's belongs into packages/runtime/src/node-host.ts.

import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

export async function buildWeb(root: string, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  await build({
    ...{ absWorkingDir: root, entryPoints: ['apps/web/src/page.ts', 'apps/web/src/machine-worker.ts'], outdir: folder },
    ...{ bundle: true, platform: 'browser', format: 'esm', target: 'es2024' },
    ...{ sourcemap: 'linked', logLevel: 'warning' },
  });
  copyFileSync(join(root, 'apps/web/src/index.html'), join(folder, 'index.html'));
}
