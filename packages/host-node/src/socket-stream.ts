// A socket as a stream of bytes. What comes is kept up to a bound, beyond which the peer waits.

import type { Socket } from 'node:net';
import type { ConnectionOptions, TLSSocketOptions } from 'node:tls';
import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStream } from '@anillo/disk/nbd/byte-stream';

const MAX_KEPT_BYTES = 4 << 20;

/** How it is encrypted when it comes to that; as a server, or as a client. */
export type TlsRole = { readonly server: TLSSocketOptions } | { readonly client: ConnectionOptions };

export class SocketStream implements ByteStream {
  readonly peer: string;
  #socket: Socket;
  readonly #tls: TlsRole | undefined;
  #chunks: Buffer[] = [];
  #keptBytes = 0;
  #isEnded = false;
  #failure: AnilloError | undefined;
  #wake: (() => void) | undefined;

  /** The socket is connected. */
  constructor(socket: Socket, peer: string, tls?: TlsRole) {
    this.peer = peer;
    this.#tls = tls;
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    this.#listen(socket);
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#keptBytes += chunk.length;
      if (this.#keptBytes > MAX_KEPT_BYTES) socket.pause();
      this.#wake?.();
    });
    socket.on('end', () => this.#end());
    socket.on('error', (cause) => this.#end(cause));
    socket.on('close', () => this.#end());
  }

  #end(cause?: Error): void {
    this.#isEnded = true;
    if (cause !== undefined) this.#failure ??= this.#lost(cause);
    this.#wake?.();
  }

  #lost(cause: Error | undefined): AnilloError {
    const code = cause !== undefined && 'code' in cause ? ` (${String(cause.code)})` : '';
    return new AnilloError('NETWORK', `The connection to ${this.peer} is lost${code}.`, { cause });
  }

  async read(into: Uint8Array): Promise<boolean> {
    let filled = 0;
    while (filled < into.length) {
      const [first] = this.#chunks;
      if (first === undefined) {
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#isEnded && filled === 0) return false;
        if (this.#isEnded) throw this.#lost(undefined);
        await new Promise<void>((wake) => {
          this.#wake = wake;
        });
        this.#wake = undefined;
        continue;
      }
      const count = Math.min(first.length, into.length - filled);
      into.set(first.subarray(0, count), filled);
      filled += count;
      if (count === first.length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(count);
      this.#keptBytes -= count;
      if (this.#keptBytes <= MAX_KEPT_BYTES / 2 && this.#socket.isPaused()) this.#socket.resume();
    }
    return true;
  }

  write(from: readonly Uint8Array[]): Promise<void> {
    const socket = this.#socket;
    return new Promise<void>((resolve, reject) => {
      if (this.#isEnded || !socket.writable) {
        reject(this.#failure ?? this.#lost(undefined));
        return;
      }
      const last = from.length - 1;
      socket.cork();
      for (const [i, buffer] of from.entries())
        socket.write(buffer, i === last ? (cause) => (cause ? reject(this.#lost(cause)) : resolve()) : undefined);
      socket.uncork();
    });
  }

  get startTls(): (() => Promise<void>) | undefined {
    const tls = this.#tls;
    return tls === undefined ? undefined : () => this.#startTls(tls);
  }

  async #startTls(role: TlsRole): Promise<void> {
    // Loaded when it is needed: a start-up snapshot cannot hold it.
    const { TLSSocket, connect } = process.getBuiltinModule('node:tls');
    const plain = this.#socket;
    for (const event of ['data', 'end', 'error', 'close']) plain.removeAllListeners(event);
    plain.on('error', (cause) => this.#end(cause));
    // Bytes that came before encryption are nobody's.
    this.#chunks = [];
    this.#keptBytes = 0;
    plain.resume();
    const secure = 'client' in role ? connect({ ...role.client, socket: plain }) : new TLSSocket(plain, { ...role.server, isServer: true });
    this.#socket = secure;
    await new Promise<void>((resolve, reject) => {
      secure.once('client' in role ? 'secureConnect' : 'secure', resolve);
      secure.once('error', (cause) => reject(this.#lost(cause)));
      secure.once('close', () => reject(this.#lost(undefined)));
    });
    if ('server' in role && role.server.requestCert === true && !secure.authorized) {
      secure.destroy();
      throw new AnilloError('NETWORK', `${this.peer} has no certificate that is known here.`);
    }
    this.#listen(secure);
  }

  close(): void {
    this.#end();
    this.#socket.end();
    // A peer that does not close its side would keep it for ever.
    const socket = this.#socket;
    const timer = setTimeout(() => socket.destroy(), 2000);
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
    socket.resume();
  }
}
