// What an NBD server exports as a store for a disk's format (raw, as a rule). A lost connection is made again for a bounded time; meanwhile requests wait.

import { AnilloError } from '@anillo/base/anillo-error';
import { AlignedAccess } from '../aligned-access.ts';
import { BufferCursor } from '../buffer-cursor.ts';
import type { ByteStore, Stretch } from '../byte-store.ts';
import { copyIntoList, listByteCount, listSlice, zeroList } from '../request.ts';
import { settleAll } from '../settle-all.ts';
import { Slots } from '../slots.ts';
import type { ByteStream } from './byte-stream.ts';
import { ClientHandshake, type ClientTerms } from './client-handshake.ts';
import { ConnectionLost, NbdConnection, type NbdDescriptor, type NbdRequest } from './nbd-connection.ts';
import { COMMAND, EXPORT_FLAG, STATUS_ZERO } from './nbd-protocol.ts';

export interface NbdHost {
  /** AnilloError NETWORK after a time of the host's choice. */
  connect(): Promise<ByteStream>;
  sleep(timeoutMs: number): Promise<void>;
}

export interface NbdStoreOptions {
  /** What messages call it; its URI. */
  readonly name: string;
  readonly exportName: string;
  readonly isReadOnly: boolean;
  readonly usesTls?: boolean;
  /** How long requests wait for a lost connection. Default: 30 s; 0: not at all. */
  readonly reconnectMs?: number;
}

const HANDSHAKE_MS = 10_000;
/** A server that answers nothing but to connect is not tried for ever. */
const MAX_ATTEMPTS = 5;
const MAX_REQUESTS = 64;
const PAYLOAD_BYTES = 4 << 20;
/** Commands without payload are split here, below 2^32. */
const LONGEST_BYTES = 1 << 30;
const MAX_STATUS_REQUESTS = 64;

export class NbdStore implements ByteStore {
  readonly name: string;
  readonly isReadOnly: boolean;
  readonly #host: NbdHost;
  readonly #options: NbdStoreOptions;
  readonly #terms: ClientTerms;
  readonly #bytes: AlignedAccess;
  readonly #slots = new Slots(MAX_REQUESTS);
  #connection: NbdConnection;
  #connecting: Promise<NbdConnection> | undefined;
  #isClosed = false;

  private constructor(host: NbdHost, options: NbdStoreOptions, connection: NbdConnection) {
    this.name = options.name;
    this.#host = host;
    this.#options = options;
    this.#connection = connection;
    this.#terms = connection.terms;
    this.isReadOnly = options.isReadOnly || this.#has(EXPORT_FLAG.readOnly);
    this.#bytes = new AlignedAccess({
      blockBytes: this.#terms.minBlockBytes,
      read: (offset, into) => this.#read(offset, into),
      write: (offset, from) => this.#write(offset, from),
      writeZeroes: (offset, byteCount) => this.#writeZeroes(offset, byteCount),
    });
  }

  /** AnilloError NETWORK. */
  static async connect(host: NbdHost, options: NbdStoreOptions): Promise<NbdStore> {
    const connection = await NbdStore.#handshake(host, options);
    const { flags } = connection.terms;
    if (!options.isReadOnly && (flags & EXPORT_FLAG.readOnly) !== 0) {
      connection.close();
      throw new AnilloError('NETWORK', `${options.name} is exported for reading only; open it for reading only.`);
    }
    return new NbdStore(host, options, connection);
  }

  static async #handshake(host: NbdHost, options: NbdStoreOptions): Promise<NbdConnection> {
    const stream = await host.connect();
    let isDone = false;
    // What hangs is ended by closing it.
    void host.sleep(HANDSHAKE_MS).then(() => {
      if (!isDone) stream.close();
    });
    try {
      const handshake = new ClientHandshake(stream);
      await handshake.begin(options.usesTls === true);
      return new NbdConnection(stream, await handshake.choose(options.exportName));
    } catch (error) {
      stream.close();
      throw error;
    } finally {
      isDone = true;
    }
  }

  #has(flag: number): boolean {
    return (this.#terms.flags & flag) !== 0;
  }

  async #reconnect(): Promise<NbdConnection> {
    const { reconnectMs = 30_000 } = this.#options;
    const deadline = Date.now() + reconnectMs;
    for (let pauseMs = 50; ; pauseMs = Math.min(2 * pauseMs, 2000)) {
      if (Date.now() + pauseMs > deadline)
        throw new AnilloError('NETWORK', `The connection to ${this.name} is lost and does not come back.`);
      await this.#host.sleep(pauseMs);
      if (this.#isClosed) throw new AnilloError('STATE', `${this.name} has been closed.`);
      let next: NbdConnection;
      try {
        next = await NbdStore.#handshake(this.#host, this.#options);
      } catch (error) {
        if (error instanceof AnilloError) continue;
        throw error;
      }
      this.#checkSame(next);
      this.#connection = next;
      return next;
    }
  }

  /** What is agreed on decides what requests look like, and a disk does not change its size. */
  #checkSame(next: NbdConnection): void {
    const { byteCount, flags, minBlockBytes, maxPayloadBytes } = next.terms;
    const { byteCount: size, flags: had, minBlockBytes: block, maxPayloadBytes: payload } = this.#terms;
    if (byteCount === size && flags === had && minBlockBytes === block && maxPayloadBytes >= payload) return;
    next.close();
    throw new AnilloError('NETWORK', `${this.name} is not what it was before the connection was lost; stop the machine.`);
  }

  #connected(): Promise<NbdConnection> {
    if (!this.#connection.isLost) return Promise.resolve(this.#connection);
    this.#connecting ??= this.#reconnect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #request(request: NbdRequest): Promise<readonly NbdDescriptor[]> {
    await this.#slots.take(1);
    try {
      for (let attempt = 1; ; attempt++) {
        if (this.#isClosed) throw new AnilloError('STATE', `${this.name} has been closed.`);
        try {
          const connection = attempt === 1 && this.#options.reconnectMs === 0 ? this.#connection : await this.#connected();
          return await connection.request(request);
        } catch (error) {
          if (!(error instanceof ConnectionLost) || this.#options.reconnectMs === 0 || attempt === MAX_ATTEMPTS) throw error;
        }
      }
    } finally {
      this.#slots.give(1);
    }
  }

  /** In pieces that a request may have, some at once. */
  async #inPieces(
    offset: number,
    byteCount: number,
    maxBytes: number,
    work: (at: number, count: number) => Promise<unknown>,
  ): Promise<void> {
    const pieces: Promise<unknown>[] = [];
    for (let at = 0; at < byteCount; at += maxBytes) pieces.push(work(offset + at, Math.min(maxBytes, byteCount - at)));
    await settleAll(pieces);
  }

  get #payloadBytes(): number {
    return Math.min(PAYLOAD_BYTES, this.#terms.maxPayloadBytes);
  }

  #read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    return this.#inPieces(offset, listByteCount(into), this.#payloadBytes, async (at, byteCount) => {
      const parts = listSlice(into, at - offset, byteCount);
      const bytes = parts.length === 1 ? parts[0] : new Uint8Array(byteCount);
      await this.#request({ command: COMMAND.read, offset: at, byteCount, into: bytes });
      if (bytes !== parts[0]) copyIntoList(parts, bytes);
    });
  }

  #write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    const byteCount = listByteCount(from);
    return this.#inPieces(offset, byteCount, this.#payloadBytes, (at, count) =>
      this.#request({ command: COMMAND.write, offset: at, byteCount: count, payload: listSlice(from, at - offset, count) }),
    );
  }

  #writeZeroes(offset: number, byteCount: number): Promise<void> {
    if (this.#has(EXPORT_FLAG.writeZeroes))
      return this.#inPieces(offset, byteCount, LONGEST_BYTES, (at, count) =>
        this.#request({ command: COMMAND.writeZeroes, offset: at, byteCount: count }),
      );
    const zeros = new Uint8Array(Math.min(this.#payloadBytes, byteCount));
    return this.#inPieces(offset, byteCount, this.#payloadBytes, (at, count) => this.#write(at, [zeros.subarray(0, count)]));
  }

  async size(): Promise<number> {
    return this.#terms.byteCount;
  }

  async read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    const wanted = listByteCount(into);
    const inside = Math.max(0, Math.min(wanted, this.#terms.byteCount - offset));
    const cursor = new BufferCursor(into);
    await this.#bytes.read(offset, cursor.take(inside));
    zeroList(cursor.take(wanted - inside));
  }

  #checkWrite(offset: number, byteCount: number): number {
    if (this.isReadOnly) throw new AnilloError('NETWORK', `${this.name} is open for reading only.`);
    const size = this.#terms.byteCount;
    // A disk has whole sectors; what an export's last one lacks is not kept.
    if (offset + byteCount > Math.ceil(size / 512) * 512)
      throw new AnilloError('NETWORK', `${this.name} has ${size} bytes and does not grow.`);
    return Math.max(0, Math.min(byteCount, size - offset));
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    const inside = this.#checkWrite(offset, listByteCount(from));
    await this.#bytes.write(offset, listSlice(from, 0, inside));
  }

  async writeZeroes(offset: number, byteCount: number): Promise<void> {
    await this.#bytes.writeZeroes(offset, this.#checkWrite(offset, byteCount), true);
  }

  async resize(byteCount: number): Promise<void> {
    if (Math.ceil(this.#terms.byteCount / 512) !== Math.ceil(byteCount / 512))
      throw new AnilloError('UNSUPPORTED', `${this.name} has ${this.#terms.byteCount} bytes and cannot be resized.`);
  }

  async flush(): Promise<void> {
    if (this.#has(EXPORT_FLAG.flush) && !this.isReadOnly) await this.#request({ command: COMMAND.flush, offset: 0, byteCount: 0 });
  }

  /** What the server does not tell is data. */
  async stretches(offset: number, byteCount: number): Promise<readonly Stretch[]> {
    const { allocationId, byteCount: size } = this.#terms;
    const end = offset + byteCount;
    const askedEnd = allocationId === undefined ? offset : Math.min(end, size);
    const found: Stretch[] = [];
    let at = offset;
    for (let requests = 0; at < askedEnd && requests < MAX_STATUS_REQUESTS; requests++)
      for (const { byteCount: count, flags } of await this.#status(at, Math.min(askedEnd - at, LONGEST_BYTES))) {
        addStretch(found, { offset: at, byteCount: count, isHole: (flags & STATUS_ZERO) !== 0 });
        at += count;
      }
    if (end > at) addStretch(found, { offset: at, byteCount: end - at, isHole: false });
    return found;
  }

  /** Of the beginning of the range at least. */
  async #status(offset: number, byteCount: number): Promise<readonly NbdDescriptor[]> {
    const { minBlockBytes } = this.#terms;
    const skip = offset % minBlockBytes;
    const asked = Math.ceil((skip + byteCount) / minBlockBytes) * minBlockBytes;
    const told = await this.#request({ command: COMMAND.blockStatus, offset: offset - skip, byteCount: asked });
    const found: NbdDescriptor[] = [];
    let at = -skip;
    for (const { byteCount: count, flags } of told) {
      const inside = Math.min(at + count, byteCount) - Math.max(at, 0);
      if (inside > 0) found.push({ byteCount: inside, flags });
      at += count;
    }
    return found;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection.close();
  }
}

function addStretch(list: Stretch[], next: Stretch): void {
  const last = list.at(-1);
  if (last?.isHole === next.isHole) list[list.length - 1] = { ...last, byteCount: last.byteCount + next.byteCount };
  else list.push(next);
}
