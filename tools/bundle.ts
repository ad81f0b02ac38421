// Bundles the command, sources to one script, with esbuild.

import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { SCRIPT } from './start-image.ts';

/** In the bundle a module's place is the bundle's: RuntimeStore goes by the time of change of what stands there. */
const RESOLVE = 'bundledModule';
const BANNER = `const ${RESOLVE} = () => require('node:url').pathToFileURL(__filename).href;`;

/** Writes the script and its source map into a folder; tells the absolute paths of what it was made from. */
export async function bundleCommand(root: string, folder: string): Promise<readonly string[]> {
  const { metafile } = await build({
    ...{ absWorkingDir: root, entryPoints: ['apps/cli/src/built.ts'], outfile: join(folder, SCRIPT) },
    ...{ bundle: true, platform: 'node', format: 'cjs', target: 'node26' },
    ...{ sourcemap: 'external', sourcesContent: false, metafile: true, logLevel: 'silent' },
    ...{ define: { 'import.meta.resolve': RESOLVE }, banner: { js: BANNER } },
  });
  return Object.keys(metafile.inputs).map((path) => resolve(root, path));
}
