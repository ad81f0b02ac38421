// What a user can get wrong: each gives one sentence on the error output and status 2, without a stack trace. Nothing here needs a network.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { tinyBzImage, tinyElf } from '@anillo/machine/boot/tiny-images';
import { type CliOptions, cliWords, runCli } from './run-cli.ts';
import { GUESTS } from './tiny-firmware.ts';

const TIMEOUT_MS = 300_000;
const AARCH64 = 183;

const folder = mkdtempSync(join(tmpdir(), 'anillo-bad-input-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const kernel = file('vmlinuz', tinyBzImage());
const bios = file('bios.bin', GUESTS.haltedForGood);
const empty = file('empty', '');

/** The lines that tell progress do not count. */
const complaints = (stderr: string): string[] =>
  stderr.split('\n').filter((line) => line !== '' && !line.startsWith('anillo: Default guest: '));

async function refuses(says: RegExp, args: readonly string[], options: CliOptions = {}): Promise<void> {
  const { status, stdout, stderr } = await runCli(args, options);
  assert.equal(status, 2, `status of ${args.join(' ')}: ${stderr}`);
  assert.equal(complaints(stderr).length, 1, stderr);
  assert.match(stderr, says);
  assert.match(complaints(stderr)[0], /^anillo(-qemu)?: .*[.?]$/);
  assert.equal(stdout, '');
}

interface Case {
  readonly name: string;
  readonly args: readonly string[];
  readonly says: RegExp;
}

const run = (...args: string[]): readonly string[] => ['run', ...args];
const withKernel = (...args: string[]): readonly string[] => run('--kernel', kernel, ...args);

const KERNELS: readonly Case[] = [
  { name: 'missing', args: run('--kernel', join(folder, 'nothing')), says: /nothing does not exist; check the path/ },
  { name: 'empty', args: run('--kernel', empty), says: /is empty; copy it again/ },
  { name: 'truncated', args: run('--kernel', file('cut', tinyBzImage().subarray(0, 2000))), says: /truncated.*copy it again/ },
  { name: 'no kernel', args: run('--kernel', file('text', 'hello, world\n')), says: /none that can be booted here; give/ },
  { name: 'compressed', args: run('--kernel', file('gz', gzipSync(tinyBzImage()))), says: /gzip-compressed; unpack it/ },
  { name: 'ELF without an entry', args: run('--kernel', file('elf', tinyElf())), says: /without a PVH note or multiboot header; give/ },
  { name: 'of another architecture', args: run('--kernel', file('arm', tinyElf({ machine: AARCH64 }))), says: /AArch64; give one for x86/ },
  { name: 'a directory', args: run('--kernel', folder), says: /is a directory; give a file/ },
  { name: '64-bit for a 32-bit CPU', args: withKernel('--cpu', 'i686'), says: /64-bit and the CPU model is not; choose/ },
  { name: 'beside a firmware', args: withKernel('--bios', bios), says: /give one of them/ },
  {
    name: 'profile nowhere',
    args: withKernel('--profile', join(folder, 'no/profile')),
    says: /profile .*no\/profile does not exist; check the path/,
  },
  { name: 'symbols without a profile', args: withKernel('--symbols', kernel), says: /add --profile FILE/ },
  {
    name: 'symbols that are none',
    args: withKernel('--profile', join(folder, 'profile'), '--symbols', kernel),
    says: /holds no symbols of code; give an ELF file/,
  },
  { name: 'firmware, truncated', args: run('--bios', file('half', GUESTS.endlessLoop.subarray(0, 1000))), says: /multiple of 64 KiB/ },
  { name: 'initrd, missing', args: withKernel('--initrd', join(folder, 'nothing')), says: /initrd .*nothing does not exist/ },
  { name: 'initrd, empty', args: withKernel('--initrd', empty), says: /initrd .*is empty; copy it again/ },
  {
    name: 'initrd that does not fit',
    args: withKernel('--memory', '24M', '--initrd', file('large', new Uint8Array(30 << 20))),
    says: /initrd \(30 MiB\) does not fit into 24 MiB of memory.*give more with --memory/,
  },
  { name: 'command line too long', args: withKernel('--append', 'x'.repeat(3000)), says: /3000 bytes and this kernel takes 2047; shorten/ },
];

const OPTIONS: readonly Case[] = [
  { name: 'memory 0', args: withKernel('--memory', '0'), says: /needs memory; give 1M to 3584M/ },
  { name: 'memory 1M', args: withKernel('--memory', '1M'), says: /needs at least 17 MiB to start and the machine has 1 MiB; give more/ },
  { name: 'memory 64G', args: withKernel('--memory', '64G'), says: /64G is too large; give 1M to 3584M/ },
  { name: 'memory lots', args: withKernel('--memory', 'lots'), says: /"lots" is no memory size; give/ },
  { name: 'unknown option', args: run('--kernl', 'x'), says: /no option --kernl; did you mean --kernel\?/ },
  { name: 'option without its value', args: run('--kernel'), says: /--kernel needs a value: --kernel FILE/ },
  { name: 'option given twice', args: withKernel('--kernel', kernel), says: /--kernel is given twice; give it once/ },
  { name: 'stray word', args: run('vmlinuz'), says: /"vmlinuz" stands alone/ },
  { name: 'unknown command', args: ['boot'], says: /no command "boot"/ },
  { name: 'unknown CPU model', args: withKernel('--cpu', 'pentium9'), says: /"pentium9" is not known; use one of: i686/ },
  { name: 'unknown CPU feature', args: withKernel('--cpu', 'max,+warp'), says: /feature "warp" is not known; use one of/ },
  { name: 'unknown accelerator', args: withKernel('--accel', 'kvm'), says: /--accel does not take "kvm"; choose one of/ },
  { name: 'missing disk', args: withKernel('--disk', join(folder, 'nothing')), says: /nothing does not exist; check the path/ },
  {
    name: 'a disk that nobody gave',
    args: withKernel('--device', 'virtio-blk-pci,drive=x'),
    says: /no drive "x"; the machine has no drives/,
  },
  { name: 'a forward that is none', args: withKernel('--net', 'user,hostfwd=22'), says: /no port to forward; write for example hostfwd=/ },
  { name: 'unknown device', args: withKernel('--device', 'floppy'), says: /no device "floppy"; the devices are/ },
  {
    name: 'unknown trace',
    args: withKernel('--trace', 'traps,foo'),
    says: /"foo"; choose from traps, interrupts, exits, blocks, ports, mmio/,
  },
  { name: 'unknown serial port', args: withKernel('--serial', 'com7'), says: /stdio, file:PATH or none, not "com7"/ },
  { name: 'serial file in no folder', args: withKernel('--serial', `file:${folder}/no/file`), says: /does not exist; create it first/ },
  { name: 'address for gdb', args: withKernel('--gdb', 'here'), says: /"here" is no address to listen on; write HOST:PORT/ },
];

for (const [title, cases] of [
  ['kernels and other images', KERNELS],
  ['options', OPTIONS],
] as const) {
  describe(title, { timeout: TIMEOUT_MS, concurrency: 2 }, () => {
    for (const { name, args, says } of cases) test(name, () => refuses(says, args));
  });
}

test('anillo-qemu says the same in its own name', { timeout: TIMEOUT_MS }, async () => {
  const program = 'anillo-qemu';
  await refuses(/^anillo-qemu: .*no CPU feature warp; leave "\+warp" out/, ['-kernel', kernel, '-cpu', 'max,+warp'], { program });
  await refuses(/^anillo-qemu: .*no option -kernal; did you mean -kernel\?/, ['-kernal', kernel], { program });
});

test('a file that this user cannot read', { timeout: TIMEOUT_MS }, async (t) => {
  const secret = file('secret', tinyBzImage());
  chmodSync(secret, 0);
  chmodSync(folder, 0o755);
  const isRoot = process.getuid?.() === 0;
  const options: CliOptions = isRoot ? { uid: 65534, env: { NODE_COMPILE_CACHE: '', NODE_DISABLE_COMPILE_CACHE: '1' } } : {};
  const works = await runCli(['--version'], options).catch(() => undefined);
  if (works?.status !== 0) return t.skip('this checkout cannot be read by another user');
  await refuses(/secret cannot be read by this user; change its permissions/, run('--kernel', secret), options);
});

test('a port in use', { timeout: TIMEOUT_MS }, async () => {
  await using server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await refuses(/is in use; choose another port/, run('--bios', bios, '--gdb', `127.0.0.1:${port}`));
});

describe('the default guest', { timeout: TIMEOUT_MS }, () => {
  const unreachable = { http_proxy: 'http://127.0.0.1:1', https_proxy: 'http://127.0.0.1:1' };
  const noRemains = (cache: string): void => {
    const remains = readdirSync(join(cache, 'anillo/guests'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    assert.deepEqual(remains, []);
  };
  const programs = join(folder, 'bin');
  mkdirSync(programs);
  const hasApt = spawnSync('apt-get', ['--version']).status === 0;

  test('no apt: two lines, what to pass instead', async () => {
    const { status, stderr } = await runCli(['run'], { env: { PATH: programs, XDG_CACHE_HOME: join(folder, 'no-apt') } });
    assert.equal(status, 2);
    assert.equal(complaints(stderr).length, 2, stderr);
    assert.match(stderr, /no apt[^\n]*\nPass [^\n]* anillo run --kernel FILE --initrd FILE[^\n]*\n$/);
    noRemains(join(folder, 'no-apt'));
  });

  test('other mistakes are told before anything is fetched', async () => {
    const env = { PATH: programs, XDG_CACHE_HOME: join(folder, 'early') };
    await refuses(/"lots" is no memory size/, run('--memory', 'lots'), { env });
    await refuses(/"pentium9" is not known/, run('--cpu', 'pentium9'), { env });
  });

  test('no network and no cache', { skip: !hasApt && 'no apt' }, async () => {
    const cache = join(folder, 'offline');
    await refuses(/not in the cache and the package sources cannot be reached; connect/, run(), {
      env: { ...unreachable, XDG_CACHE_HOME: cache },
    });
    noRemains(cache);
  });

  test('a damaged cache and no network', { skip: !hasApt && 'no apt' }, async () => {
    const cache = join(folder, 'damaged');
    const guest = join(cache, 'anillo/guests/cloud-amd64/6.1.0');
    mkdirSync(guest, { recursive: true });
    for (const part of ['kernel', 'busybox', 'applets', 'SHA256SUMS']) writeFileSync(join(guest, part), 'half of it');
    await refuses(/was damaged; fetching again[\s\S]*cannot be reached/, run(), { env: { ...unreachable, XDG_CACHE_HOME: cache } });
    noRemains(cache);
  });

  test('a cache folder that cannot be', async () => {
    await refuses(/cannot be written; set XDG_CACHE_HOME/, run(), { env: { XDG_CACHE_HOME: join(empty, 'cache') } });
  });

  test('a full disk', async (t) => {
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    const mount = `mount -t tmpfs -o size=8m none '${disk}'`;
    if (spawnSync('unshare', ['-rm', 'sh', '-c', mount]).status !== 0) return t.skip('no small file system can be mounted here');
    const command = `${mount} && XDG_CACHE_HOME='${disk}' exec ${cliWords(run()).join(' ')}`;
    await refuses(/too little room; free 200 MB there/, run(), { under: ['unshare', '-rm', 'sh', '-c', command] });
  });
});

test('a kernel reached by a circle of links', { timeout: TIMEOUT_MS }, async () => {
  const link = join(folder, 'circle');
  symlinkSync(link, link);
  await refuses(/symbolic link in a circle; check the path/, run('--kernel', link));
});
