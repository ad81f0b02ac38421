// Opens what an NBD server exports, by URI.

import { connect, isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStream } from '@anillo/disk/nbd/byte-stream';
import { type NbdHost, NbdStore } from '@anillo/disk/nbd/nbd-store';
import { nbdUri, parseNbdUri, type SocketAddress } from './nbd-address.ts';
import { SocketStream, type TlsRole } from './socket-stream.ts';

const CONNECT_MS = 10_000;

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there',
  ENOENT: 'the socket does not exist',
  EACCES: 'this user may not',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host cannot be looked up now',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
};

function connectSocket(address: SocketAddress, peer: string, tls: TlsRole | undefined): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    const socket = connect(address);
    const fail = (why: string, cause?: unknown): void => {
      socket.destroy();
      reject(new AnilloError('NETWORK', `${peer} cannot be connected to: ${why}.`, { cause }));
    };
    socket.setTimeout(CONNECT_MS, () => fail('it does not answer'));
    socket.once('error', (cause: NodeJS.ErrnoException) => fail(REASONS[cause.code ?? ''] ?? String(cause.code ?? cause.message), cause));
    socket.once('connect', () => {
      socket.setTimeout(0);
      socket.removeAllListeners('error');
      resolve(new SocketStream(socket, peer, tls));
    });
  });
}

export interface OpenNbdOptions {
  readonly isReadOnly: boolean;
  /** How long requests wait for a lost connection. Default: 30 s. */
  readonly reconnectMs?: number;
  /** Certificates for `nbds:`; by default those that this host trusts. */
  readonly tls?: Extract<TlsRole, { client: unknown }>['client'];
}

/** AnilloError BAD_OPTION, NETWORK. */
export function openNbd(uri: string, { isReadOnly, reconnectMs, tls }: OpenNbdOptions): Promise<NbdStore> {
  const address = parseNbdUri(uri);
  const peer = nbdUri({ ...address, exportName: '' });
  const serverName = 'host' in address.socket ? address.socket.host : 'localhost';
  // A certificate may be one for an address; what is asked for by name may not.
  const role = address.usesTls ? { client: { host: serverName, servername: isIP(serverName) === 0 ? serverName : '', ...tls } } : undefined;
  const host: NbdHost = {
    connect: () => connectSocket(address.socket, peer, role),
    sleep: (timeoutMs) => sleep(timeoutMs, undefined, { ref: false }),
  };
  return NbdStore.connect(host, { name: uri, exportName: address.exportName, isReadOnly, reconnectMs, usesTls: address.usesTls });
}
