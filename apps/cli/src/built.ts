// Both commands as one script (tools/bundle.ts): `node anillo.cjs NAME [ARGUMENT...]`. Built into a start-up snapshot it is further along: modules
// evaluated, the translator's runtime module generated, what Node loads late loaded.

import { startupSnapshot } from 'node:v8';
import { prepareAccelerator } from 'anillo/registry';
import { anillo } from './anillo.ts';
import { enterCommand } from './enter-command.ts';
import { anilloQemu } from './qemu/anillo-qemu.ts';
import { withSourceLines } from './source-lines.ts';
import { warmHost } from './warm-host.ts';

function main(): void {
  const [script, name, ...args] = process.argv.slice(1);
  enterCommand(name, name === 'anillo-qemu' ? anilloQemu : anillo, args).catch((error: unknown) => {
    throw withSourceLines(error, script);
  });
}

if (startupSnapshot.isBuildingSnapshot()) {
  warmHost();
  void prepareAccelerator();
  startupSnapshot.setDeserializeMainFunction(main);
} else main();
