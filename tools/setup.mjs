// Runs a TypeScript entry under Node 26 on a machine that has only npm and an older Node: `node tools/setup.mjs ENTRY [ARGUMENT...]`. Any other entry is
// a program that looks for Node 26 itself.
// Installs the locked dependencies first where they are missing or not those of package-lock.json. Plain JavaScript, for Node 20.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');

function packagesOf(lockFile) {
  try {
    return JSON.parse(readFileSync(lockFile, 'utf8')).packages ?? {};
  } catch {
    return {};
  }
}

/** The installed tree is the locked one; packages for other platforms may be absent. */
function isInstalled() {
  const locked = packagesOf(join(root, 'package-lock.json'));
  const installed = packagesOf(join(modules, '.package-lock.json'));
  return Object.entries(locked).every(([path, entry]) => {
    if (!path.startsWith('node_modules/')) return true;
    const present = installed[path];
    if (present === undefined) return entry.optional === true;
    return present.version === entry.version && present.resolved === entry.resolved;
  });
}

function findNode() {
  if (!existsSync(modules)) return undefined;
  for (const name of readdirSync(modules)) {
    const binary = join(modules, name, 'bin', 'node');
    if (name.startsWith('node-') && existsSync(binary)) return { name, binary };
  }
  return undefined;
}

function install() {
  process.stderr.write('Installing dependencies (npm ci), about half a minute...\n');
  const npm = spawnSync('npm', ['ci', '--loglevel=error'], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  if (npm.status === 0) return;
  process.stderr.write(npm.stderr ?? '');
  fail(`'npm ci' did not install the dependencies; see its message${npm.error ? ` (${npm.error.message})` : ' above'} and run this again.`);
}

function fail(sentence) {
  process.stderr.write(`anillo: ${sentence}\n`);
  process.exit(2);
}

/** npm 10 does not link the program of an optional package; scripts and people expect it at node_modules/.bin/node. */
function linkNode(name) {
  const link = join(modules, '.bin', 'node');
  if (existsSync(link)) return;
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(join('..', name, 'bin', 'node'), link);
}

/** The launcher goes by time alone: installed later than locked. */
function noteInstalled() {
  try {
    const now = new Date();
    utimesSync(join(modules, '.package-lock.json'), now, now);
  } catch {
    // Another user's folder: the next start looks again.
  }
}

if (!isInstalled() || findNode() === undefined) install();
const node = findNode();
if (node === undefined) {
  fail(`Node 26 comes as an npm package that does not exist for ${process.platform}-${process.arch}; use Linux or macOS on x64 or arm64.`);
}
linkNode(node.name);
noteInstalled();

const cacheHome = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
const env = { NODE_COMPILE_CACHE: join(cacheHome, 'anillo', 'v8'), ...process.env };
// The entry's own Node comes first for whatever it starts.
env.PATH = `${dirname(node.binary)}:${process.env.PATH}`;
const entry = join(root, process.argv[2]);
const [program, ...words] = entry.endsWith('.ts') ? [node.binary, entry] : [entry];
if (program === entry) env.ANILLO_SET_UP = 'done';
const child = spawn(program, [...words, ...process.argv.slice(3)], { stdio: 'inherit', env });
// The terminal sends SIGINT to the whole group: the child decides what it means.
process.on('SIGINT', () => {});
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  if (signal === null) process.exit(code ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
