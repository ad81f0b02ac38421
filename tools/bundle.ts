// Bundles the command, sources to one script, with esbuild.

import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { SCRIPT, THREAD_SCRIPTS } from './start-image.ts';

/**
 * In the bundle a module's place is the bundle's: RuntimeStore goes by the time of change of what stands there. The threads' scripts stand beside it.
 * In a start-up snapshot `__filename` is where the script stood when the snapshot was made.
 */
const RESOLVE = 'bundledModule';
const BANNER = `const ${RESOLVE} = (name) =>
  new URL(${JSON.stringify(THREAD_SCRIPTS)}[name] ?? '${SCRIPT}', require('node:url').pathToFileURL(process.argv[1])).href;`;

/** Writes the script and its source map into a folder; tells the absolute paths of what it was made from. */
export async function bundleCommand(root: string, folder: string): Promise<readonly string[]> {
  const bundle = async (entry: string, script: string): Promise<readonly string[]> => {
    const { metafile } = await build({
      ...{ absWorkingDir: root, entryPoints: [entry], outfile: join(folder, script) },
      ...{ bundle: true, platform: 'node', format: 'cjs', target: 'node26' },
      ...{ sourcemap: 'external', sourcesContent: false, metafile: true, logLevel: 'silent' },
      ...{ define: { 'import.meta.resolve': RESOLVE }, banner: { js: BANNER } },
    });
    return Object.keys(metafile.inputs).map((path) => resolve(root, path));
  };
  const threads = Object.entries(THREAD_SCRIPTS).map(([name, script]) =>
    bundle(`packages/runtime/src/${name.slice('anillo/'.length)}.ts`, script),
  );
  const made = await Promise.all([bundle('apps/cli/src/built.ts', SCRIPT), ...threads]);
  return [...new Set(made.flat())];
}
