// Listens for programs that control the machine by QMP, on a Unix socket or a TCP port. One client at a time: others wait.

import { lstatSync, unlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { AnilloError } from '@anillo/base/anillo-error';
import { parseListenAddress } from '../gdb/gdb-server.ts';
import type { QmpMachine } from './qmp-commands.ts';
import { QmpSession } from './qmp-session.ts';

const UNREAD_LIMIT_BYTES = 4 * 1024 * 1024;

type Address = { readonly path: string } | { readonly host: string; readonly port: number };

export interface QmpAddress {
  readonly address: Address;
  /** The machine starts when a client has come. */
  readonly waits: boolean;
}

/** `unix:PATH` or `tcp:HOST:PORT`, with `,server=on` and `,wait=on|off`. AnilloError BAD_OPTION. `waits`: unless it says. */
export function parseQmpAddress(option: string, text: string, waits: boolean): QmpAddress {
  const bad = (why: string): never => {
    throw new AnilloError('BAD_OPTION', `${option} ${text}: ${why}; write for example unix:/run/machine.qmp,server=on,wait=off.`);
  };
  const [place, ...settings] = text.split(',');
  let isWaiting = waits;
  for (const setting of settings) {
    if (setting === 'server' || setting === 'server=on') continue;
    else if (setting === 'wait' || setting === 'wait=on') isWaiting = true;
    else if (setting === 'nowait' || setting === 'wait=off') isWaiting = false;
    else bad(`"${setting}" is not understood`);
  }
  if (place.startsWith('unix:') && place.length > 5) return { address: { path: place.slice(5) }, waits: isWaiting };
  if (!place.startsWith('tcp:')) return bad('it is no unix:PATH or tcp:HOST:PORT');
  return { address: parseListenAddress(place), waits: isWaiting };
}

/** What an earlier run has left is in the way. */
function removeSocket(path: string): void {
  try {
    if (lstatSync(path).isSocket()) unlinkSync(path);
  } catch {
    // There is nothing, or listening will say why not.
  }
}

export class QmpServer {
  /** Resolves when the first client has come. */
  readonly connected: Promise<void>;
  readonly #server: Server;
  readonly #machine: QmpMachine;
  readonly #cameFirst: () => void;
  readonly #waiting: Socket[] = [];
  #socket: Socket | undefined;
  #session: QmpSession | undefined;

  private constructor(machine: QmpMachine) {
    this.#machine = machine;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.connected = promise;
    this.#cameFirst = resolve;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Resolves when it listens; AnilloError NETWORK. */
  static async listen({ address }: QmpAddress, machine: QmpMachine): Promise<QmpServer> {
    const server = new QmpServer(machine);
    if ('path' in address) removeSocket(address.path);
    await new Promise<void>((done, fail) => {
      server.#server.once('error', (cause: NodeJS.ErrnoException) => {
        const place = 'path' in address ? address.path : `${address.host}:${address.port}`;
        fail(new AnilloError('NETWORK', `QMP cannot listen on ${place} (${cause.code}); choose another place.`, { cause }));
      });
      server.#server.listen(address, done);
    });
    return server;
  }

  #accept(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#hangUp(socket));
    if (this.#socket === undefined) this.#begin(socket);
    else this.#waiting.push(socket);
  }

  #begin(socket: Socket): void {
    this.#socket = socket;
    const session = new QmpSession(
      { machine: this.#machine, event: (name, data) => this.event(name, data) },
      { send: (text) => this.#send(socket, text), end: () => socket.end() },
    );
    this.#session = session;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => session.receive(text));
    this.#cameFirst();
  }

  #send(socket: Socket, text: string): void {
    if (!socket.writable) return;
    if (socket.writableLength > UNREAD_LIMIT_BYTES) socket.destroy();
    else socket.write(text);
  }

  #hangUp(socket: Socket): void {
    const at = this.#waiting.indexOf(socket);
    if (at >= 0) this.#waiting.splice(at, 1);
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    this.#session = undefined;
    const next = this.#waiting.shift();
    if (next !== undefined) this.#begin(next);
  }

  /** Tells whoever is connected. */
  event(name: string, data?: object): void {
    this.#session?.event(name, data);
  }

  /** The machine has ended, `byGuest`: of its own; says so and stops listening. */
  async close(byGuest: boolean): Promise<void> {
    this.event('SHUTDOWN', { guest: byGuest, reason: byGuest ? 'guest-shutdown' : 'host-signal' });
    const closed = new Promise<void>((done) => this.#server.close(() => done()));
    for (const socket of [...this.#waiting.splice(0), this.#socket]) socket?.destroySoon();
    await closed;
  }
}
