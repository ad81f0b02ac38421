// Reading a file that the user named: every failure is one sentence.

import { closeSync, openSync, read, readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { AnilloError } from '@anillo/base/anillo-error';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist; check the path',
  ENOTDIR: 'does not exist (a part of its path is a file); check the path',
  EACCES: 'cannot be read by this user; change its permissions',
  EPERM: 'cannot be read by this user; change its permissions',
  EISDIR: 'is a directory; give a file',
  ELOOP: 'is a symbolic link in a circle; check the path',
  ENAMETOOLONG: 'has too long a name; check the path',
  EIO: 'cannot be read (input/output error); check the disk',
  EMFILE: 'cannot be opened (too many open files); raise the limit with ulimit -n',
  ERR_FS_FILE_TOO_LARGE: 'is too large',
};

/** Why an operation of node:fs failed, without the path. */
export function fileErrorReason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? `cannot be used (${code === '' ? String(error) : code})`;
}

const LONGEST_READ = 1 << 30;

/** In as few reads as it takes, where `readFile` makes one for each half MiB; the first is under way when this returns. */
async function readRegularFile(path: string, byteCount: number): Promise<Uint8Array> {
  const file = openSync(path, 'r');
  try {
    const bytes = new Uint8Array(byteCount);
    let filled = 0;
    for (let count = -1; filled < byteCount && count !== 0; filled += count)
      count = await readSome(file, bytes.subarray(filled, filled + LONGEST_READ));
    return bytes.subarray(0, filled);
  } finally {
    closeSync(file);
  }
}

const readSome = (file: number, into: Uint8Array): Promise<number> =>
  new Promise((resolve, reject) => {
    read(file, into, 0, into.length, null, (error, count) => (error ? reject(error) : resolve(count)));
  });

const sentence = (path: string, what: string, reason: string, cause?: unknown): AnilloError =>
  new AnilloError('FILE', `The ${what} ${path === '' ? '""' : path} ${reason}.`, { cause });
const EMPTY = 'is empty; copy it again';

/** Whole content. `what` names the file's part in the sentence ("kernel"). AnilloError FILE when it is missing, unreadable, no file, or empty. */
export async function readHostFile(path: string, what: string): Promise<Uint8Array> {
  try {
    // At once, so that the host reads while the caller goes on.
    const found = statSync(path);
    if (found.isDirectory()) throw sentence(path, what, REASONS.EISDIR);
    if (found.isCharacterDevice() || found.isBlockDevice()) throw sentence(path, what, 'is a device; give a file');
    const bytes = found.isFile() && found.size > 0 ? await readRegularFile(path, found.size) : await readFile(path);
    if (bytes.length === 0) throw sentence(path, what, EMPTY);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  } catch (error) {
    throw error instanceof AnilloError ? error : sentence(path, what, fileErrorReason(error), error);
  }
}

/** What reads a file that has been read once more, wherever the process has gone since; undefined for pipes and the like, which give their bytes once. */
export function hostFileRereader(path: string, what: string): (() => Uint8Array) | undefined {
  const place = resolve(path);
  if (statSync(place, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  return () => {
    try {
      const bytes = readFileSync(place);
      if (bytes.length === 0) throw sentence(path, what, EMPTY);
      return bytes;
    } catch (error) {
      throw error instanceof AnilloError ? error : sentence(path, what, fileErrorReason(error), error);
    }
  };
}
