// What a killed writer may leave of a qcow2 image: nothing wrong, and no leaks but those of clusters that were counted and not named yet; with lazy refcounts an image that
// says itself that its counts are to be made anew.

import { spawnSync } from 'node:child_process';
import { checkImage } from '@anillo/disk/qcow2/check';
import { INCOMPATIBLE, readHeader } from '@anillo/disk/qcow2/header';
import { openFileStore } from '@anillo/host-node/file-store';
import { withoutQemuImg } from '../qemu-image.ts';

export interface FoundQcow2 {
  readonly leaks: number;
  /** It says that its counts are to be made anew. */
  readonly isDirty: boolean;
  /** Sentences. */
  readonly wrong: readonly string[];
}

/** Status of `qemu-img check` for an image that has leaked clusters and nothing worse. */
const ONLY_LEAKS = 3;

export async function checkQcow2(path: string): Promise<FoundQcow2> {
  const store = await openFileStore(path, { isReadOnly: true });
  try {
    const header = await readHeader(store);
    const isDirty = (header.incompatible & INCOMPATIBLE.dirty) !== 0n;
    const lines: string[] = [];
    const { corruptions, checkErrors, leaks } = await checkImage(store, header, 'none', (line) => lines.push(line));
    if (isDirty) return { leaks: 0, isDirty, wrong: [] };
    const wrong = corruptions + checkErrors > 0 ? lines : [];
    return { leaks, isDirty, wrong: [...wrong, ...qemuFinds(path)] };
  } finally {
    await store.close();
  }
}

function qemuFinds(path: string): readonly string[] {
  if (withoutQemuImg !== false) return [];
  const { status, stdout, stderr } = spawnSync('qemu-img', ['check', '-f', 'qcow2', path], { encoding: 'utf8' });
  return status === 0 || status === ONLY_LEAKS ? [] : [`qemu-img check says ${stdout}${stderr}`];
}
