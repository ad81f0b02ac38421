// Devices that a user may add to a board by name; one line each. The board's own devices are made by the board.

import type { DeviceDeclaration } from './device-declaration.ts';
import { uart16550 } from './serial/uart16550.ts';
import { debugConsole } from './system/debug-console.ts';
import { isaDebugExit } from './system/isa-debug-exit.ts';
import { pcTestdev } from './system/pc-testdev.ts';
import { pvPanic } from './system/pvpanic.ts';

export const CATALOG: readonly DeviceDeclaration[] = [debugConsole, isaDebugExit, pcTestdev, pvPanic, uart16550];

/** The declaration of that name, if any. */
export function findDevice(name: string): DeviceDeclaration | undefined {
  return CATALOG.find((declaration) => declaration.name === name);
}
