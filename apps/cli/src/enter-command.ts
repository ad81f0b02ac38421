// The outermost frame of a command: one sentence and status 2 for what its user got wrong; the status of the process for the rest.

import { AnilloError } from '@anillo/base/anillo-error';

export async function enterCommand(
  name: string,
  command: (args: readonly string[]) => Promise<number>,
  args: readonly string[] = process.argv.slice(2),
): Promise<void> {
  // A reader that goes away (`| head`) is no reason for a stack trace.
  process.stdout.on('error', () => {});
  let status = 2;
  try {
    status = await command(args);
  } catch (error) {
    if (!(error instanceof AnilloError)) throw error;
    process.stderr.write(`${name}: ${error.message}\n`);
  }
  // Standard input may still be open, and would keep the process.
  await Promise.all([process.stdout, process.stderr].map((stream) => new Promise<void>((done) => stream.write('', () => done()))));
  process.exit(status);
}
