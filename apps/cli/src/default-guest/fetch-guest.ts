// The default guest: Debian's kernel and BusyBox from the system's own package sources, cached; its initial RAM disk made here.

import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AnilloError } from '@anillo/base/anillo-error';
import { type CachedGuest, GuestCache, type GuestParts } from './guest-cache.ts';
import { GUEST_FLAVOURS, type GuestFlavourName } from './guest-flavours.ts';
import { initramfs } from './initramfs.ts';
import { type ModuleFile, modulesArchive, wantedModule } from './guest-modules.ts';
import { NO_APT, PrivateApt } from './private-apt.ts';
import { type TarEntry, tarEntries } from '../tar-entries.ts';

export interface GuestRequest {
  readonly flavour?: GuestFlavourName;
  /** With drivers for devices that are added to the board's. */
  readonly withDrivers?: boolean;
  /** Told what is being done, one line each time; `percent` when it is known. */
  readonly onProgress?: (line: string, percent?: number) => void;
}

export interface DefaultGuest {
  readonly kernelPath: string;
  /** Made anew at each start, for it costs a millisecond, and follows the version of this program. */
  readonly initrd: Uint8Array;
  /** Debian's, of the kernel's package. */
  readonly version: string;
}

/** Package lists, two packages and what is taken out of them. apt can hang on a full disk, so ask first. */
const NEEDED_BYTES = 180e6;

function checkRoom(folder: string): void {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < NEEDED_BYTES) throw Object.assign(new Error('too little room'), { code: 'ENOSPC' });
}

/** Goes through what a .deb holds until `take` says that it has all it wants. */
async function readDeb(debPath: string, take: (entry: TarEntry) => Promise<boolean>): Promise<void> {
  const child = spawn('dpkg-deb', ['--fsys-tarfile', debPath], { stdio: ['ignore', 'pipe', 'ignore'] });
  const started = new Promise<void>((done, fail) => {
    child.on('spawn', done);
    child.on('error', (cause) => fail(new AnilloError('UNSUPPORTED', NO_APT, { cause })));
  });
  await started;
  try {
    for await (const entry of tarEntries(child.stdout)) if (await take(entry)) break;
  } finally {
    child.kill();
  }
}

async function contentOf(entry: TarEntry): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of entry.content()) pieces.push(piece);
  return Buffer.concat(pieces);
}

const missing = (debPath: string, what: string): AnilloError =>
  new AnilloError('BAD_IMAGE', `${debPath} holds no ${what}; pass --kernel instead.`);

/** First file of a .deb whose path fits. */
async function debMember(debPath: string, wanted: RegExp): Promise<Uint8Array> {
  let found: Uint8Array | undefined;
  await readDeb(debPath, async (entry) => {
    if (entry.kind === 'file' && entry.byteCount > 0 && wanted.test(entry.path)) found = await contentOf(entry);
    return found !== undefined;
  });
  if (found === undefined) throw missing(debPath, wanted.source);
  return found;
}

async function kernelParts(debPath: string): Promise<{ readonly kernel: Uint8Array; readonly modules: Uint8Array }> {
  let kernel: Uint8Array | undefined;
  const modules: ModuleFile[] = [];
  await readDeb(debPath, async (entry) => {
    const module = entry.kind === 'file' ? wantedModule(entry.path) : undefined;
    if (module !== undefined) modules.push({ path: module, content: await contentOf(entry) });
    else if (/^boot\/vmlinuz-/.test(entry.path)) kernel = await contentOf(entry);
    return false;
  });
  if (kernel === undefined) throw missing(debPath, 'kernel');
  return { kernel, modules: modulesArchive(modules) };
}

/** Lines of `busybox --list-full`; none where the host cannot run it. */
function listApplets(workFolder: string, busybox: Uint8Array): readonly string[] {
  const path = join(workFolder, 'busybox');
  writeFileSync(path, busybox);
  chmodSync(path, 0o755);
  const result = spawnSync(path, ['--list-full'], { encoding: 'utf8', timeout: 10_000 });
  return result.status === 0 ? result.stdout.split('\n').filter(Boolean) : [];
}

async function download(
  apt: PrivateApt,
  metaPackage: string,
  say: (line: string) => void,
): Promise<{ version: string; kernelDeb: string; busyboxDeb: string }> {
  say("reading Debian's package lists");
  const update = await apt.update();
  const meta = await apt.show(metaPackage);
  const kernel = meta?.depends.find((name) => name.startsWith('linux-image-'));
  if (meta === undefined || kernel === undefined) {
    throw update.complete
      ? new AnilloError('UNSUPPORTED', `This system's package sources have no ${metaPackage}; add Debian's, or pass --kernel and --initrd.`)
      : new AnilloError(
          'NETWORK',
          'The default guest is not in the cache and the package sources cannot be reached; connect to the network, or pass --kernel.',
        );
  }
  say(`fetching ${kernel} ${meta.version}`);
  const kernelDeb = await apt.download(kernel);
  say('fetching busybox-static');
  const busyboxDeb = await apt.download('busybox-static');
  return { version: `${kernel.slice('linux-image-'.length)}_${meta.version.replaceAll(':', '.')}`, kernelDeb, busyboxDeb };
}

async function fetchIntoCache(
  cache: GuestCache,
  flavour: GuestFlavourName,
  onProgress: (line: string, percent?: number) => void,
): Promise<CachedGuest> {
  const workFolder = cache.createWorkFolder();
  try {
    checkRoom(workFolder);
    let line = '';
    const say = (next: string): void => {
      line = next;
      onProgress(line);
    };
    const { metaPackage, architecture } = GUEST_FLAVOURS[flavour];
    const apt = new PrivateApt(workFolder, architecture, (percent) => onProgress(line, percent));
    const { version, kernelDeb, busyboxDeb } = await download(apt, metaPackage, say);
    say('unpacking');
    const { kernel, modules } = await kernelParts(kernelDeb);
    const busybox = await debMember(busyboxDeb, /(^|\/)bin\/busybox$/);
    const parts: GuestParts = { kernel, busybox, applets: listApplets(workFolder, busybox), modules };
    return cache.store(version, parts, workFolder);
  } finally {
    rmSync(workFolder, { recursive: true, force: true });
  }
}

function explain(error: unknown, folder: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new AnilloError(
      'FILE',
      `The disk that holds ${folder} has too little room; free 200 MB there or set XDG_CACHE_HOME to another disk.`,
      { cause: error },
    );
  }
  if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM' || code === 'ENOTDIR') {
    return new AnilloError('FILE', `The cache folder ${folder} cannot be written; set XDG_CACHE_HOME to a folder of yours.`, {
      cause: error,
    });
  }
  return error;
}

/** A guest that an earlier version has fetched has no drivers; it goes on without where they cannot be had. */
async function withDriversOf(
  guest: CachedGuest,
  cache: GuestCache,
  flavour: GuestFlavourName,
  onProgress: NonNullable<GuestRequest['onProgress']>,
): Promise<CachedGuest> {
  if (guest.modulesPath !== undefined) return guest;
  try {
    return await fetchIntoCache(cache, flavour, onProgress);
  } catch (error) {
    if (!(error instanceof AnilloError)) throw error;
    onProgress(`has no drivers for its devices: ${error.message}`);
    return guest;
  }
}

/** From the cache when it holds an undamaged guest of that flavour (no network then), else through apt. */
export async function fetchGuest({
  flavour = 'cloud-amd64',
  withDrivers = false,
  onProgress = () => {},
}: GuestRequest = {}): Promise<DefaultGuest> {
  const cache = new GuestCache(flavour);
  try {
    const { guest: cached, damaged } = cache.find();
    if (damaged > 0) onProgress(`the cache in ${cache.folder} was damaged${cached === undefined ? '; fetching again' : ''}`);
    const found = cached ?? (await fetchIntoCache(cache, flavour, onProgress));
    const guest = withDrivers ? await withDriversOf(found, cache, flavour, onProgress) : found;
    const archive = initramfs(guest.busybox, guest.applets);
    const initrd = withDrivers && guest.modulesPath !== undefined ? Buffer.concat([archive, readFileSync(guest.modulesPath)]) : archive;
    return { kernelPath: join(guest.folder, 'kernel'), initrd, version: guest.version };
  } catch (error) {
    throw explain(error, cache.folder);
  }
}
