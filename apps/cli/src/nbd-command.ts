// `anillo nbd serve`: gives a disk image to clients of NBD until it is interrupted.

import { readFileSync } from 'node:fs';
import { AnilloError } from '@anillo/base/anillo-error';
import { NbdExport } from '@anillo/disk/nbd/nbd-server';
import { openImage } from '@anillo/disk/open-image';
import { imageFiles } from '@anillo/host-node/image-files';
import { nbdUri, type SocketAddress } from '@anillo/host-node/nbd-address';
import { NbdListener } from '@anillo/host-node/nbd-listener';
import { interrupted } from './interrupted.ts';
import { type OptionValues, optionHelp, parseOptions } from './option-table.ts';

const SERVE_OPTIONS = {
  bind: { argument: 'ADDRESS', short: '-b', help: 'Address to listen on. Default: 127.0.0.1.' },
  port: { argument: 'PORT', short: '-p', help: 'TCP port. Default: 10809; 0: any that is free.' },
  socket: { argument: 'PATH', short: '-k', help: 'Unix socket to listen on instead.' },
  export: { argument: 'NAME', short: '-x', help: 'Name of the export. Default: the empty one.' },
  description: { argument: 'TEXT', short: '-D', help: 'What the list of exports tells of it.' },
  format: { argument: 'FORMAT', short: '-f', help: 'Format of the image. Default: guessed.' },
  'read-only': { short: '-r', help: 'Nobody writes to it.' },
  shared: { argument: 'NUMBER', short: '-e', help: 'Clients at once. Default: 64.' },
  'tls-certificate': { argument: 'FILE', help: 'Clients have to encrypt; with this certificate (PEM)...' },
  'tls-key': { argument: 'FILE', help: '...and its key (PEM).' },
  help: { short: '-h', help: 'This text.' },
} as const;

const NBD_HELP = `Usage: anillo nbd serve IMAGE [OPTION...]

Serves a disk image by NBD until it is interrupted (Ctrl-C), and prints its URI when clients can come.

${optionHelp(SERVE_OPTIONS)}
`;

type ServeValues = OptionValues<typeof SERVE_OPTIONS>;

const bad = (sentence: string): AnilloError => new AnilloError('BAD_OPTION', sentence);

function wholeNumber(name: string, text: string | undefined, fallback: number, most: number): number {
  if (text === undefined) return fallback;
  if (!/^\d{1,9}$/.test(text) || Number(text) > most) throw bad(`--${name} does not take "${text}"; give a number up to ${most}.`);
  return Number(text);
}

function addressOf({ bind, port, socket }: ServeValues): SocketAddress {
  if (socket === undefined) return { host: bind ?? '127.0.0.1', port: wholeNumber('port', port, 10809, 65535) };
  if (bind !== undefined || port !== undefined) throw bad('--socket is instead of --bind and --port; leave those out.');
  return { path: socket };
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new AnilloError('FILE', `${path} cannot be read; check the path.`, { cause });
  }
}

function tlsOf({
  'tls-certificate': certificate,
  'tls-key': key,
}: ServeValues): { readonly cert: Buffer; readonly key: Buffer } | undefined {
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate === undefined || key === undefined) throw bad('TLS needs both --tls-certificate and --tls-key.');
  return { cert: readPem(certificate), key: readPem(key) };
}

async function serve(image: string, values: ServeValues): Promise<number> {
  const address = addressOf(values);
  const tls = tlsOf(values);
  const maxClients = wholeNumber('shared', values.shared, 64, 1024);
  const isReadOnly = values['read-only'] === true;
  const disk = await openImage(image, { isReadOnly, format: values.format, trustsProbe: true }, imageFiles());
  try {
    const name = values.export ?? '';
    const exports = [new NbdExport({ name, description: values.description, disk, isReadOnly })];
    const listener = await NbdListener.listen({ exports, address, tls, requiresTls: tls !== undefined, maxClients });
    const socket = 'path' in address ? address : { host: address.host, port: listener.port };
    process.stdout.write(`${nbdUri({ socket, exportName: name, usesTls: tls !== undefined })}\n`);
    await interrupted();
    await listener.close();
  } finally {
    await disk.close();
  }
  return 0;
}

/** Status for the process. */
export async function nbdCommand(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (command === '--help' || command === '-h' || command === undefined || rest.some((word) => word === '--help' || word === '-h')) {
    process.stdout.write(NBD_HELP);
    return 0;
  }
  if (command !== 'serve') throw bad(`There is no command "nbd ${command}"; 'anillo nbd serve IMAGE' serves an image.`);
  // The image's name is the first word or the last.
  const at = rest[0]?.startsWith('-') === false ? 0 : rest.length - 1;
  const image = rest[at];
  if (image === undefined || image.startsWith('-'))
    throw bad("'anillo nbd serve' needs the name of an image, before or behind its options.");
  return serve(image, parseOptions('anillo nbd serve', SERVE_OPTIONS, rest.toSpliced(at, 1)));
}
