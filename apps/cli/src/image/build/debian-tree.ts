// Debian's own packages become the files of a system, by mmdebstrap: without root in a user namespace or by fakechroot, whichever the host allows. It gives a tar stream, and nothing is left
// on the host.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AnilloError } from '@anillo/base/anillo-error';
import { shellWord } from './user-data.ts';

export interface DebianOptions {
  readonly suite: string;
  readonly packages: readonly string[];
  /** None: Debian's own. */
  readonly mirrors: readonly string[];
  /** Run in the new system, before and after its packages are installed. */
  readonly earlyScript: string;
  readonly setupScript: string;
  readonly onProgress: (line: string) => void;
}

const MISSING = 'Images of Debian are built by mmdebstrap, which is not installed; install it: apt-get install mmdebstrap uidmap (as root uidmap is not needed).';
const KEPT_LINES = 12;

/** Makes a system, and gives its files as a tar stream to `take`. AnilloError UNSUPPORTED, NETWORK. */
export async function withDebianTree(options: DebianOptions, take: (tar: AsyncIterable<Uint8Array>) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-build-'));
  try {
    await runMmdebstrap(folder, options, take);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A hook that carries a script into the new system and runs it there. */
function scriptHook(kind: 'essential' | 'customize', folder: string, content: string): readonly string[] {
  const file = join(folder, `${kind}.sh`);
  writeFileSync(file, content, { mode: 0o600 });
  const inside = `/var/tmp/anillo-${kind}.sh`;
  return [
    `--${kind}-hook=upload ${shellWord(file)} ${inside}`,
    `--${kind}-hook=chroot "$1" sh ${inside}`,
    `--${kind}-hook=rm "$1"${inside}`,
  ];
}

async function runMmdebstrap(folder: string, options: DebianOptions, take: (tar: AsyncIterable<Uint8Array>) => Promise<void>): Promise<void> {
  const { suite, packages, mirrors, onProgress } = options;
  const args = [
    '--variant=minbase',
    '--format=tar',
    '--architectures=amd64',
    `--include=${packages.join(',')}`,
    ...scriptHook('essential', folder, options.earlyScript),
    ...scriptHook('customize', folder, options.setupScript),
    suite,
    '-',
    ...mirrors,
  ];
  const child = spawn('mmdebstrap', args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C.UTF-8' } });
  const lines: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    for (const line of text.split(/[\r\n]+/)) {
      if (line.trim() === '') continue;
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      const step = /^I: (.*)$/.exec(line)?.[1];
      if (step !== undefined) onProgress(step);
    }
  });
  const ended = new Promise<number>((done, fail) => {
    child.on('error', (cause: NodeJS.ErrnoException) => fail(cause.code === 'ENOENT' ? new AnilloError('UNSUPPORTED', MISSING, { cause }) : cause));
    child.on('close', (code) => done(code ?? 1));
  });
  ended.catch(() => {});
  const broken = (): AnilloError =>
    new AnilloError('NETWORK', `Debian ${suite} could not be put together; look at what mmdebstrap said last:\n${lines.join('\n')}`);
  try {
    await take(child.stdout);
  } catch (error) {
    child.kill();
    // What it did not deliver is not the archive's fault.
    const status = await ended;
    throw status !== 0 && child.signalCode === null ? broken() : error;
  }
  if ((await ended) !== 0) throw broken();
}
