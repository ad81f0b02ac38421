// File systems with a Linux in /boot that is none, for tests: what our writer makes, on a disk in memory.

import { Ext4Writer } from '../ext4/ext4-writer.ts';
import { MemoryStore } from '../memory-store.ts';
import { RAW } from '../raw.ts';

export const TINY_KERNEL = Uint8Array.from({ length: 300_001 }, (_, i) => (i * 7) >> 3);
export const TINY_INITRD = Uint8Array.from({ length: 9000 }, (_, i) => (i % 4096 < 100 ? 0 : i));
export const TINY_UUID = Uint8Array.from({ length: 16 }, (_, i) => i * 17);
const OWN = { mode: 0o644, user: 0, group: 0, modifyTime: 1_700_000_000 };
const FOLDER = { ...OWN, mode: 0o755 };

export async function allBytes(store: MemoryStore): Promise<Uint8Array> {
  const bytes = new Uint8Array(await store.size());
  await store.read(0, [bytes]);
  return bytes;
}

/** `prepare` adds to the usual folders; by default a kernel of one version with its initial RAM disk. */
export async function tinyLinux(byteCount: number, prepare = addKernel): Promise<Uint8Array> {
  const store = new MemoryStore('tiny');
  await store.resize(byteCount);
  const disk = await RAW.open(store, { isReadOnly: false }, { codecs: {}, openStore: async () => store });
  const writer = new Ext4Writer(disk, { uuid: TINY_UUID, hashSeed: TINY_UUID, makeTime: OWN.modifyTime, label: 'tiny' });
  for (const path of ['boot', 'etc', 'usr', 'usr/bin']) writer.addDirectory({ ...FOLDER, path });
  await prepare(writer);
  await writer.finish();
  return allBytes(store);
}

export async function addKernel(writer: Ext4Writer): Promise<void> {
  await writer.addFile({ ...OWN, path: 'boot/vmlinuz-6.1.0-9-test' }, 5, ['older'].map(bytesOf));
  await writer.addFile({ ...OWN, path: 'boot/vmlinuz-6.1.0-10-test' }, TINY_KERNEL.length, [TINY_KERNEL]);
  await writer.addFile({ ...OWN, path: 'boot/initrd.img-6.1.0-10-test' }, TINY_INITRD.length, [TINY_INITRD]);
}

export const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
export const OWN_FILE = OWN;
export const OWN_FOLDER = FOLDER;
