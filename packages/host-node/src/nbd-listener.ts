// Listens for clients of NBD on a TCP port or a Unix socket.

import { createServer, type Server, type Socket } from 'node:net';
import { AnilloError } from '@anillo/base/anillo-error';
import { type NbdServerOptions, serveNbd } from '@anillo/disk/nbd/nbd-server';
import type { SocketAddress } from './nbd-address.ts';
import { SocketStream, type TlsRole } from './socket-stream.ts';

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use; choose another',
  EACCES: 'may not be used by this user; choose another',
  EADDRNOTAVAIL: 'is no address of this host; choose another',
  ENOTFOUND: 'is no address; check its spelling',
  ENOENT: 'lies in a folder that does not exist; make it',
};

export interface NbdListenOptions extends NbdServerOptions {
  readonly address: SocketAddress;
  readonly tls?: Extract<TlsRole, { server: unknown }>['server'];
  /** More clients than this wait. Default: 64. */
  readonly maxClients?: number;
  /** The last client has gone. */
  readonly onIdle?: () => void;
}

/** A client that says nothing while it should choose is let go. */
const IDLE_HANDSHAKE_MS = 30_000;

export class NbdListener {
  readonly #server: Server;
  readonly #clients = new Map<Socket, Promise<void>>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** AnilloError NETWORK. */
  static async listen(options: NbdListenOptions): Promise<NbdListener> {
    const { address, maxClients = 64 } = options;
    const server = createServer();
    server.maxConnections = maxClients;
    const listener = new NbdListener(server);
    server.on('connection', (socket) => listener.#serve(socket, options));
    const where = 'path' in address ? address.path : `${address.host}:${address.port}`;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) =>
        reject(new AnilloError('NETWORK', `${where} ${REASONS[cause.code ?? ''] ?? `cannot be listened on (${cause.code})`}.`, { cause })),
      );
      server.listen(address, resolve);
    });
    return listener;
  }

  /** The port that it listens on; 0 of a Unix socket. */
  get port(): number {
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? 0 : address.port;
  }

  #serve(socket: Socket, options: NbdListenOptions): void {
    const peer = socket.remoteAddress === undefined ? 'the client' : `${socket.remoteAddress}:${socket.remotePort}`;
    const stream = new SocketStream(socket, peer, options.tls === undefined ? undefined : { server: options.tls });
    const timer = setTimeout(() => socket.destroy(), IDLE_HANDSHAKE_MS);
    const served = serveNbd(stream, { ...options, onChosen: () => clearTimeout(timer) }).finally(() => {
      clearTimeout(timer);
      this.#clients.delete(socket);
      if (this.#clients.size === 0) options.onIdle?.();
    });
    this.#clients.set(socket, served);
  }

  /** Lets all clients go and waits for what they had under way. */
  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#clients.keys()) socket.destroy();
    await Promise.all(this.#clients.values());
  }
}
