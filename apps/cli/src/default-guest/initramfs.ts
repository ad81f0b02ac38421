// The default guest's root file system: BusyBox, its links, and a few files that programs expect.

import { cpio, type CpioEntry } from './cpio.ts';
import { DHCP_SCRIPT, INIT_SCRIPT, PROFILE } from './init-script.ts';

const DIRECTORIES = ['bin', 'dev', 'etc', 'mnt', 'proc', 'root', 'run', 'sbin', 'sys', 'usr', 'usr/bin', 'usr/sbin', 'var', 'var/log'];

const FILES: Readonly<Record<string, string>> = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
  'etc/group': 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n',
  'etc/shadow': 'root:*:19000:0:99999:7:::\n',
  'etc/hostname': 'anillo\n',
  'etc/hosts': '127.0.0.1 localhost anillo\n::1 localhost\n',
  'etc/profile': PROFILE,
  'etc/issue': 'Anillo\n',
};

const HOME_OF_APPLET = /^(bin|sbin|usr\/bin|usr\/sbin)\/[^/\s]+$/;

/** `applets`: lines of `busybox --list-full`; empty where that cannot be asked, then /init makes the links. */
export function initramfs(busybox: Uint8Array, applets: readonly string[]): Uint8Array {
  const entries: CpioEntry[] = DIRECTORIES.map((path) => ({ kind: 'directory', path, mode: path === 'root' ? 0o700 : 0o755 }));
  entries.push({ kind: 'directory', path: 'tmp', mode: 0o1777 });
  entries.push({ kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 });
  entries.push({ kind: 'file', path: 'bin/busybox', mode: 0o755, content: busybox });
  const links = new Set(['bin/sh', ...applets.filter((path) => HOME_OF_APPLET.test(path) && path !== 'bin/busybox')]);
  for (const path of [...links].sort()) entries.push({ kind: 'symlink', path, target: '/bin/busybox' });
  for (const [path, content] of Object.entries(FILES)) {
    entries.push({ kind: 'file', path, mode: path === 'etc/shadow' ? 0o600 : 0o644, content });
  }
  entries.push({ kind: 'file', path: 'etc/udhcpc.sh', mode: 0o755, content: DHCP_SCRIPT });
  entries.push({ kind: 'file', path: 'init', mode: 0o755, content: INIT_SCRIPT });
  return cpio(entries);
}
