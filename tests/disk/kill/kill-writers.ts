// Kills processes that write to an image, one after the other, at random moments of their load, and looks at what is left each time: the image is sound, and what was
// flushed is there. The host's memory of files outlives a process: what is found here is what the process itself got in the wrong order, or had not done yet.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as later } from 'node:timers/promises';
import { openImage, requireFormat } from '@anillo/disk/open-image';
import { createFileStore, imageFiles } from '@anillo/host-node/image-files';
import { checkQcow2 } from './check-qcow2.ts';
import { KeptPromises } from './kept-promises.ts';
import { DISK_BYTES, LANES } from './load.ts';

const WRITER = join(import.meta.dirname, 'writer.ts');
const LONGEST_LOAD_MS = 150;
const LONGEST_START_MS = 60_000;

export interface KillRequest {
  readonly path: string;
  readonly format: string;
  readonly options: Readonly<Record<string, string>>;
  readonly count: number;
  /** 0 <= x < 1. */
  readonly random: () => number;
  /** Milliseconds by which the writers say too early that they have written. */
  readonly hasteMs?: number;
  readonly onKill?: (done: number) => void;
}

export interface KillResult {
  readonly kills: number;
  readonly flushes: number;
  readonly leaks: number;
  /** Images whose counts were left behind and said so. */
  readonly dirty: number;
  /** Sentences. */
  readonly wrong: readonly string[];
}

/** Lines that the writer got out before its end. */
async function killWriter({ path, format, hasteMs = 0, random }: KillRequest, promises: KeptPromises): Promise<string> {
  const next = Array.from({ length: LANES }, (_, lane) => String(promises.nextOf(lane)));
  const child = spawn(process.execPath, [WRITER, path, format, String(hasteMs), ...next], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  let errors = '';
  const started = Promise.withResolvers<void>();
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
    started.resolve();
  });
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    errors += part;
  });
  const ended = new Promise<NodeJS.Signals | null>((done) => child.on('close', (_, signal) => done(signal)));
  await Promise.race([started.promise, ended, later(LONGEST_START_MS, undefined, { ref: false })]);
  await later(random() * LONGEST_LOAD_MS);
  child.kill('SIGKILL');
  if ((await ended) !== 'SIGKILL') throw new Error(`the writer ended by itself: ${errors}`);
  return text;
}

function heed(text: string, promises: KeptPromises): void {
  // A last line that is not whole has said nothing.
  for (const line of text.split('\n').slice(0, -1)) {
    const [what, lane, number] = line.split(' ');
    if (what === 'b') promises.begun(Number(lane), Number(number));
    else promises.flushed(Number(lane), Number(number));
  }
}

export async function killWriters(request: KillRequest): Promise<KillResult> {
  const { path, format, options, count, onKill } = request;
  const host = imageFiles();
  const created = await createFileStore(path);
  await requireFormat(format).create!(created, DISK_BYTES, options, host);
  await created.close();
  const promises = new KeptPromises();
  const wrong: string[] = [];
  let [kills, leaks, dirty] = [0, 0, 0];
  while (kills < count && wrong.length === 0) {
    heed(await killWriter(request, promises), promises);
    kills++;
    if (format === 'qcow2') {
      const found = await checkQcow2(path);
      wrong.push(...found.wrong);
      leaks += found.leaks;
      dirty += Number(found.isDirty);
    }
    const disk = await openImage(path, { isReadOnly: true, format }, host);
    const bytes = new Uint8Array(DISK_BYTES);
    await disk.read(0, [bytes]);
    await disk.close();
    wrong.push(...promises.judge(bytes));
    onKill?.(kills);
  }
  return { kills, flushes: promises.flushes, leaks, dirty, wrong };
}
