// Runs the command `anillo` (or `anillo-qemu`) as a child process, as its users do.

import { spawn } from 'node:child_process';
import { resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');
const ENTRIES = { anillo: 'apps/cli/src/main.ts', 'anillo-qemu': 'apps/cli/src/qemu/main.ts' } as const;

export interface CliOptions {
  readonly program?: keyof typeof ENTRIES;
  /** Replaces these variables of the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Typed at once; the input ends behind it. Default: nothing, and the input ends. */
  readonly input?: string;
  /** Another program that runs Node (`script`, `unshare`): its arguments come before Node's. */
  readonly under?: readonly string[];
  /** User of the process. */
  readonly uid?: number;
  /** Once this appears on the output, `act` is called. */
  readonly until?: RegExp;
  readonly act?: (child: { kill(signal: NodeJS.Signals): void; type(text: string): void }) => void;
}

export interface CliResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command's words, for a shell. */
export const cliWords = (args: readonly string[], program: keyof typeof ENTRIES = 'anillo'): readonly string[] => [
  process.execPath,
  resolve(ROOT, ENTRIES[program]),
  ...args,
];

export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const words = options.under === undefined ? cliWords(args, options.program) : [...options.under];
  const child = spawn(words[0], words.slice(1), { env: { ...process.env, ...options.env }, uid: options.uid, cwd: ROOT });
  let stdout = '';
  let stderr = '';
  let isMet = false;
  const look = (): void => {
    if (isMet || options.until === undefined || !options.until.test(stdout)) return;
    isMet = true;
    options.act?.({ kill: (signal) => child.kill(signal), type: (text) => child.stdin.write(text) });
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    look();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin.on('error', () => {}); // it may end before it has read everything
  if (options.until === undefined) child.stdin.end(options.input ?? '');
  else child.stdin.write(options.input ?? '');
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (status, signal) => done({ status, signal, stdout, stderr }));
  });
}
