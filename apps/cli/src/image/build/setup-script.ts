// What becomes of a freshly installed Debian: users, keys, network, the first start. A shell script that runs in the new system while it is built, as root of it.

import type { UserAccount, UserData } from './user-data.ts';
import { shellWord } from './user-data.ts';

export interface SystemSetup {
  readonly data: UserData;
  /** Everybody who gets an account. */
  readonly users: readonly UserAccount[];
  /** Root logs in at the console without a password: nobody else can. */
  readonly isRootOpen: boolean;
}

const NETWORK = `[Match]
Type=ether

[Network]
DHCP=yes
`;

/** Keys that differ from machine to machine, made when one first starts. */
const HOST_KEYS = `[Unit]
Description=SSH host keys
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
ExecStart=/usr/bin/ssh-keygen -q -t ecdsa -N "" -f /etc/ssh/ssh_host_ecdsa_key

[Install]
WantedBy=ssh.service
`;

const FIRST_BOOT = `[Unit]
Description=What the user data wants at the first start
After=network-online.target
Wants=network-online.target
ConditionPathExists=/var/lib/first-boot/script

[Service]
Type=oneshot
RemainAfterExit=yes
StandardOutput=journal+console
TimeoutStartSec=infinity
ExecStart=/bin/sh /var/lib/first-boot/script
ExecStopPost=/bin/mv -f /var/lib/first-boot/script /var/lib/first-boot/script.done

[Install]
WantedBy=multi-user.target
`;

/** Its bytes do not depend on what the shell makes of them. */
function put(path: string, content: string | Uint8Array, options: { readonly isAppended?: boolean } = {}): string {
  const file = shellWord(path);
  const encoded = Buffer.from(content).toString('base64');
  return `mkdir -p "$(dirname ${file})"\nbase64 -d ${options.isAppended === true ? '>>' : '>'} ${file} <<'.'\n${encoded}\n.`;
}

function passwordLines({ name, password, isLocked }: UserAccount): readonly string[] {
  // "*" is no password, and unlike "!" no lock: keys are still good.
  if (password === undefined) return [`usermod -p '*' ${name}`];
  const set = password.isHashed ? 'chpasswd -e' : 'chpasswd';
  return [`echo ${shellWord(`${name}:${password.text}`)} | ${set}`, ...(isLocked ? [`usermod -L ${name}`] : [])];
}

function userLines(user: UserAccount): readonly string[] {
  const { name, fullName, groups, sudo, shell, sshKeys, userId } = user;
  const words = ['useradd', '-m', '-s', shellWord(shell)];
  if (fullName !== undefined) words.push('-c', shellWord(fullName));
  if (userId !== undefined) words.push('-u', `${userId}`);
  const lines = groups.map((group) => `getent group ${group} >/dev/null || groupadd ${group}`);
  lines.push(`id ${name} >/dev/null 2>&1 || ${words.join(' ')} ${name}`);
  if (groups.length > 0) lines.push(`usermod -a -G ${groups.join(',')} ${name}`);
  lines.push(...passwordLines(user));
  if (sudo.length > 0) {
    const file = `/etc/sudoers.d/90-${name}`;
    lines.push(put(file, sudo.map((line) => `${name} ${line}\n`).join('')), `chmod 440 ${file}`, `visudo -cqf ${file}`);
  }
  if (sshKeys.length > 0) {
    lines.push(`home=$(getent passwd ${name} | cut -d: -f6)`, 'mkdir -p "$home/.ssh"', 'chmod 700 "$home/.ssh"');
    lines.push(put('/tmp/authorized_keys', `${sshKeys.join('\n')}\n`), 'cat /tmp/authorized_keys >> "$home/.ssh/authorized_keys"');
    lines.push('rm /tmp/authorized_keys', 'chmod 600 "$home/.ssh/authorized_keys"', `chown -R ${name}: "$home/.ssh"`);
  }
  return lines;
}

/** The whole script. */
export function setupScript({ data, users, isRootOpen }: SystemSetup): string {
  const lines = [
    'set -e',
    'export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8',
    put('/etc/systemd/network/80-ether.network', NETWORK),
    put('/etc/default/locale', 'LANG=C.UTF-8\n'),
    put('/etc/systemd/system/ssh-host-keys.service', HOST_KEYS),
    'rm -f /etc/ssh/ssh_host_*',
    'systemctl enable systemd-networkd.service ssh.service ssh-host-keys.service',
    // Only who asks for an online network waits for it.
    '[ ! -e /lib/systemd/system/systemd-resolved.service ] || systemctl enable systemd-resolved.service',
    ...users.flatMap(userLines),
    isRootOpen ? 'passwd -d root' : "usermod -p '*' root",
  ];
  if (data.sshPasswords !== undefined)
    lines.push(put('/etc/ssh/sshd_config.d/50-user-data.conf', `PasswordAuthentication ${data.sshPasswords ? 'yes' : 'no'}\n`));
  if (data.timezone !== undefined)
    lines.push(
      `test -e /usr/share/zoneinfo/${data.timezone}`,
      `ln -sf /usr/share/zoneinfo/${data.timezone} /etc/localtime`,
      `echo ${data.timezone} > /etc/timezone`,
    );
  for (const { path, content, permissions, owner, isAppended } of data.files)
    lines.push(put(path, content, { isAppended }), `chown ${owner} ${shellWord(path)}`, `chmod ${permissions} ${shellWord(path)}`);
  if (data.firstBoot.length > 0)
    lines.push(
      put('/var/lib/first-boot/script', `${data.firstBoot.join('\n')}\n`),
      'chmod 700 /var/lib/first-boot',
      put('/etc/systemd/system/first-boot.service', FIRST_BOOT),
      'systemctl enable first-boot.service',
    );
  return `${lines.join('\n')}\n`;
}

/** Before packages other than the essential ones are there: the initial RAM disk is made while the kernel is installed. */
export function earlyScript(fstab: string): string {
  const hook = `#!/bin/sh
[ "$1" = prereqs ] && exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules virtio_pci virtio_mmio virtio_blk virtio_scsi sd_mod nvme ext4 crc32c_generic crc32c-intel
`;
  return `${[
    'set -e',
    'export PATH=/usr/sbin:/usr/bin:/sbin:/bin',
    put('/etc/fstab', fstab),
    // Those of every disk controller there is would make each start slower.
    put('/etc/initramfs-tools/conf.d/modules', 'MODULES=list\n'),
    put('/etc/initramfs-tools/hooks/disks', hook),
    'chmod 755 /etc/initramfs-tools/hooks/disks',
  ].join('\n')}\n`;
}
