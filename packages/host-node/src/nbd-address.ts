// Where an NBD server is, as URIs say it (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md).

import { AnilloError } from '@anillo/base/anillo-error';

export const NBD_DEFAULT_PORT = 10809;

/** By TCP, or by a Unix socket. */
export type SocketAddress = { readonly host: string; readonly port: number } | { readonly path: string };

export interface NbdAddress {
  readonly socket: SocketAddress;
  readonly exportName: string;
  readonly usesTls: boolean;
}

export const isNbdUri = (text: string): boolean => /^nbds?(\+unix)?:/i.test(text);

/** `nbd://HOST[:PORT]/EXPORT`, `nbd+unix:///EXPORT?socket=PATH`; `nbds` for TLS. AnilloError BAD_OPTION. */
export function parseNbdUri(text: string): NbdAddress {
  const bad = (why: string): AnilloError =>
    new AnilloError(
      'BAD_OPTION',
      `${text} is no address of an NBD server: ${why}; write nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH.`,
    );
  let uri: URL;
  try {
    uri = new URL(text);
  } catch {
    throw bad('it is no URI');
  }
  const scheme = /^(nbds?)(\+unix)?:$/.exec(uri.protocol);
  if (scheme === null) throw bad(`${uri.protocol} is another scheme`);
  if (uri.username !== '' || uri.password !== '') throw bad('user names are not known there');
  const usesTls = scheme[1] === 'nbds';
  let exportName: string;
  try {
    exportName = decodeURIComponent(uri.pathname.replace(/^\//, ''));
  } catch {
    throw bad('its name is not spelled right');
  }
  const path = uri.searchParams.get('socket');
  if (scheme[2] !== undefined) {
    if (uri.host !== '') throw bad('a Unix socket has no host');
    if (path === null || path === '') throw bad('it names no socket');
    return { socket: { path }, exportName, usesTls };
  }
  if (path !== null) throw bad('a socket is named by nbd+unix');
  const port = uri.port === '' ? NBD_DEFAULT_PORT : Number(uri.port);
  const host = uri.hostname === '' ? 'localhost' : uri.hostname.replace(/^\[(.*)\]$/, '$1');
  return { socket: { host, port }, exportName, usesTls };
}

/** The URI of an export, as clients take it. */
export function nbdUri({ socket, exportName, usesTls }: NbdAddress): string {
  const scheme = usesTls ? 'nbds' : 'nbd';
  const name = exportName.split('/').map(encodeURIComponent).join('/');
  if ('path' in socket) return `${scheme}+unix:///${name}?socket=${encodeURIComponent(socket.path).replaceAll('%2F', '/')}`;
  const host = socket.host.includes(':') ? `[${socket.host}]` : socket.host;
  return `${scheme}://${host}:${socket.port}/${name}`;
}
