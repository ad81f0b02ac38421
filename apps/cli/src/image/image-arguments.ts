// Arguments of `anillo image`, spelled as qemu-img spells them.

import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { AnilloError } from '@anillo/base/anillo-error';
import type { Disk } from '@anillo/disk/disk';
import type { CreateOptions } from '@anillo/disk/disk-format';
import { openImage, type OpenImageOptions } from '@anillo/disk/open-image';
import { imageFiles } from '@anillo/host-node/image-files';
import { nearest } from '../option-table.ts';

export const refuse = (sentence: string): AnilloError => new AnilloError('BAD_OPTION', sentence);

type Parsed<T extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ options: T; allowPositionals: true }>>;

/** AnilloError BAD_OPTION for what is not known, or for too few or too many names. */
export function parseImageArguments<const T extends ParseArgsOptionsConfig>(
  command: string,
  args: readonly string[],
  options: T,
  counts: readonly [least: number, most: number],
): Parsed<T> {
  let parsed: Parsed<T>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    const word = error instanceof Error ? (/'(-[^' ]*)/.exec(error.message)?.[1] ?? '') : '';
    const isKnown = error instanceof Error && !error.message.startsWith('Unknown');
    const close = nearest(word.replace(/^-*/, ''), Object.keys(options));
    throw refuse(
      isKnown
        ? `${word} of 'image ${command}' needs a value, or takes none; see 'anillo image --help'.`
        : `'image ${command}' has no option ${word}; ${close === undefined ? "see 'anillo image --help'." : `did you mean --${close}?`}`,
    );
  }
  const { length } = parsed.positionals;
  if (length < counts[0] || length > counts[1])
    throw refuse(
      `'image ${command}' ${length < counts[0] ? 'needs the name of an image' : `does not take "${parsed.positionals.at(-1)}"`}; see 'anillo image --help'.`,
    );
  return parsed;
}

/** `-o a=b,c=d`; two commas stand for one in a value. */
export function parseCreateOptions(lists: readonly string[] = []): CreateOptions {
  const options: Record<string, string> = {};
  for (const list of lists)
    for (const part of list.split(/(?<!,),(?!,)/)) {
      const equals = part.indexOf('=');
      if (part === '') continue;
      options[equals < 0 ? part : part.slice(0, equals)] = equals < 0 ? 'on' : part.slice(equals + 1).replaceAll(',,', ',');
    }
  return options;
}

/** An image that the user named: the user answers for what it names. */
export function openNamed(name: string, options: Omit<OpenImageOptions, 'trustsProbe'>, isUnlocked = false): Promise<Disk> {
  return openImage(name, { ...options, trustsProbe: true }, imageFiles({ isUnlocked }));
}

/** 'human' or 'json'. */
export function isJson(output: string | undefined): boolean {
  if (output !== undefined && output !== 'json' && output !== 'human') throw refuse(`--output=${output} is not known; give human or json.`);
  return output === 'json';
}

/** QEMU's form of a size: three digits and a binary unit. */
export function humanSize(bytes: number): string {
  const unit = bytes === 0 ? 0 : Math.max(0, Math.floor(Math.floor(Math.log2(bytes / (1000 / 1024))) / 10));
  return `${Number((bytes / 1024 ** unit).toPrecision(3))} ${['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'][unit]}B`;
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 4)}\n`);
}
