// native-run.ts INITRD SCRIPT: unpacks a guest's initial RAM disk into a folder of its own and runs a script in it with that folder as the root.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unpackCpio } from './guest/unpack-cpio.ts';
import { UNSHARE } from './native.ts';

/** $0: the folder, $1: the script. The mounts are the process's own and go with it. */
const ENTER = `mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" && mount -t tmpfs tmpfs "$0/tmp" && exec chroot "$0" "$1"`;

const [, , initrdPath, script] = process.argv;
const folder = mkdtempSync(join(tmpdir(), 'anillo-native-'));
try {
  unpackCpio(readFileSync(initrdPath), folder);
  for (const name of ['dev', 'proc', 'tmp']) mkdirSync(join(folder, name), { recursive: true });
  const [program, ...options] = UNSHARE;
  const child = spawn(program, [...options, 'sh', '-c', ENTER, folder, script], { stdio: ['ignore', 'inherit', 'inherit'], env: {} });
  process.exitCode = await new Promise<number>((done) => {
    child.on('error', (error) => {
      process.stderr.write(`${error.message}\n`);
      done(127);
    });
    child.on('close', (code) => done(code ?? 1));
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
