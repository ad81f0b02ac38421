// Images in files of this host: opened by name, made anew, or for as long as a process lives.

import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import type { ByteStore } from '@anillo/disk/byte-store';
import type { ImageHost } from '@anillo/disk/disk-format';
import { openFileStore } from './file-store.ts';
import { isNbdUri } from './nbd-address.ts';
import { openNbd } from './nbd-client.ts';
import { NODE_CODECS } from './node-codecs.ts';

/** What an image calls another file goes from the folder that the image is in. */
export function imagePath(name: string, beside: string): string {
  const path = name.replace(/^file:(\/\/)?/, '');
  return beside === '' || isAbsolute(path) ? path : join(dirname(beside), path);
}

/** `isUnlocked`: reads what another process may be changing. */
export function imageFiles(options: { readonly isUnlocked?: boolean } = {}): ImageHost {
  return {
    codecs: NODE_CODECS,
    openStore: (name, beside, isReadOnly): Promise<ByteStore> =>
      isNbdUri(name)
        ? openNbd(name, { isReadOnly })
        : openFileStore(imagePath(name, beside), { isReadOnly, isUnlocked: options.isUnlocked }),
  };
}

/** An empty file, which no image of this name is any more. AnilloError FILE, also where it is in use. */
export function createFileStore(path: string): Promise<ByteStore> {
  return openFileStore(path, { isReadOnly: false, isNew: true });
}

/** Takes room on the host's disk until it is closed or the process ends, however that ends. */
export function createTemporaryStore(): Promise<ByteStore> {
  return openFileStore(join(tmpdir(), `anillo-${randomUUID()}.img`), { isReadOnly: false, isNew: true, isTemporary: true });
}
