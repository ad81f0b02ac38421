// One connection of a client: requests go out as they come, answers come in any order.

import { AnilloError } from '@anillo/base/anillo-error';
import { utf8Text } from '../text-bytes.ts';
import type { ByteStream } from './byte-stream.ts';
import type { ClientTerms } from './client-handshake.ts';
import { MessageReader } from './message-reader.ts';
import {
  CHUNK,
  CHUNK_DONE,
  CHUNK_HEAD,
  COMMAND,
  COMMAND_FLAG,
  EXTENDED_CHUNK_HEAD,
  EXTENDED_REPLY_MAGIC,
  EXTENDED_REQUEST_HEAD,
  EXTENDED_REQUEST_MAGIC,
  nbdErrorName,
  REQUEST_HEAD,
  REQUEST_MAGIC,
  SIMPLE_REPLY_HEAD,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from './nbd-protocol.ts';

/** Of an error's text, or of descriptors. */
const MAX_CHUNK_BYTES = 1 << 20;
const MAX_CHUNKS = 1 << 17;

export interface NbdRequest {
  readonly command: number;
  readonly flags?: number;
  readonly offset: number;
  readonly byteCount: number;
  /** What a read fills. */
  readonly into?: Uint8Array;
  /** What a write sends. */
  readonly payload?: readonly Uint8Array[];
}

export interface NbdDescriptor {
  readonly byteCount: number;
  readonly flags: number;
}

interface Pending {
  readonly request: NbdRequest;
  readonly descriptors: NbdDescriptor[];
  filledBytes: number;
  chunkCount: number;
  error: AnilloError | undefined;
  resolve(descriptors: readonly NbdDescriptor[]): void;
  reject(error: AnilloError): void;
}

/** The connection is gone and the request may be made again on another; other errors are the server's answers. */
export class ConnectionLost extends AnilloError {
  constructor(message: string, cause?: unknown) {
    super('NETWORK', message, { cause });
  }
}

function cookieBytes(cookie: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(4, cookie);
  return bytes;
}

export class NbdConnection {
  readonly terms: ClientTerms;
  readonly #stream: ByteStream;
  readonly #pending = new Map<number, Pending>();
  #nextCookie = 1;
  #lost: ConnectionLost | undefined;

  constructor(stream: ByteStream, terms: ClientTerms) {
    this.#stream = stream;
    this.terms = terms;
    void this.#takeReplies();
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** AnilloError NETWORK where the server says no, ConnectionLost where it has gone. */
  async request(request: NbdRequest): Promise<readonly NbdDescriptor[]> {
    if (this.#lost !== undefined) throw this.#lost;
    const cookie = this.#nextCookie;
    this.#nextCookie = (cookie % 0xffff_fffe) + 1;
    const answered = new Promise<readonly NbdDescriptor[]>((resolve, reject) => {
      this.#pending.set(cookie, { request, descriptors: [], filledBytes: 0, chunkCount: 0, error: undefined, resolve, reject });
    });
    answered.catch(() => {});
    // The payload is lent until it has been sent, also where the answer comes first.
    await this.#stream.write([this.#head(cookie, request), ...(request.payload ?? [])]).catch((error: unknown) => this.#lose(error));
    return answered;
  }

  #head(cookie: number, { command, flags = 0, offset, byteCount, payload }: NbdRequest): Uint8Array {
    const fields = { command, cookie: cookieBytes(cookie), offset, byteCount };
    if (!this.terms.hasExtendedHeaders) return REQUEST_HEAD.encode({ ...fields, magic: REQUEST_MAGIC, flags });
    const extended = flags | (payload === undefined ? 0 : COMMAND_FLAG.payloadLength);
    return EXTENDED_REQUEST_HEAD.encode({ ...fields, magic: EXTENDED_REQUEST_MAGIC, flags: extended });
  }

  #lose(cause: unknown): void {
    if (this.#lost !== undefined) return;
    const why = cause instanceof AnilloError ? cause.message : `${this.#stream.peer} has closed the connection.`;
    this.#lost = new ConnectionLost(why, cause);
    this.#stream.close();
    for (const pending of this.#pending.values()) pending.reject(this.#lost);
    this.#pending.clear();
  }

  #bad(what: string): AnilloError {
    return new AnilloError('NETWORK', `${this.#stream.peer} does not keep to the NBD protocol: ${what}.`);
  }

  async #takeReplies(): Promise<void> {
    try {
      while (await this.#takeReply());
      this.#lose(undefined);
    } catch (error) {
      if (!(error instanceof AnilloError)) throw error;
      this.#lose(error);
    }
  }

  async #fill(into: Uint8Array): Promise<void> {
    if (into.length > 0 && !(await this.#stream.read(into))) throw this.#bad('it has closed the connection amid an answer');
  }

  async #takeReply(): Promise<boolean> {
    const magicBytes = new Uint8Array(4);
    if (!(await this.#stream.read(magicBytes))) return false;
    const magic = new DataView(magicBytes.buffer).getUint32(0);
    const { hasExtendedHeaders, hasStructuredReplies } = this.terms;
    if (magic === SIMPLE_REPLY_MAGIC && !hasExtendedHeaders) await this.#takeSimple();
    else if (magic === (hasExtendedHeaders ? EXTENDED_REPLY_MAGIC : STRUCTURED_REPLY_MAGIC) && hasStructuredReplies)
      await this.#takeChunk();
    else throw this.#bad('an answer begins with none of its magic numbers');
    return true;
  }

  #pendingOf(cookie: Uint8Array): readonly [number, Pending] {
    const view = new DataView(cookie.buffer, cookie.byteOffset, 8);
    const number = view.getUint32(0) === 0 ? view.getUint32(4) : 0;
    const pending = this.#pending.get(number);
    if (pending === undefined) throw this.#bad('it answers what nobody asked');
    return [number, pending];
  }

  async #rest(layout: { readonly byteCount: number }): Promise<Uint8Array> {
    const bytes = new Uint8Array(layout.byteCount);
    await this.#fill(bytes.subarray(4));
    return bytes;
  }

  async #takeSimple(): Promise<void> {
    const { error, cookie } = SIMPLE_REPLY_HEAD.decode(await this.#rest(SIMPLE_REPLY_HEAD));
    const [number, pending] = this.#pendingOf(cookie);
    const { command, into } = pending.request;
    // Where replies are structured, those to reads and block status are.
    if (this.terms.hasStructuredReplies && error === 0 && (command === COMMAND.read || command === COMMAND.blockStatus))
      throw this.#bad('a structured answer is missing');
    if (error !== 0) pending.error = this.#refusal(pending.request, error, '');
    else if (into !== undefined) {
      await this.#fill(into);
      pending.filledBytes = into.length;
    }
    this.#settle(number, pending);
  }

  #refusal({ command, offset, byteCount }: NbdRequest, code: number, text: string): AnilloError {
    const what = Object.entries(COMMAND).find(([, known]) => known === command)?.[0];
    const why = text === '' ? nbdErrorName(code) : `${nbdErrorName(code)}: ${text}`;
    return new AnilloError('NETWORK', `${this.#stream.peer} refuses to ${what} ${byteCount} bytes at ${offset} (${why}).`);
  }

  #settle(number: number, pending: Pending): void {
    this.#pending.delete(number);
    const { into, command } = pending.request;
    if (pending.error !== undefined) pending.reject(pending.error);
    else if (into !== undefined && pending.filledBytes !== into.length) pending.reject(this.#bad('an answer to a read is not whole'));
    else if (command === COMMAND.blockStatus && pending.descriptors.length === 0)
      pending.reject(this.#bad('an answer about blocks is empty'));
    else pending.resolve(pending.descriptors);
  }

  async #takeChunk(): Promise<void> {
    const layout = this.terms.hasExtendedHeaders ? EXTENDED_CHUNK_HEAD : CHUNK_HEAD;
    const { flags, type, cookie, byteCount } = layout.decode(await this.#rest(layout));
    const [number, pending] = this.#pendingOf(cookie);
    if (++pending.chunkCount > MAX_CHUNKS) throw this.#bad('there is no end of an answer');
    if (type === CHUNK.offsetData) await this.#takeData(pending, byteCount);
    else {
      if (byteCount > MAX_CHUNK_BYTES) throw this.#bad(`a part of an answer has ${byteCount} bytes`);
      const bytes = new Uint8Array(byteCount);
      await this.#fill(bytes);
      this.#takeOther(pending, type, new MessageReader(bytes));
    }
    if ((flags & CHUNK_DONE) !== 0) this.#settle(number, pending);
  }

  /** The part of what a read fills; AnilloError NETWORK if it is none. */
  #part({ request }: Pending, offset: number, byteCount: number): Uint8Array {
    const { into, offset: start } = request;
    if (into === undefined || offset < start || byteCount === 0 || offset + byteCount > start + into.length)
      throw this.#bad('it sends bytes that nobody asked for');
    return into.subarray(offset - start, offset - start + byteCount);
  }

  async #takeData(pending: Pending, byteCount: number): Promise<void> {
    const head = new Uint8Array(8);
    if (byteCount <= 8) throw this.#bad('a part of an answer is too short');
    await this.#fill(head);
    const part = this.#part(pending, new MessageReader(head).u64(), byteCount - 8);
    await this.#fill(part);
    pending.filledBytes += part.length;
  }

  #takeOther(pending: Pending, type: number, reader: MessageReader): void {
    if (type === CHUNK.offsetHole) {
      const part = this.#part(pending, reader.u64(), reader.u32());
      part.fill(0);
      pending.filledBytes += part.length;
    } else if (type === CHUNK.blockStatus || type === CHUNK.blockStatusExtended) this.#takeStatus(pending, type, reader);
    else if (type >= 0x8000) {
      const code = reader.u32();
      const text = utf8Text(reader.bytes(reader.u16()));
      // Later ones of the same answer say less.
      pending.error ??= this.#refusal(pending.request, code, text);
    } else if (type !== CHUNK.none) throw this.#bad(`an answer has a part of type ${type}`);
    if (reader.isShort) throw this.#bad('a part of an answer is too short');
  }

  #takeStatus(pending: Pending, type: number, reader: MessageReader): void {
    const isWide = type === CHUNK.blockStatusExtended;
    if (pending.request.command !== COMMAND.blockStatus || isWide !== this.terms.hasExtendedHeaders)
      throw this.#bad('it tells of blocks unasked');
    if (reader.u32() !== this.terms.allocationId) return void reader.rest();
    if (pending.descriptors.length > 0) throw this.#bad('it tells of the same blocks twice');
    if (isWide) reader.u32();
    let left = pending.request.byteCount;
    while (!reader.isWhole && !reader.isShort) {
      const byteCount = isWide ? reader.u64() : reader.u32();
      const flags = isWide ? reader.u64() : reader.u32();
      if (byteCount === 0) throw this.#bad('a row of blocks is empty');
      // The last one may say more than was asked.
      if (left > 0 && !reader.isShort) pending.descriptors.push({ byteCount: Math.min(byteCount, left), flags });
      left -= byteCount;
    }
  }

  /** Tells the server, and waits for nothing. */
  close(): void {
    if (this.#lost !== undefined) return;
    const head = this.#head(0, { command: COMMAND.disconnect, offset: 0, byteCount: 0 });
    this.#stream.write([head]).catch(() => {});
    this.#lose(new AnilloError('STATE', 'The connection has been closed.'));
  }
}
