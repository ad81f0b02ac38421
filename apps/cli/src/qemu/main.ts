// The command `anillo-qemu`.

import { enterCommand } from '../enter-command.ts';
import { anilloQemu } from './anillo-qemu.ts';

await enterCommand('anillo-qemu', anilloQemu);
