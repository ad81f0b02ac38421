// Makes build/start from the sources: what apps/cli/bin/launch runs when it is not fresh.

import { join, resolve } from 'node:path';
import { bundleCommand } from './bundle.ts';
import { makeStartImage } from './start-image.ts';

const root = resolve(import.meta.dirname, '..');
const made = await makeStartImage(join(root, 'build/start'), (work) => bundleCommand(root, work));
process.exitCode = made ? 0 : 1;
