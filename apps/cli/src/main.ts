// The command `anillo`, from source.

import { anillo } from './anillo.ts';
import { enterCommand } from './enter-command.ts';

await enterCommand('anillo', anillo);
