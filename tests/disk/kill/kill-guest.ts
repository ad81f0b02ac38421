// Kills machines whose guest writes to its disks (guest-writer.c), one after the other, at random moments. After each: the images are sound, and what the guest was told
// is flushed is there; on the disks without a file system by looking, on those with one by what the next guest finds after it has replayed the journal.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as later } from 'node:timers/promises';
import { cpio } from '@anillo/cli/default-guest/cpio';
import { fetchGuest } from '@anillo/cli/default-guest/fetch-guest';
import { kernelModules } from '@anillo/cli/default-guest/kernel-modules';
import { requireFormat, openImage } from '@anillo/disk/open-image';
import { createFileStore, imageFiles } from '@anillo/host-node/image-files';
import { checkQcow2 } from './check-qcow2.ts';
import { FlushedFiles } from './flushed-files.ts';
import { KeptPromises } from './kept-promises.ts';
import { DISK_BYTES, LANES } from './load.ts';

const COMMAND = resolve(import.meta.dirname, '../../../apps/cli/src/main.ts');
const SOURCE = join(import.meta.dirname, 'guest-writer.c');
const LONGEST_LOAD_MS = 1500;
const LONGEST_BOOT_MS = 120_000;
/** Operations that a lane may have begun since it was heard of last. */
const UNHEARD = 300;
const FILE_SYSTEM_BYTES = 48 << 20;

/** In the order of /dev/vda and so on. */
const DISKS = [
  { name: 'vda', use: 'lanes', format: 'raw', options: {} },
  { name: 'vdb', use: 'lanes', format: 'qcow2', options: {} },
  { name: 'vdc', use: 'lanes', format: 'qcow2', options: { cluster_size: '4096', lazy_refcounts: 'on' } },
  { name: 'vdd', use: 'ext4', format: 'raw', options: {} },
  { name: 'vde', use: 'ext4', format: 'qcow2', options: { cluster_size: '4096' } },
] as const;

export interface GuestKillRequest {
  /** For the images. */
  readonly folder: string;
  readonly count: number;
  readonly random: () => number;
  readonly say: (line: string) => void;
}

export interface GuestKillResult {
  readonly kills: number;
  readonly flushes: number;
  readonly replays: number;
  readonly leaks: number;
  readonly dirty: number;
  readonly wrong: readonly string[];
}

/** AnilloError where Debian's kernel cannot be had; Error where the host has no compiler or mkfs. */
async function makeGuest(folder: string): Promise<{ readonly kernel: string; readonly initrd: string }> {
  const guest = await fetchGuest();
  const program = join(folder, 'guest-writer');
  execFileSync('gcc', ['-O2', '-static', '-s', '-o', program, SOURCE], { stdio: ['ignore', 'ignore', 'pipe'] });
  const initrd = join(folder, 'initrd');
  const modules = await kernelModules(guest.version, ['disk']);
  writeFileSync(
    initrd,
    cpio([
      { kind: 'directory', path: 'dev', mode: 0o755 },
      { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
      ...modules,
      { kind: 'file', path: 'init', mode: 0o755, content: readFileSync(program) },
    ]),
  );
  return { kernel: guest.kernelPath, initrd };
}

async function makeImages(folder: string): Promise<void> {
  const host = imageFiles();
  const fresh = join(folder, 'ext4');
  writeFileSync(fresh, '');
  truncateSync(fresh, FILE_SYSTEM_BYTES);
  execFileSync('mkfs.ext4', ['-q', '-F', fresh], { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` } });
  const content = readFileSync(fresh);
  for (const { name, use, format, options } of DISKS) {
    const path = join(folder, name);
    const store = await createFileStore(path);
    await requireFormat(format).create!(store, use === 'ext4' ? FILE_SYSTEM_BYTES : DISK_BYTES, options, host);
    await store.close();
    if (use !== 'ext4') continue;
    const disk = await openImage(path, { isReadOnly: false, format }, host);
    for (let at = 0; at < content.length; at += 65536) {
      const piece = content.subarray(at, at + 65536);
      if (piece.some((byte) => byte !== 0)) await disk.write(at, [piece]);
    }
    await disk.close();
  }
}

class GuestKiller {
  readonly #request: GuestKillRequest;
  readonly #lanes = new Map<string, KeptPromises>();
  readonly #files = new Map<string, FlushedFiles>();
  readonly wrong: string[] = [];
  replays = 0;
  leaks = 0;
  dirty = 0;
  #flushes = 0;

  constructor(request: GuestKillRequest) {
    this.#request = request;
    for (const { name, use } of DISKS)
      if (use === 'lanes') this.#lanes.set(name, new KeptPromises());
      else this.#files.set(name, new FlushedFiles(name));
  }

  get flushes(): number {
    return this.#flushes + [...this.#lanes.values()].reduce((sum, { flushes }) => sum + flushes, 0);
  }

  #command({ kernel, initrd }: { readonly kernel: string; readonly initrd: string }): readonly string[] {
    const words = DISKS.map(({ name }) => {
      const lanes = this.#lanes.get(name);
      if (lanes === undefined) return `${name}:ext4`;
      return `${name}:lanes:${Array.from({ length: LANES }, (_, lane) => lanes.nextOf(lane)).join(',')}`;
    });
    const disks = DISKS.flatMap(({ name, format }) => ['--disk', `${join(this.#request.folder, name)},format=${format}`]);
    const append = `console=ttyS0 loglevel=4 no_timer_check panic=-1 -- ${words.join(' ')}`;
    return [COMMAND, 'run', '--kernel', kernel, '--initrd', initrd, '--memory', '128M', '--append', append, '--no-reboot', ...disks];
  }

  /** One machine from its start to its end. */
  async kill(guest: { readonly kernel: string; readonly initrd: string }): Promise<void> {
    const child = spawn(process.execPath, this.#command(guest), { stdio: ['pipe', 'pipe', 'pipe'] });
    let text = '';
    let errors = '';
    const begun = Promise.withResolvers<void>();
    child.stdout.setEncoding('latin1').on('data', (part: string) => {
      text += part;
      if (/^W\r?$/m.test(text)) begun.resolve();
    });
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      errors += part;
    });
    const ended = new Promise<NodeJS.Signals | null>((done) => child.on('close', (_, signal) => done(signal)));
    const isBegun = await Promise.race([
      begun.promise.then(() => true),
      ended.then(() => false),
      later(LONGEST_BOOT_MS, false, { ref: false }),
    ]);
    if (isBegun) await later(this.#request.random() * LONGEST_LOAD_MS);
    child.kill('SIGKILL');
    if ((await ended) !== 'SIGKILL' || !isBegun) this.wrong.push(`The guest did not come to its work: ${errors}${text.slice(-2000)}`);
    if (errors !== '') this.wrong.push(`The host said: ${errors}`);
    this.#heed(text);
  }

  #heed(text: string): void {
    // A last line that is not whole has said nothing.
    for (const line of text.split(/\r*\n/).slice(0, -1)) {
      const [what, disk, ...numbers] = line.split(' ');
      const [a, b] = numbers.map(Number);
      if (what === 'F') {
        const lanes = this.#lanes.get(disk)!;
        lanes.mayHaveBegun(a, b + 1 - lanes.nextOf(a));
        lanes.flushed(a, b);
      } else if (what === 'E') {
        this.#flushes++;
        this.#files.get(disk)!.flushed(a, b);
      } else if (what === 'V') this.#files.get(disk)!.found(a, b);
      else if (what === 'R') this.replays++;
      else if (what === 'X' || /EXT4-fs .*(error|warning)|I\/O error|Kernel panic/i.test(line)) this.wrong.push(`The guest said: ${line}`);
    }
    for (const lanes of this.#lanes.values()) for (let lane = 0; lane < LANES; lane++) lanes.mayHaveBegun(lane, UNHEARD);
    for (const files of this.#files.values()) this.wrong.push(...files.judge());
  }

  async judge(): Promise<void> {
    const host = imageFiles();
    for (const { name, format } of DISKS) {
      const path = join(this.#request.folder, name);
      if (format === 'qcow2') {
        const { leaks, isDirty, wrong } = await checkQcow2(path);
        this.leaks += leaks;
        this.dirty += Number(isDirty);
        this.wrong.push(...wrong.map((line) => `${name}: ${line}`));
      }
      const lanes = this.#lanes.get(name);
      if (lanes === undefined) continue;
      const disk = await openImage(path, { isReadOnly: true, format }, host);
      const bytes = new Uint8Array(DISK_BYTES);
      await disk.read(0, [bytes]);
      await disk.close();
      this.wrong.push(...lanes.judge(bytes).map((line) => `${name}: ${line}`));
    }
  }

  /** Debian's e2fsck on a copy: it replays the journal, and finds nothing else to do. */
  async checkFileSystems(): Promise<void> {
    if (!existsSync('/sbin/e2fsck') && !existsSync('/usr/sbin/e2fsck')) return;
    for (const { name, format, use } of DISKS) {
      if (use !== 'ext4') continue;
      const disk = await openImage(join(this.#request.folder, name), { isReadOnly: true, format }, imageFiles());
      const bytes = new Uint8Array(FILE_SYSTEM_BYTES);
      await disk.read(0, [bytes]);
      await disk.close();
      const copy = join(this.#request.folder, 'copy');
      writeFileSync(copy, bytes);
      const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: 'C' };
      // "-E journal_only" leaves all else as it is.
      const replayed = spawnSync('e2fsck', ['-E', 'journal_only', '-y', copy], { encoding: 'utf8', env });
      const { status, stdout } = spawnSync('e2fsck', ['-fn', copy], { encoding: 'utf8', env });
      rmSync(copy);
      if (status !== 0) this.wrong.push(`${name}: e2fsck says ${replayed.stdout}${stdout}`);
    }
  }
}

export async function killGuests(request: GuestKillRequest): Promise<GuestKillResult> {
  const { folder, count, say } = request;
  const guest = await makeGuest(folder);
  await makeImages(folder);
  const killer = new GuestKiller(request);
  let kills = 0;
  while (kills < count && killer.wrong.length === 0) {
    await killer.kill(guest);
    kills++;
    await killer.judge();
    if (kills % 10 === 0 || kills === count) await killer.checkFileSystems();
    say(`${kills} kills, ${killer.flushes} flushes, ${killer.replays} journals replayed`);
  }
  // What the last one left is found by one more.
  if (killer.wrong.length === 0) await killer.kill(guest);
  const { flushes, replays, leaks, dirty, wrong } = killer;
  return { kills, flushes, replays, leaks, dirty, wrong };
}
