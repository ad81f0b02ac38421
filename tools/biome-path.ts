// Where Biome's program is: its platform packages are dependencies of their own, so that no install script has to run.

import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Undefined where the npm registry has no package for this platform. */
export function biomePath(): string | undefined {
  const path = join(import.meta.dirname, '..', 'node_modules', '@biomejs', `cli-${process.platform}-${process.arch}`, 'biome');
  return existsSync(path) ? path : undefined;
}
