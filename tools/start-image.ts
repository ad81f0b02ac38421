// Makes the quick form of the command in build/start, which apps/cli/bin/launch runs while it is fresh:
//
//   anillo.cjs           everything as one script (anillo.cjs.map: where its lines come from)
//   processor-thread.cjs what runs on the threads of further CPUs (with its map)
//   snapshot.blob        the same as V8's start-up snapshot; empty where it cannot be made
//   stamp                its time is the launcher's measure: whatever changed later makes all of this stale
//
// Each file appears whole, by a rename, the stamp last. Two that build at the same time do not harm each other: what one of them replaces after the
// other's stamp has changed later than that stamp.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const SCRIPT = 'anillo.cjs';
/** Modules that are the scripts of threads, and what they become. */
export const THREAD_SCRIPTS = {
  'anillo/processor-thread': 'processor-thread.cjs',
} as const;
/** With their maps: what `writeScripts` writes. */
export const SCRIPT_FILES: readonly string[] = [SCRIPT, ...Object.values(THREAD_SCRIPTS)].flatMap((name) => [`${name}.map`, name]);
const SNAPSHOT = 'snapshot.blob';
const STAMP = 'stamp';

/** Longer than the ticks in which file systems count time. */
const FILE_TICK_MS = 20;

const ABANDONED_MS = 3_600_000;

/** Folders of builds that never ended. */
function removeAbandoned(folder: string): void {
  const parent = dirname(folder);
  for (const name of readdirSync(parent).filter((each) => each.startsWith(`${basename(folder)}-`))) {
    const path = join(parent, name);
    if (Date.now() - statSync(path).mtimeMs > ABANDONED_MS) rmSync(path, { recursive: true, force: true });
  }
}

/** False where this Node cannot make a snapshot of the script, or cannot run it. */
function makeSnapshot(script: string, work: string): boolean {
  const config = join(work, 'snapshot.json');
  const blob = join(work, SNAPSHOT);
  // With V8's code cache the snapshot would be twice as large, which costs as much as it saves, and bound to one CPU and one set of V8's options.
  writeFileSync(config, JSON.stringify({ builder: script, withoutCodeCache: true }));
  const node = (...args: readonly string[]): string | undefined => {
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return status === 0 ? stdout : undefined;
  };
  if (node('--snapshot-blob', blob, '--build-snapshot-config', config) === undefined) return false;
  return node('--snapshot-blob', blob, script, 'anillo', '--version')?.startsWith('anillo ') === true;
}

/**
 * `writeScript` writes the script into a folder and tells the absolute paths of what it was made from. False when one of these changed meanwhile: there is
 * no new stamp then, and the launcher has the next run build again.
 */
export async function makeStartImage(folder: string, writeScript: (work: string) => Promise<readonly string[]>): Promise<boolean> {
  mkdirSync(folder, { recursive: true });
  removeAbandoned(folder);
  const work = mkdtempSync(`${folder}-`);
  try {
    const publish = (name: string): void => renameSync(join(work, name), join(folder, name));
    // By the clock of the file system.
    const beganMs = statSync(work).ctimeMs;
    const sources = await writeScript(work);
    if (!makeSnapshot(join(work, SCRIPT), work)) writeFileSync(join(work, SNAPSHOT), '');
    for (const name of [...SCRIPT_FILES, SNAPSHOT]) publish(name);
    writeFileSync(join(work, STAMP), '');
    await sleep(FILE_TICK_MS);
    if (sources.some((path) => statSync(path).ctimeMs > beganMs)) return false;
    publish(STAMP);
    return true;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
