// Drivers that Debian's kernel has as modules, for the devices that a user adds to the default guest: an archive that the kernel unpacks behind the first one, and no part of a start without
// such devices.

import { cpio, type CpioEntry } from './cpio.ts';

export interface ModuleFile {
  /** Below lib/modules, with the kernel's version. */
  readonly path: string;
  readonly content: Uint8Array;
}

/** Drivers of virtio devices, shared folders and the watchdog, and what they are used with. */
const DRIVERS = new Set([
  ...['virtio_pci', 'virtio_mmio', 'virtio_blk', 'virtio_net', 'virtio_console', 'virtio_balloon', 'virtio_rng', 'virtio_input'],
  ...['vmw_vsock_virtio_transport', '9p', '9pnet_virtio', 'i6300esb', 'af_packet', 'ext4'],
]);
/** What these need in turn, where it is no part of the kernel. */
const NEEDED = new Set([
  ...['virtio', 'virtio_ring', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'net_failover', 'failover', 'rng_core', 'watchdog'],
  ...['vsock', 'vmw_vsock_virtio_transport_common', '9pnet', 'netfs', 'fscache', 'jbd2', 'mbcache', 'crc16', 'libcrc32c', 'crc32c_generic'],
]);
const MODULE_FILE = /^(?:usr\/)?lib\/modules\/([^/]+\/.*\/([^/]+)\.ko)$/;

const moduleName = (file: string): string => file.replaceAll('-', '_');

/** Undefined: it is none that is wanted. */
export function wantedModule(path: string): string | undefined {
  const match = MODULE_FILE.exec(path);
  if (match === null) return undefined;
  const name = moduleName(match[2]);
  return DRIVERS.has(name) || NEEDED.has(name) ? match[1] : undefined;
}

/** Values of a key in a module's description of itself ("KEY=VALUE", each ended by a zero). */
function described(content: Uint8Array, key: string): readonly string[] {
  const text = Buffer.from(content.buffer, content.byteOffset, content.length).toString('latin1');
  return [...text.matchAll(new RegExp(`(?:^|[^\\x20-\\x7e])${key}=([\\x20-\\x7e]*)\\0`, 'g'))].map(([, value]) => value);
}

/** The lists by which modprobe finds drivers with what they need, and no module that nothing needs. */
export function modulesArchive(modules: readonly ModuleFile[]): Uint8Array {
  const byName = new Map(modules.map((module) => [moduleName(module.path.replace(/^.*\//, '').replace(/\.ko$/, '')), module]));
  const kept = new Map<ModuleFile, ReadonlySet<ModuleFile>>();
  const needs = ({ content }: ModuleFile): readonly ModuleFile[] =>
    described(content, 'depends').flatMap((list) => list.split(',').flatMap((name) => byName.get(moduleName(name)) ?? []));
  /** Whoever needs another stands before it: modprobe loads them from the last to the first. */
  const neededBy = (module: ModuleFile): ReadonlySet<ModuleFile> => {
    const seen = new Set([module]);
    const loaded: ModuleFile[] = [];
    const load = (other: ModuleFile): void => {
      for (const next of needs(other)) {
        if (seen.has(next)) continue;
        seen.add(next);
        load(next);
        loaded.push(next);
      }
    };
    load(module);
    return new Set(loaded.reverse());
  };
  for (const [name, module] of byName) {
    if (!DRIVERS.has(name)) continue;
    kept.set(module, neededBy(module));
    for (const other of neededBy(module)) kept.set(other, neededBy(other));
  }
  if (kept.size === 0) return new Uint8Array(0);
  const version = modules[0].path.split('/')[0];
  const inside = ({ path }: ModuleFile): string => path.slice(version.length + 1);
  const dependencies = [...kept].map(([module, needed]) => `${[`${inside(module)}:`, ...[...needed].map(inside)].join(' ')}\n`);
  const aliases = [...byName].flatMap(([name, module]) =>
    kept.has(module) ? described(module.content, 'alias').map((alias) => `alias ${alias} ${name}\n`) : [],
  );
  return cpio(entriesOf(version, [...kept.keys()], { 'modules.dep': dependencies.join(''), 'modules.alias': aliases.join('') }));
}

function entriesOf(version: string, modules: readonly ModuleFile[], lists: Readonly<Record<string, string>>): readonly CpioEntry[] {
  const folders = new Set<string>();
  for (const { path } of modules) for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) folders.add(path.slice(0, at));
  const paths = ['lib', 'lib/modules', ...[...folders].sort().map((path) => `lib/modules/${path}`)];
  const file = (path: string, content: Uint8Array | string): CpioEntry => ({
    kind: 'file',
    path: `lib/modules/${path}`,
    mode: 0o644,
    content,
  });
  return [
    ...paths.map((path): CpioEntry => ({ kind: 'directory', path, mode: 0o755 })),
    ...modules.map(({ path, content }) => file(path, content)),
    ...Object.entries(lists).map(([name, content]) => file(`${version}/${name}`, content)),
  ];
}
