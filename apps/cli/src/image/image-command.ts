// `anillo image`: disk images, in the words of qemu-img.

import { AnilloError } from '@anillo/base/anillo-error';
import { nearest } from '../option-table.ts';
import { buildCommand } from './build/build-command.ts';
import { commitCommand, rebaseCommand, resizeCommand, snapshotCommand } from './change-command.ts';
import { checkCommand } from './check-command.ts';
import { compareCommand, convertCommand } from './convert-command.ts';
import { createCommand, measureCommand } from './create-command.ts';
import { infoCommand, mapCommand } from './info-command.ts';

const COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  create: createCommand,
  info: infoCommand,
  check: checkCommand,
  map: mapCommand,
  convert: convertCommand,
  resize: resizeCommand,
  snapshot: snapshotCommand,
  commit: commitCommand,
  rebase: rebaseCommand,
  compare: compareCommand,
  measure: measureCommand,
  build: buildCommand,
};

export const IMAGE_HELP = `Usage: anillo image COMMAND [OPTION...] IMAGE...

Makes, looks at and changes disk images, in the words of qemu-img.

  create [-q] [-f FMT] [-b BACKING -F FMT] [-u] [-o OPTIONS] IMAGE [SIZE]
  info [-f FMT] [--output=human|json] [--backing-chain] [-U] IMAGE
  check [-f FMT] [--output=human|json] [-r leaks|all] [-q] [-U] IMAGE
  map [-f FMT] [--output=human|json] [-s OFFSET] [-l LENGTH] [-U] IMAGE
  convert [-f FMT] [-O FMT] [-o OPTIONS] [-c] [-S SIZE] [-n] [-l SNAPSHOT] [-p] [-q] [-U] IMAGE TARGET
  resize [-f FMT] [--shrink] [-q] IMAGE [+|-]SIZE
  snapshot [-l | -c NAME | -a NAME | -d NAME] [-U] IMAGE
  commit [-f FMT] [-d] [-p] [-q] IMAGE
  rebase [-f FMT] -b BACKING [-F FMT] [-u] [-p] [-q] IMAGE
  compare [-f FMT] [-F FMT] [-s] [-p] [-q] [-U] IMAGE IMAGE
  measure [-f FMT] [-O FMT] [-o OPTIONS] [-l SNAPSHOT] [--output=human|json] [--size SIZE | IMAGE]
  build debian [--suite NAME] [--size SIZE] [--packages NAME,...] [--ssh-key FILE] [--user NAME] [--hostname NAME]
      [--user-data FILE] [--mirror URL] [-f FMT] [--force] [-q] IMAGE

Statuses are qemu-img's: 1 for what went wrong; check: 2 damaged, 3 leaks, 63 no check; compare: 1 different, 2 for what went wrong.
`;

/** Status for the process. */
export async function imageCommand(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help' || rest.includes('--help')) {
    process.stdout.write(IMAGE_HELP);
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  try {
    if (command !== undefined) return await command(rest);
    const close = nearest(name, Object.keys(COMMANDS));
    throw new AnilloError(
      'BAD_OPTION',
      `There is no command "image ${name}"; ${close === undefined ? "'anillo image --help' lists them." : `did you mean ${close}?`}`,
    );
  } catch (error) {
    if (!(error instanceof AnilloError)) throw error;
    process.stderr.write(`anillo image: ${error.message}\n`);
    return name === 'compare' ? 2 : 1;
  }
}
