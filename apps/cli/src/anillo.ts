// The command `anillo`: its subcommands.

import { imageCommand } from './image/image-command.ts';
import { nearest } from './option-table.ts';
import { RUN_HELP, runCommand } from './run-command.ts';
import { nbdCommand } from './nbd-command.ts';
import { switchCommand } from './switch-command.ts';
import { VERSION } from './version.ts';

const HELP = `Usage: anillo COMMAND [OPTION...]

Commands:
  nbd         Serve a disk image to other programs; 'anillo nbd --help'.
  run         Run a machine in this terminal; without options Debian Linux with BusyBox.
  switch      Join a switch that machines share, and lend it a router; 'anillo switch --help'.
  image       Make, look at and change disk images; 'anillo image --help'.

Options:
  -h, --help  This text.
  --version   The version.

${RUN_HELP}`;

/** Status for the process. */
export async function anillo(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (command === 'nbd') return nbdCommand(rest);
  if (command === 'run') return runCommand(rest);
  if (command === 'switch') return switchCommand(rest);
  if (command === 'image') return imageCommand(rest);
  if (command === '--version' || command === '-V') {
    process.stdout.write(`anillo ${VERSION}\n`);
    return 0;
  }
  if (command === undefined || command === '--help' || command === '-h' || command === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  const close = nearest(command.replace(/^-*/, ''), ['run', 'image', 'nbd', 'switch', 'help', 'version']);
  const hint = close === undefined ? "'anillo --help' lists the commands." : `did you mean ${close === 'version' ? '--version' : close}?`;
  process.stderr.write(`anillo: There is no command "${command}"; ${hint}\n`);
  return 2;
}
