// The default guest: Debian's kernel and BusyBox from the system's own package sources, cached; its initial RAM disk made here.

import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AnilloError } from '@anillo/base/anillo-error';
import { type CachedGuest, GuestCache, type GuestParts } from './guest-cache.ts';
import { GUEST_FLAVOURS, type GuestFlavourName } from './guest-flavours.ts';
import { initramfs } from './initramfs.ts';
import { NO_APT, PrivateApt } from './private-apt.ts';
import { tarMember } from './tar-member.ts';

export interface GuestRequest {
  readonly flavour?: GuestFlavourName;
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

/** First file of a .deb whose path fits. */
async function debMember(debPath: string, wanted: RegExp): Promise<{ readonly name: string; readonly content: Uint8Array }> {
  const child = spawn('dpkg-deb', ['--fsys-tarfile', debPath], { stdio: ['ignore', 'pipe', 'ignore'] });
  const started = new Promise<void>((done, fail) => {
    child.on('spawn', done);
    child.on('error', (cause) => fail(new AnilloError('UNSUPPORTED', NO_APT, { cause })));
  });
  await started;
  const member = await tarMember(child.stdout, wanted);
  child.kill();
  if (member === undefined) throw new AnilloError('BAD_IMAGE', `${debPath} holds no ${wanted.source}; pass --kernel instead.`);
  return member;
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
    const kernel = (await debMember(kernelDeb, /^\.\/boot\/vmlinuz-/)).content;
    const busybox = (await debMember(busyboxDeb, /\/bin\/busybox$/)).content;
    const parts: GuestParts = { kernel, busybox, applets: listApplets(workFolder, busybox) };
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

/** From the cache when it holds an undamaged guest of that flavour (no network then), else through apt. */
export async function fetchGuest({ flavour = 'cloud-amd64', onProgress = () => {} }: GuestRequest = {}): Promise<DefaultGuest> {
  const cache = new GuestCache(flavour);
  try {
    const { guest: cached, damaged } = cache.find();
    if (damaged > 0) onProgress(`the cache in ${cache.folder} was damaged${cached === undefined ? '; fetching again' : ''}`);
    const guest = cached ?? (await fetchIntoCache(cache, flavour, onProgress));
    return { kernelPath: join(guest.folder, 'kernel'), initrd: initramfs(guest.busybox, guest.applets), version: guest.version };
  } catch (error) {
    throw explain(error, cache.folder);
  }
}
