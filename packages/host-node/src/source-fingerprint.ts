// Says which state of some source files this is, for what is generated from them and kept.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const SOURCE = /\.[cm]?[jt]s$/;

/**
 * Of all source files below the folders, tests aside, and of the version of Node: by name, size and time of change, or by content, which is the same wherever they lie.
 */
export function sourceFingerprint(folders: readonly string[], by: 'time' | 'content' = 'time'): string {
  const hash = createHash('sha256').update(process.version);
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (SOURCE.test(entry.name) && !entry.name.endsWith('.test.ts')) {
        if (by === 'content') hash.update(`${entry.name}\n`).update(readFileSync(path));
        else {
          const { size, mtimeMs } = statSync(path);
          hash.update(`${path} ${size} ${mtimeMs}\n`);
        }
      }
    }
  };
  for (const folder of new Set(folders)) visit(folder);
  return hash.digest('hex').slice(0, 32);
}
