// The published package's part of build-start.ts: the scripts are there and the snapshot, which belongs to one version of Node, is made at the first start.

import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeStartImage, SCRIPT_FILES } from './start-image.ts';

async function rebuild(folder: string): Promise<void> {
  const made = await makeStartImage(folder, async (work) => {
    for (const name of SCRIPT_FILES) copyFileSync(join(folder, name), join(work, name));
    return [];
  });
  process.exitCode = made ? 0 : 1;
}

void rebuild(__dirname);
