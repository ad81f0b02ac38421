// Listens for a debugger; one at a time. A peer that sends faster than it reads is held up, and cut off when it does not read at all.

import { createServer, type Server, type Socket } from 'node:net';
import { AnilloError } from '@anillo/base/anillo-error';
import { GdbSession, type GdbTarget } from './gdb-session.ts';

export interface GdbServerOptions {
  /** HOST:PORT, :PORT or PORT; without a host only this computer can connect. */
  readonly listen: string;
  readonly target: GdbTarget;
  /** The debugger asked for the machine's end. */
  readonly onKill: () => void;
}

const DEFAULT_HOST = '127.0.0.1';
const UNREAD_LIMIT_BYTES = 4 * 1024 * 1024;
const LISTEN_SENTENCES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use; choose another port',
  EACCES: 'is not allowed for this user; choose a port above 1023',
  EADDRNOTAVAIL: 'is not an address of this computer; use 127.0.0.1',
  ENOTFOUND: 'has a host name that is not known; use 127.0.0.1',
};

/** AnilloError BAD_OPTION for what is no address. */
export function parseListenAddress(text: string): { readonly host: string; readonly port: number } {
  const parts = /^(?:(\[[0-9a-fA-F:.]+\]|[^:\s]*):)?(\d{1,5})$/.exec(text.replace(/^tcp:/, ''));
  const port = Number(parts?.[2] ?? -1);
  if (parts === null || port > 65_535)
    throw new AnilloError('BAD_OPTION', `"${text}" is no address to listen on; write HOST:PORT, such as 127.0.0.1:1234.`);
  return { host: (parts[1] || DEFAULT_HOST).replace(/^\[|\]$/g, ''), port };
}

export class GdbServer {
  readonly #server: Server;
  readonly #target: GdbTarget;
  readonly #onKill: () => void;
  #socket: Socket | undefined;
  #session: GdbSession | undefined;

  private constructor(options: GdbServerOptions) {
    this.#target = options.target;
    this.#onKill = options.onKill;
    this.#server = createServer({ noDelay: true }, (socket) => void this.#accept(socket));
  }

  /** Resolves when it listens; AnilloError BAD_OPTION or NETWORK. */
  static async listen(options: GdbServerOptions): Promise<GdbServer> {
    const { host, port } = parseListenAddress(options.listen);
    const server = new GdbServer(options);
    await new Promise<void>((done, fail) => {
      server.#server.once('error', (cause: NodeJS.ErrnoException) => {
        const why = LISTEN_SENTENCES[cause.code ?? ''] ?? `cannot be listened on (${cause.code}); choose another`;
        fail(new AnilloError('NETWORK', `The debugger's address ${host}:${port} ${why}.`, { cause }));
      });
      server.#server.listen(port, host, done);
    });
    return server;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async #accept(socket: Socket): Promise<void> {
    socket.on('error', () => socket.destroy());
    if (this.#socket !== undefined) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    socket.pause();
    socket.on('close', () => this.#hangUp(true));
    try {
      await this.#target.pause();
    } catch {
      socket.destroy();
      return;
    }
    if (this.#socket !== socket) {
      this.#target.resume();
      return;
    }
    const session = new GdbSession(this.#target, { send: (text) => this.#send(socket, text), end: (kill) => this.#end(kill) });
    this.#session = session;
    socket.on('data', (chunk: Buffer) => session.receive(chunk));
    socket.on('drain', () => socket.resume());
    socket.resume();
  }

  #send(socket: Socket, text: string): void {
    if (!socket.writable) return;
    if (socket.writableLength > UNREAD_LIMIT_BYTES) socket.destroy();
    else if (!socket.write(text, 'latin1')) socket.pause();
  }

  #end(kill: boolean): void {
    const socket = this.#socket;
    this.#hangUp(!kill);
    socket?.end();
    if (kill) this.#onKill();
  }

  #hangUp(resume: boolean): void {
    const session = this.#session;
    this.#session = undefined;
    this.#socket = undefined;
    if (session === undefined) return;
    session.close();
    if (!resume) return;
    try {
      this.#target.resume();
    } catch {
      // The machine has ended: there is nothing to resume.
    }
  }

  /** The machine has ended with that status: tells the debugger and stops listening. */
  async close(status: number): Promise<void> {
    this.#session?.exited(status);
    this.#session = undefined;
    this.#socket?.end();
    this.#socket?.unref();
    const closed = new Promise<void>((done) => this.#server.close(() => done()));
    this.#socket?.destroySoon();
    await closed;
  }
}
