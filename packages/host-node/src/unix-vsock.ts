// The host's ends of a machine's vsock as Unix sockets, by the convention of Firecracker and Cloud Hypervisor: a client of PATH says "CONNECT PORT\n", and gets
// "OK HOSTPORT\n" when the guest has taken it; where the guest connects to a port of the host, somebody listens on PATH_PORT.

import { chmodSync, lstatSync, mkdtempSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { AnilloError } from '@anillo/base/anillo-error';
import type { VsockBackend, VsockSocket } from '@anillo/devices/virtio/vsock/vsock-backend';
import { UnixVsockSocket } from './unix-vsock-socket.ts';

/** "CONNECT 4294967295\r\n". */
const LONGEST_LINE = 20;
const CONNECT = /^CONNECT (\d{1,10})\r?\n$/;
const MOST_PORT = 0xffffffff;
/** Clients at a time; more of them are turned away. */
const MOST_CLIENTS = 1024;
/** A client that does not say where to is let go. */
const SILENT_MS = 30_000;
/** 107 bytes of a Unix socket's path on Linux, less "_4294967295". */
const LONGEST_PATH = 96;

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : String(error));

/** Is somebody listening there? */
function isTaken(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => resolve(!['ECONNREFUSED', 'ENOENT'].includes(codeOf(error))));
  });
}

/** AnilloError FILE: something else is there, or somebody who listens. What an earlier run has left may go. */
async function checkPlace(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new AnilloError('FILE', `${path} exists and is no socket; choose another path for the vsock.`);
  if (await isTaken(path)) throw new AnilloError('FILE', `${path} is in use by another machine; choose another path for the vsock.`);
}

/**
 * Listens there for this user only: made in a folder that nobody else can enter, and moved to its place with its permissions, over what was left there. Gives its
 * inode.
 */
async function listenPrivately(server: Server, path: string): Promise<number> {
  const folder = mkdtempSync(`${path}.`);
  const place = `${folder}/s`;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path: place }, resolve);
    });
    chmodSync(place, 0o600);
    renameSync(place, path);
  } catch (error) {
    rmSync(place, { force: true });
    throw error;
  } finally {
    rmdirSync(folder);
  }
  return lstatSync(path).ino;
}

export class UnixVsock implements VsockBackend, Disposable {
  onConnection: VsockBackend['onConnection'] = undefined;
  readonly #path: string;
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  #inode = 0;

  private constructor(path: string) {
    this.#path = path;
    this.#server = createServer({ allowHalfOpen: true });
    this.#server.maxConnections = MOST_CLIENTS;
    this.#server.on('connection', (socket) => this.#greet(socket));
  }

  /** AnilloError FILE. */
  static async open(path: string): Promise<UnixVsock> {
    const vsock = new UnixVsock(path);
    if (Buffer.byteLength(path) > LONGEST_PATH)
      throw new AnilloError('FILE', `${path} is too long for the sockets of a vsock; choose a path of up to ${LONGEST_PATH} bytes.`);
    await checkPlace(path);
    try {
      vsock.#inode = await listenPrivately(vsock.#server, path);
    } catch (cause) {
      vsock.#server.close();
      throw new AnilloError('FILE', `${path} cannot be listened on (${codeOf(cause)}); choose another path for the vsock.`, { cause });
    }
    // A client alone keeps no process running, and what fails to be accepted is the client's loss.
    vsock.#server.unref();
    vsock.#server.on('error', () => {});
    return vsock;
  }

  connect(port: number): VsockSocket {
    return new UnixVsockSocket(connect({ path: `${this.#path}_${port}`, allowHalfOpen: true }));
  }

  /** Reads the line that says where to, and no byte more. */
  #greet(socket: Socket): void {
    const refuse = (): void => void socket.destroy();
    this.#clients.add(socket);
    socket.once('close', () => this.#clients.delete(socket));
    socket.on('error', refuse);
    socket.setTimeout(SILENT_MS, refuse);
    let line = '';
    const read = (): void => {
      while (!line.endsWith('\n')) {
        const byte: Buffer | null = socket.read(1);
        if (byte === null) return;
        line += byte.toString('latin1');
        if (line.length > LONGEST_LINE) return refuse();
      }
      socket.off('readable', read);
      socket.off('end', refuse);
      socket.off('error', refuse);
      socket.setTimeout(0);
      const port = Number(CONNECT.exec(line)?.[1] ?? Number.NaN);
      const isTakenOn = port <= MOST_PORT && this.onConnection?.(port, new UnixVsockSocket(socket)) === true;
      if (!isTakenOn) refuse();
    };
    socket.on('readable', read);
    socket.on('end', refuse);
  }

  /** The files of those who listen for the guest are theirs. */
  [Symbol.dispose](): void {
    this.#server.close();
    for (const socket of this.#clients) socket.destroy();
    if (lstatSync(this.#path, { throwIfNoEntry: false })?.ino === this.#inode) rmSync(this.#path, { force: true });
  }
}
