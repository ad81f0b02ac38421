// `anillo image build debian`: a disk image with a Debian on it that `anillo run --disk` boots.

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { AnilloError } from '@anillo/base/anillo-error';
import { Ext4Writer } from '@anillo/disk/ext4/ext4-writer';
import { uuidText } from '@anillo/disk/ext4/ext4-reader';
import { requireFormat } from '@anillo/disk/open-image';
import { parseByteCount } from '@anillo/disk/qcow2/create';
import { randomId } from '@anillo/disk/random-id';
import { createNamed } from '../create-command.ts';
import { openNamed, parseImageArguments, refuse } from '../image-arguments.ts';
import { withDebianTree } from './debian-tree.ts';
import { earlyScript, setupScript } from './setup-script.ts';
import { HOST_NAME, NO_USER_DATA, PACKAGE_NAME, parseUserData, sshKey, USER_NAME, type UserAccount, type UserData } from './user-data.ts';
import { type OwnFile, writeTree } from './write-tree.ts';

const BASE_PACKAGES = [
  ...['systemd', 'systemd-sysv', 'udev', 'dbus', 'libpam-systemd', 'initramfs-tools', 'zstd', 'kmod', 'e2fsprogs'],
  ...['iproute2', 'iputils-ping', 'openssh-server', 'sudo', 'ca-certificates', 'less', 'procps', 'netbase'],
];
const KERNEL_PACKAGE = 'linux-image-cloud-amd64';
/** There systemd's own package has it. */
const WITHOUT_RESOLVED_PACKAGE = ['jessie', 'stretch', 'buster', 'bullseye'];
const DEFAULT_USER = 'debian';
const SUDO_ALL = 'ALL=(ALL) NOPASSWD:ALL';

function readText(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new AnilloError('FILE', `The ${what} ${path} cannot be read; check the path.`, { cause });
  }
}

const keysOf = (path: string): readonly string[] =>
  readText(path, 'SSH key')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => {
      if (/PRIVATE KEY/.test(line)) throw refuse(`${path} is a private key; give the public one, ${path}.pub.`);
      return sshKey(line);
    });

interface Accounts {
  readonly users: readonly UserAccount[];
  readonly isRootOpen: boolean;
}

/** Who gets in, and how. */
function accountsOf(data: UserData, name: string | undefined, sshKeys: readonly string[]): Accounts {
  const keys = [...sshKeys, ...data.sshKeys];
  const main: UserAccount = {
    name: name ?? DEFAULT_USER,
    groups: ['sudo', 'adm'],
    sudo: [SUDO_ALL],
    shell: '/bin/bash',
    sshKeys: keys,
    ...(data.password === undefined ? {} : { password: { text: data.password, isHashed: false } }),
    isLocked: data.password === undefined,
  };
  const listed = data.users ?? ['default'];
  const isWanted = listed.includes('default') || name !== undefined || keys.length > 0;
  const users = [...(isWanted ? [main] : []), ...listed.filter((user) => user !== 'default')];
  const hasWayIn = users.some((user) => user.sshKeys.length > 0 || (user.password !== undefined && !user.isLocked));
  return { users, isRootOpen: !hasWayIn };
}

function ownFiles(hostname: string): readonly OwnFile[] {
  const short = hostname.split('.')[0];
  const names = short === hostname ? short : `${hostname} ${short}`;
  return [
    { path: 'etc/hostname', content: `${short}\n` },
    { path: 'etc/hosts', content: `127.0.0.1 localhost\n127.0.1.1 ${names}\n\n::1 localhost ip6-localhost ip6-loopback\n` },
    { path: 'etc/resolv.conf', target: '../run/systemd/resolve/stub-resolv.conf' },
    // Made when the machine first starts.
    { path: 'etc/machine-id', content: '', mode: 0o444 },
  ];
}

function packagesOf(suite: string, given: readonly string[], data: UserData): readonly string[] {
  const own = given.flatMap((list) => list.split(',')).filter((name) => name !== '');
  for (const name of own) if (!PACKAGE_NAME.test(name)) throw refuse(`"${name}" is no name of a package; change it.`);
  const wanted = [...own, ...data.packages];
  const hasKernel = wanted.some((name) => name.startsWith('linux-image-'));
  const resolved = WITHOUT_RESOLVED_PACKAGE.includes(suite) ? [] : ['systemd-resolved'];
  return [...new Set([...BASE_PACKAGES, ...resolved, ...(hasKernel ? [] : [KERNEL_PACKAGE]), ...wanted])];
}

function say(line: string): void {
  if (process.stderr.isTTY === true) process.stderr.write(`\r\x1b[K${line}`);
  else process.stderr.write(`${line}\n`);
}

export async function buildCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseImageArguments(
    'build',
    args,
    {
      suite: { type: 'string' },
      size: { type: 'string' },
      packages: { type: 'string', multiple: true },
      mirror: { type: 'string', multiple: true },
      'ssh-key': { type: 'string', multiple: true },
      user: { type: 'string' },
      hostname: { type: 'string' },
      'user-data': { type: 'string' },
      format: { type: 'string', short: 'f' },
      force: { type: 'boolean' },
      quiet: { type: 'boolean', short: 'q' },
    },
    [2, 2],
  );
  const [distribution, target] = positionals;
  if (distribution !== 'debian') throw refuse(`Images of ${distribution} cannot be built; debian is what can be: anillo image build debian IMAGE.`);
  const { suite = 'bookworm', user } = values;
  if (!/^[a-z][a-z0-9.-]*$/.test(suite)) throw refuse(`"${suite}" is no suite of Debian; give one such as bookworm.`);
  const data = values['user-data'] === undefined ? NO_USER_DATA : parseUserData(readText(values['user-data'], 'user data'));
  const hostname = values.hostname ?? data.hostname ?? 'debian';
  if (!HOST_NAME.test(hostname)) throw refuse(`"${hostname}" is no name of a host; give letters, digits and "-".`);
  if (user !== undefined && !USER_NAME.test(user)) throw refuse(`"${user}" is no name of a user; give small letters, digits, "-" and "_".`);
  const format = requireFormat(values.format ?? 'qcow2');
  const byteCount = parseByteCount(values.size ?? '4G');
  const packages = packagesOf(suite, values.packages ?? [], data);
  const accounts = accountsOf(data, user, (values['ssh-key'] ?? []).flatMap(keysOf));
  if (existsSync(target) && values.force !== true) throw refuse(`${target} is there already; give another name, or --force to make it anew.`);
  const show = values.quiet === true ? () => {} : say;
  await createNamed(format, target, byteCount, {});
  try {
    await fillImage(target, { suite, packages, mirrors: values.mirror ?? [], data, accounts, hostname, show });
  } catch (error) {
    rmSync(target, { force: true });
    throw error;
  } finally {
    if (values.quiet !== true && process.stderr.isTTY === true) process.stderr.write('\r\x1b[K');
  }
  if (values.quiet !== true) process.stdout.write(summary(target, accounts));
  return 0;
}

interface Filling {
  readonly suite: string;
  readonly packages: readonly string[];
  readonly mirrors: readonly string[];
  readonly data: UserData;
  readonly accounts: Accounts;
  readonly hostname: string;
  readonly show: (line: string) => void;
}

async function fillImage(target: string, { suite, packages, mirrors, data, accounts, hostname, show }: Filling): Promise<void> {
  const disk = await openNamed(target, { isReadOnly: false });
  try {
    const [uuid, time] = [randomId(), Math.floor(Date.now() / 1000)];
    const writer = new Ext4Writer(disk, { uuid, hashSeed: randomBytes(16), makeTime: time, label: 'root' });
    const fstab = `UUID=${uuidText(uuid)} / ext4 rw,errors=remount-ro,x-systemd.growfs 0 1\n`;
    const scripts = { earlyScript: earlyScript(fstab), setupScript: setupScript({ data, ...accounts }) };
    await withDebianTree({ suite, packages, mirrors, ...scripts, onProgress: show }, (tar) =>
      writeTree(writer, tar, { own: ownFiles(hostname), time, onProgress: (count) => show(`${count} files written`) }),
    );
    await writer.finish();
  } finally {
    await disk.close();
  }
}

function summary(target: string, { users, isRootOpen }: Accounts): string {
  const who = isRootOpen
    ? 'root logs in on the console without a password.'
    : `${users.map(({ name }) => name).join(', ')} ${users.length === 1 ? 'logs' : 'log'} in: ssh -p 2222 ${users[0].name}@127.0.0.1.`;
  return `${target} is built; ${who}\nanillo run --disk ${target} --net user,hostfwd=tcp::2222-:22 --memory 1G\n`;
}
