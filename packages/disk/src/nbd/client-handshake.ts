// The client's side of the handshake: what the server can is asked for step by step; a server that knows none of it is spoken to as the oldest ones were.

import { AnilloError } from '@anillo/base/anillo-error';
import { listByteCount } from '../request.ts';
import { utf8Bytes, utf8Text } from '../text-bytes.ts';
import type { ByteStream } from './byte-stream.ts';
import { MessageReader } from './message-reader.ts';
import {
  HANDSHAKE_FLAG,
  IHAVEOPT,
  INFO,
  isMagic,
  magicBytes,
  MAX_PAYLOAD_BYTES,
  MAX_STRING_BYTES,
  NBD_MAGIC,
  type NbdTerms,
  OPTION,
  OPTION_HEAD,
  OPTION_REPLY_HEAD,
  OPTION_REPLY_MAGIC,
  REPLY,
  REPLY_ERROR,
  REPLY_ERROR_BIT,
} from './nbd-protocol.ts';

const MAX_REPLY_BYTES = 65536;
const MAX_REPLIES = 10_000;

export interface NbdExportInfo {
  readonly byteCount: number;
  /** EXPORT_FLAG. */
  readonly flags: number;
  /** Requests are multiples of it. */
  readonly minBlockBytes: number;
  readonly maxPayloadBytes: number;
}

export interface ClientTerms extends NbdTerms, NbdExportInfo {
  /** Of base:allocation; undefined: the server does not tell. */
  readonly allocationId: number | undefined;
}

interface OptionReply {
  readonly type: number;
  readonly data: Uint8Array;
}

export interface NbdListEntry {
  readonly name: string;
  readonly description: string;
}

export class ClientHandshake {
  readonly #stream: ByteStream;
  #omitsZeroes = false;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  #bad(what: string): AnilloError {
    return new AnilloError('NETWORK', `${this.#stream.peer} does not keep to the NBD protocol: ${what}.`);
  }

  async #take(byteCount: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(byteCount);
    if (byteCount > 0 && !(await this.#stream.read(bytes)))
      throw new AnilloError('NETWORK', `${this.#stream.peer} has closed the connection amid the handshake; it may not have the export.`);
    return bytes;
  }

  /** Greets, and encrypts if that is wanted. AnilloError NETWORK. */
  async begin(wantsTls: boolean): Promise<void> {
    const reader = new MessageReader(await this.#take(18));
    if (!isMagic(reader.bytes(8), NBD_MAGIC)) throw this.#bad('it is no NBD server');
    if (!isMagic(reader.bytes(8), IHAVEOPT)) throw this.#bad('its handshake is the old one');
    const flags = reader.u16();
    if ((flags & HANDSHAKE_FLAG.fixedNewstyle) === 0) throw this.#bad('it does not know the fixed newstyle handshake');
    this.#omitsZeroes = (flags & HANDSHAKE_FLAG.noZeroes) !== 0;
    await this.#stream.write([Uint8Array.of(0, 0, 0, HANDSHAKE_FLAG.fixedNewstyle | (this.#omitsZeroes ? HANDSHAKE_FLAG.noZeroes : 0))]);
    if (!wantsTls) return;
    const [{ type, data }] = await this.#ask(OPTION.startTls, []);
    if (type !== REPLY.ack) throw this.#refused('encryption', type, data);
    if (this.#stream.startTls === undefined)
      throw new AnilloError('UNSUPPORTED', 'This host cannot encrypt the connection; leave TLS out.');
    await this.#stream.startTls();
  }

  #refused(what: string, type: number, data: Uint8Array): AnilloError {
    const name = Object.entries(REPLY_ERROR).find(([, code]) => code === type)?.[0] ?? `reply ${type}`;
    const text = utf8Text(data.subarray(0, MAX_STRING_BYTES));
    return new AnilloError('NETWORK', `${this.#stream.peer} refuses ${what} (${name}${text === '' ? '' : `: ${text}`}).`);
  }

  #send(option: number, data: readonly Uint8Array[]): Promise<void> {
    const head = OPTION_HEAD.encode({ magic: magicBytes(IHAVEOPT), option, byteCount: listByteCount(data) });
    return this.#stream.write([head, ...data]);
  }

  /** All replies, the last of which is an acknowledgement or an error. */
  async #ask(option: number, data: readonly Uint8Array[]): Promise<readonly OptionReply[]> {
    await this.#send(option, data);
    const replies: OptionReply[] = [];
    let total = 0;
    while (replies.length < MAX_REPLIES && total < 1 << 22) {
      const { magic, option: answered, type, byteCount } = OPTION_REPLY_HEAD.decode(await this.#take(OPTION_REPLY_HEAD.byteCount));
      if (!isMagic(magic, OPTION_REPLY_MAGIC) || answered !== option || byteCount > MAX_REPLY_BYTES)
        throw this.#bad('an answer to an option is none');
      replies.push({ type, data: await this.#take(byteCount) });
      total += byteCount + OPTION_REPLY_HEAD.byteCount;
      if (type === REPLY.ack || type >= REPLY_ERROR_BIT)
        return type === REPLY.ack && replies.length === 1 ? replies : moveLastFirst(replies);
    }
    throw this.#bad('there is no end of its answers');
  }

  /** Names that the server tells. AnilloError NETWORK. */
  async list(): Promise<readonly NbdListEntry[]> {
    const [{ type, data }, ...entries] = await this.#ask(OPTION.list, []);
    if (type !== REPLY.ack) throw this.#refused('to list its exports', type, data);
    return entries
      .filter((entry) => entry.type === REPLY.server)
      .map((entry) => {
        const reader = new MessageReader(entry.data);
        const name = reader.text(reader.u32());
        if (reader.isShort) throw this.#bad('the name of an export is cut short');
        return { name, description: utf8Text(reader.rest()) };
      });
  }

  abort(): Promise<void> {
    return this.#send(OPTION.abort, []);
  }

  /** Chooses an export and begins transmission. AnilloError NETWORK. */
  async choose(exportName: string): Promise<ClientTerms> {
    const name = utf8Bytes(exportName);
    if (name.length > MAX_STRING_BYTES) throw new AnilloError('BAD_OPTION', 'The name of the export is longer than 4096 bytes.');
    const hasExtendedHeaders = (await this.#ask(OPTION.extendedHeaders, []))[0].type === REPLY.ack;
    const hasStructuredReplies = hasExtendedHeaders || (await this.#ask(OPTION.structuredReply, []))[0].type === REPLY.ack;
    const allocationId = hasStructuredReplies ? await this.#chooseContext(name) : undefined;
    const length = bigEndian32(name.length);
    const [{ type, data }, ...infos] = await this.#ask(OPTION.go, [length, name, Uint8Array.of(0, 1, 0, INFO.blockSize)]);
    const terms = { hasStructuredReplies, hasExtendedHeaders, allocationId };
    if (type === REPLY.ack) return { ...terms, ...this.#exportInfo(infos) };
    if (type !== REPLY_ERROR.unsupported || hasExtendedHeaders) throw this.#refused(`the export "${exportName}"`, type, data);
    await this.#send(OPTION.exportName, [name]);
    const reader = new MessageReader(await this.#take(10));
    const [byteCount, flags] = [this.#size(reader.u64()), reader.u16()];
    if (!this.#omitsZeroes) await this.#take(124);
    return { ...terms, byteCount, flags, minBlockBytes: 1, maxPayloadBytes: MAX_PAYLOAD_BYTES };
  }

  #size(byteCount: number): number {
    if (!Number.isSafeInteger(byteCount)) throw this.#bad(`the export has ${byteCount} bytes`);
    return byteCount;
  }

  async #chooseContext(name: Uint8Array): Promise<number | undefined> {
    const query = utf8Bytes('base:allocation');
    const message = [bigEndian32(name.length), name, bigEndian32(1), bigEndian32(query.length), query];
    const [{ type }, ...contexts] = await this.#ask(OPTION.setMetaContext, message);
    const first = contexts.find((reply) => reply.type === REPLY.metaContext);
    if (type !== REPLY.ack || first === undefined) return undefined;
    const reader = new MessageReader(first.data);
    const id = reader.u32();
    return utf8Text(reader.rest()) === 'base:allocation' ? id : undefined;
  }

  #exportInfo(infos: readonly OptionReply[]): NbdExportInfo {
    let found: { byteCount: number; flags: number } | undefined;
    let [minBlockBytes, maxPayloadBytes] = [1, MAX_PAYLOAD_BYTES];
    for (const { type, data } of infos) {
      if (type !== REPLY.info) continue;
      const reader = new MessageReader(data);
      const kind = reader.u16();
      if (kind === INFO.export) found = { byteCount: this.#size(reader.u64()), flags: reader.u16() };
      if (kind === INFO.blockSize) {
        minBlockBytes = reader.u32();
        reader.u32();
        maxPayloadBytes = Math.min(reader.u32(), MAX_PAYLOAD_BYTES);
      }
      if (reader.isShort) throw this.#bad('it tells of the export in part only');
    }
    if (found === undefined) throw this.#bad('it does not tell how large the export is');
    if (!Number.isInteger(Math.log2(minBlockBytes)) || minBlockBytes > 65536 || maxPayloadBytes < minBlockBytes)
      throw this.#bad(`its blocks have ${minBlockBytes} to ${maxPayloadBytes} bytes`);
    return { ...found, minBlockBytes, maxPayloadBytes: maxPayloadBytes - (maxPayloadBytes % minBlockBytes) };
  }
}

const moveLastFirst = (replies: OptionReply[]): OptionReply[] => [replies[replies.length - 1], ...replies.slice(0, -1)];

function bigEndian32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}
