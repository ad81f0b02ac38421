// Unpacks archives in cpio's "newc" format, one after the other as Linux takes them for its first root file system; devices are left out.

import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const HEADER_BYTES = 110;
const TYPE_MASK = 0o170000;
const TYPES = new Map([
  [0o040000, 'directory'],
  [0o100000, 'file'],
  [0o120000, 'symlink'],
]);

const aligned = (value: number): number => (value + 3) & -4;

/** `archives` were made by cpio() of the default guest; a file replaces what is there by that name. */
export function unpackCpio(archives: Buffer, folder: string): void {
  let at = 0;
  while (at + HEADER_BYTES <= archives.length) {
    // Padding between archives.
    if (archives[at] === 0) {
      at += 4;
      continue;
    }
    const field = (index: number): number => Number.parseInt(archives.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    const mode = field(1);
    const nameEnd = at + HEADER_BYTES + field(11);
    const name = archives.toString('utf8', at + HEADER_BYTES, nameEnd - 1);
    const start = aligned(nameEnd);
    const content = archives.subarray(start, start + field(6));
    at = aligned(start + content.length);
    const path = join(folder, name);
    const type = TYPES.get(mode & TYPE_MASK);
    if (type === 'directory') mkdirSync(path, { recursive: true, mode: mode & 0o7777 });
    else if (type !== undefined) rmSync(path, { force: true });
    if (type === 'file') writeFileSync(path, content, { mode: mode & 0o7777 });
    if (type === 'symlink') symlinkSync(content.toString('utf8'), path);
  }
}
