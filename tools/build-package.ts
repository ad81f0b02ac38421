// `npm run build`: what is published to npm, in build/package. One package `anillo`: the library as one module with its types, the commands as one script,
// which makes its start-up snapshot when it is first started. Node 26 comes as the dependency that it is here.

import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve } from 'node:path';
import { build } from 'esbuild';
import { bundleCommand } from './bundle.ts';

const ROOT = resolve(import.meta.dirname, '..');
const OUT = join(ROOT, 'build/package');
const TYPES = join(ROOT, 'build/types');
const COPIED = ['README.md', 'LICENSE', 'CHANGELOG.md', 'apps/cli/bin'];
const COMMON = { bundle: true, platform: 'node', target: 'node26', logLevel: 'warning', absWorkingDir: ROOT } as const;

interface Manifest {
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

const manifestOf = (folder: string): Manifest => JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));

function writeManifest(): void {
  const { description, optionalDependencies } = manifestOf('.');
  const { version, license } = manifestOf('packages/runtime');
  const manifest = {
    ...{ name: 'anillo', version, description, license, type: 'module' },
    bin: { anillo: 'apps/cli/bin/anillo', 'anillo-qemu': 'apps/cli/bin/anillo-qemu' },
    exports: { '.': { types: './lib/runtime/src/machine.d.ts', default: './lib/machine.js' } },
    engines: { node: '>=26' },
    optionalDependencies: Object.fromEntries(Object.entries(optionalDependencies).filter(([name]) => name.startsWith('node-'))),
  };
  writeFileSync(join(OUT, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

/** In one file a module's place is the file's; the threads' scripts stand beside it. */
async function bundleLibrary(): Promise<void> {
  const scripts = { 'anillo/processor-thread': 'processor-thread.js' };
  const place = `new URL(${JSON.stringify(scripts)}[name] ?? 'machine.js', import.meta.url).href`;
  await build({
    ...COMMON,
    ...{
      entryPoints: ['machine', 'processor-thread'].map((name) => `packages/runtime/src/${name}.ts`),
      outdir: join(OUT, 'lib'),
      format: 'esm',
    },
    ...{ sourcemap: 'linked', sourcesContent: false, define: { 'import.meta.resolve': 'bundledModule' } },
    banner: { js: `const bundledModule = (name) => ${place};` },
  });
}

/** The declarations that `tsc -b` made, with paths instead of the workspace's package names. */
function copyTypes(): void {
  for (const path of globSync('*/src/**/*.d.ts', { cwd: TYPES })) {
    if (path.startsWith('tests') || path.startsWith('cli')) continue;
    const here = posix.dirname(path);
    const text = readFileSync(join(TYPES, path), 'utf8')
      .replaceAll(/(["'])@anillo\/([^/"']+)\/([^"']+)\1/g, (_all, quote, name, door) => {
        const target = posix.relative(here, `${name}/src/${door}.js`);
        return `${quote}${target.startsWith('.') ? target : `./${target}`}${quote}`;
      })
      .replaceAll(/((?:from |import\()["']\.[^"']*)\.ts(["'])/g, '$1.js$2');
    mkdirSync(join(OUT, 'lib', here), { recursive: true });
    writeFileSync(join(OUT, 'lib', path), text);
  }
}

rmSync(OUT, { recursive: true, force: true });
for (const path of COPIED) cpSync(join(ROOT, path), join(OUT, path), { recursive: true });
const start = join(OUT, 'build/start');
mkdirSync(start, { recursive: true });
await bundleCommand(ROOT, start);
await build({ ...COMMON, entryPoints: ['tools/rebuild-start.ts'], outfile: join(start, 'rebuild.cjs'), format: 'cjs' });
await bundleLibrary();
copyTypes();
writeManifest();
process.stdout.write(`${relative(process.cwd(), OUT) || dirname(OUT)}\n`);
