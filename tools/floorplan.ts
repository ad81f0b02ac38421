// Checks every import against the table of packages in ARCHITECTURE.md: ranks, allowed imports, `node:`, doors (`exports`), and that
// package.json and tsconfig.json of each package say the same as the table. Prints each breach; exit status 1 if there is one.

import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join, relative, resolve, sep } from 'node:path';
import { parseFloorplan, type Room } from './parse-floorplan.ts';

const ROOT = resolve(import.meta.dirname, '..');
const IMPORT = /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?\bfrom\s*'([^']+)'|(?:^|\n)\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g;

const breaches: string[] = [];
const rooms = parseFloorplan(readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8'));
const roomOfPackage = new Map(rooms.map((room) => [room.packageName, room]));

interface PackageManifest {
  readonly name: string;
  readonly exports?: Readonly<Record<string, string | null>>;
  /** `#name`: what stands for it, by the bundler's condition. */
  readonly imports?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const manifestOf = (room: Room): PackageManifest => JSON.parse(readFileSync(join(ROOT, room.folder, 'package.json'), 'utf8'));

/** Node's rule for `exports`: an exact key, else the longest pattern with one star. */
function isDoor(manifest: PackageManifest, door: string): boolean {
  const entries = manifest.exports ?? {};
  const patterns = Object.keys(entries)
    .filter((key) => key === door || (key.endsWith('*') && door.startsWith(key.slice(0, -1))))
    .sort((a, b) => b.length - a.length);
  return patterns.length > 0 && entries[patterns[0]] !== null;
}

function checkPackageImport(room: Room, file: string, specifier: string, isTest: boolean): void {
  const segments = specifier.split('/');
  const name = specifier.startsWith('@') ? segments.slice(0, 2).join('/') : segments[0];
  const target = roomOfPackage.get(name);
  if (target === undefined) {
    if (!room.libraries.includes(name) && !isTest)
      breaches.push(`${file}: imports '${specifier}', a library that the table does not grant`);
    return;
  }
  if (target === room && !isTest) breaches.push(`${file}: imports its own package as '${specifier}'; use a relative path`);
  else if (isTest ? target.rank > room.rank : !room.imports.includes(target.name))
    breaches.push(`${file}: ${room.name} (rank ${room.rank}) may not import '${specifier}' (rank ${target.rank})`);
  const door = ['.', ...segments.slice(name.startsWith('@') ? 2 : 1)].join('/');
  if (!isDoor(manifestOf(target), door)) breaches.push(`${file}: '${specifier}' is not among the exports of ${name}`);
}

function checkFile(room: Room, path: string): void {
  const file = relative(ROOT, path);
  const isTest = path.endsWith('.test.ts');
  for (const match of readFileSync(path, 'utf8').matchAll(IMPORT)) {
    const specifier = match[1] ?? match[2] ?? match[3];
    if (specifier.startsWith('.')) {
      const target = resolve(path, '..', specifier);
      if (!isTest && !target.startsWith(join(ROOT, room.folder) + sep)) breaches.push(`${file}: '${specifier}' leaves the package`);
      if (!specifier.endsWith('.ts') && !specifier.endsWith('.json')) breaches.push(`${file}: '${specifier}' lacks its .ts`);
    } else if (specifier.startsWith('#')) {
      for (const [condition, target] of Object.entries(manifestOf(room).imports?.[specifier] ?? { default: '' }))
        if (!target.endsWith('.ts') || !existsSync(join(ROOT, room.folder, target)))
          breaches.push(`${file}: '${specifier}' has no file for "${condition}" in ${room.folder}/package.json`);
    } else if (specifier.startsWith('node:') || builtinModules.includes(specifier)) {
      if (!room.seesNode && !isTest) breaches.push(`${file}: imports '${specifier}', but ${room.name} must run in a browser too`);
    } else checkPackageImport(room, file, specifier, isTest);
  }
}

const sameSet = (a: readonly string[], b: readonly string[]): boolean => [...a].sort().join() === [...b].sort().join();

function checkRoom(room: Room): void {
  for (const name of room.imports) {
    const target = rooms.find((other) => other.name === name);
    if (target === undefined) breaches.push(`ARCHITECTURE.md: ${room.name} imports '${name}', which has no row`);
    else if (target.rank >= room.rank) breaches.push(`ARCHITECTURE.md: ${room.name} may not import '${name}': imports go down only`);
  }
  if (room.seesNode && room.rank < 3) breaches.push(`ARCHITECTURE.md: ${room.name} sees node: below rank 3`);
  const manifest = manifestOf(room);
  if (manifest.name !== room.packageName) breaches.push(`${room.folder}/package.json: the name is not ${room.packageName}`);
  const dependencies = Object.keys(manifest.dependencies ?? {});
  const granted = [...rooms.filter((other) => room.imports.includes(other.name)).map((other) => other.packageName), ...room.libraries];
  if (!sameSet(dependencies, granted)) breaches.push(`${room.folder}/package.json: dependencies are not those of the table`);
  const config = JSON.parse(readFileSync(join(ROOT, room.folder, 'tsconfig.json'), 'utf8'));
  const references = config.references.map((reference: { path: string }) => join(room.folder, reference.path));
  const folders = rooms.filter((other) => room.imports.includes(other.name)).map((other) => other.folder);
  if (!sameSet(references, folders)) breaches.push(`${room.folder}/tsconfig.json: references are not those of the table`);
  const types: readonly string[] = config.compilerOptions.types ?? [];
  if (types.includes('node') !== room.seesNode) breaches.push(`${room.folder}/tsconfig.json: "types" does not fit the table's last column`);
  if (config.compilerOptions.lib !== undefined && room.rank < 3) breaches.push(`${room.folder}/tsconfig.json: widens "lib"`);
  for (const path of globSync(`${room.folder}/src/**/*.ts`, { cwd: ROOT })) checkFile(room, join(ROOT, path));
}

for (const parent of ['packages', 'apps'])
  for (const name of readdirSync(join(ROOT, parent)))
    if (!rooms.some((room) => room.folder === `${parent}/${name}`)) breaches.push(`${parent}/${name}: has no row in ARCHITECTURE.md`);
for (const room of rooms) checkRoom(room);

for (const breach of breaches) process.stdout.write(`${breach}\n`);
process.stdout.write(`${rooms.length} packages, ${breaches.length} breaches\n`);
process.exitCode = breaches.length > 0 || rooms.length === 0 ? 1 : 0;
