// Our own programs (bench/programs), compiled by the host's GCC into one static program a guest architecture; kept under the cache.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AnilloError } from '@anillo/base/anillo-error';
import { cacheFolder } from '@anillo/cli/default-guest/guest-cache';
import type { Architecture } from '../contender.ts';
import { installPackages } from '../install-packages.ts';

const SOURCES = join(import.meta.dirname, '../programs');
const OPTIONS = ['-O2', '-std=gnu11', '-Wall', '-Wextra', '-static', '-pthread', '-s'];
const WIDTH = { amd64: '-m64', i386: '-m32' } as const;
const PACKAGES = { amd64: ['gcc', 'libc6-dev'], i386: ['gcc', 'gcc-multilib'] } as const;

const gcc = (args: readonly string[]) => spawnSync('gcc', args, { cwd: SOURCES, encoding: 'utf8' });

/** Names the result by what it depends on: sources, options and the compiler. */
function digest(architecture: Architecture): string {
  const hash = createHash('sha256').update(JSON.stringify([OPTIONS, WIDTH[architecture], gcc(['--version']).stdout]));
  for (const name of globSync('*.{c,h,def}', { cwd: SOURCES }).sort()) hash.update(name).update(readFileSync(join(SOURCES, name)));
  return hash.digest('hex').slice(0, 12);
}

/** What the compiler said, where it failed. */
export function compilePrograms(architecture: Architecture, output: string): string | undefined {
  const sources = globSync('*.c', { cwd: SOURCES }).sort();
  const { status, stderr, error } = gcc([WIDTH[architecture], ...OPTIONS, ...sources, '-lm', '-o', output]);
  return status === 0 ? undefined : (error?.message ?? stderr);
}

/** AnilloError UNSUPPORTED where the host cannot compile for that architecture. */
export function ownPrograms(architecture: Architecture, say: (line: string) => void): Uint8Array {
  const home = join(cacheFolder(), 'bench');
  mkdirSync(home, { recursive: true });
  const path = (): string => join(home, `programs-${architecture}-${digest(architecture)}`);
  try {
    return readFileSync(path());
  } catch {}
  const work = mkdtempSync(join(home, '.work-'));
  try {
    const output = join(work, 'programs');
    let failure = compilePrograms(architecture, output);
    if (failure !== undefined && installPackages(PACKAGES[architecture], say)) failure = compilePrograms(architecture, output);
    if (failure !== undefined) {
      const packages = PACKAGES[architecture].join(' and ');
      const said = failure.trim().split('\n').slice(0, 3).join('\n');
      throw new AnilloError('UNSUPPORTED', `The host's gcc cannot compile for ${architecture}; install ${packages}. It said:\n${said}`);
    }
    renameSync(output, path());
    return readFileSync(path());
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
