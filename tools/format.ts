// `npm run format`: rewrites the sources in the project's format and applies the safe fixes of the linter.

import { spawnSync } from 'node:child_process';
import { biomePath } from './biome-path.ts';

const biome = biomePath();
if (biome === undefined) {
  process.stderr.write(`No Biome package for ${process.platform}-${process.arch}; format on Linux.\n`);
  process.exitCode = 2;
} else {
  process.exitCode = spawnSync(biome, ['check', '--write', ...process.argv.slice(2)], { stdio: 'inherit' }).status ?? 1;
}
