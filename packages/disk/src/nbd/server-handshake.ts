// The server's side of the handshake: options are answered one by one until the client has chosen an export, or goes.

import { listByteCount } from '../request.ts';
import { utf8Bytes } from '../text-bytes.ts';
import type { ByteStream } from './byte-stream.ts';
import { MessageReader } from './message-reader.ts';
import {
  EXPORT_FLAG,
  HANDSHAKE_FLAG,
  IHAVEOPT,
  INFO,
  isMagic,
  magicBytes,
  MAX_PAYLOAD_BYTES,
  MAX_STRING_BYTES,
  META_CONTEXTS,
  type MetaContext,
  NBD_MAGIC,
  type NbdTerms,
  OPTION,
  OPTION_HEAD,
  OPTION_REPLY_HEAD,
  OPTION_REPLY_MAGIC,
  REPLY,
  REPLY_ERROR,
} from './nbd-protocol.ts';
import type { NbdExport, NbdServerOptions } from './nbd-server.ts';

/** Longer ones are passed over up to what a client may send at all. */
const MAX_OPTION_BYTES = 65536;
const MAX_OPTIONS = 1024;
const MAX_QUERIES = 256;

export interface ServerTerms extends NbdTerms {
  readonly export: NbdExport;
  /** By id - 1. */
  readonly contexts: readonly MetaContext[];
}

/** Ids of contexts are their places here. */
export const contextId = (context: MetaContext): number => META_CONTEXTS.indexOf(context) + 1;

export function exportFlags({ isReadOnly }: NbdExport, { hasStructuredReplies }: NbdTerms): number {
  const { hasFlags, flush, fua, multiConn, cache, readOnly, trim, writeZeroes, fastZero, dontFragment } = EXPORT_FLAG;
  const always = hasFlags | flush | fua | multiConn | cache | (hasStructuredReplies ? dontFragment : 0);
  return always | (isReadOnly ? readOnly : trim | writeZeroes | fastZero);
}

function bigEndian(...fields: readonly (readonly [16 | 32 | 64, number])[]): Uint8Array {
  const bytes = new Uint8Array(fields.reduce((sum, [bits]) => sum + bits / 8, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [bits, value] of fields) {
    if (bits === 16) view.setUint16(at, value);
    else if (bits === 32) view.setUint32(at, value);
    else view.setBigUint64(at, BigInt(value));
    at += bits / 8;
  }
  return bytes;
}

class Negotiation {
  readonly #stream: ByteStream;
  readonly #options: NbdServerOptions;
  #isEncrypted = false;
  #omitsZeroes = false;
  #hasStructuredReplies = false;
  #hasExtendedHeaders = false;
  #contexts: readonly MetaContext[] = [];
  /** The export that contexts were chosen for. */
  #contextsOf: string | undefined;

  constructor(stream: ByteStream, options: NbdServerOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  #reply(option: number, type: number, ...data: readonly Uint8Array[]): Promise<void> {
    const head = OPTION_REPLY_HEAD.encode({ magic: magicBytes(OPTION_REPLY_MAGIC), option, type, byteCount: listByteCount(data) });
    return this.#stream.write([head, ...data]);
  }

  #refuse(option: number, type: number, why: string): Promise<void> {
    return this.#reply(option, type, utf8Bytes(why));
  }

  async run(): Promise<ServerTerms | undefined> {
    const hello = bigEndian([16, HANDSHAKE_FLAG.fixedNewstyle | HANDSHAKE_FLAG.noZeroes]);
    await this.#stream.write([magicBytes(NBD_MAGIC), magicBytes(IHAVEOPT), hello]);
    const flags = new Uint8Array(4);
    if (!(await this.#stream.read(flags))) return undefined;
    const clientFlags = new DataView(flags.buffer).getUint32(0);
    // A client that knows of something that this server does not has to be let go.
    if ((clientFlags & ~(HANDSHAKE_FLAG.fixedNewstyle | HANDSHAKE_FLAG.noZeroes)) !== 0) return undefined;
    this.#omitsZeroes = (clientFlags & HANDSHAKE_FLAG.noZeroes) !== 0;
    for (let count = 0; count < MAX_OPTIONS; count++) {
      const next = await this.#takeOption();
      if (next !== undefined) return next === 'over' ? undefined : next;
    }
    return undefined;
  }

  async #takeOption(): Promise<ServerTerms | 'over' | undefined> {
    const bytes = new Uint8Array(OPTION_HEAD.byteCount);
    if (!(await this.#stream.read(bytes))) return 'over';
    const { magic, option, byteCount } = OPTION_HEAD.decode(bytes);
    if (!isMagic(magic, IHAVEOPT) || byteCount > MAX_PAYLOAD_BYTES) return 'over';
    if (byteCount > MAX_OPTION_BYTES) {
      const piece = new Uint8Array(MAX_OPTION_BYTES);
      for (let left = byteCount; left > 0; left -= piece.length)
        if (!(await this.#stream.read(piece.subarray(0, Math.min(left, piece.length))))) return 'over';
      if (option === OPTION.exportName) return 'over';
      await this.#refuse(option, REPLY_ERROR.tooBig, 'The option is too long.');
      return undefined;
    }
    const data = new Uint8Array(byteCount);
    if (byteCount > 0 && !(await this.#stream.read(data))) return 'over';
    return this.#answer(option, data);
  }

  async #answer(option: number, data: Uint8Array): Promise<ServerTerms | 'over' | undefined> {
    const mayGoOn = this.#isEncrypted || this.#options.requiresTls !== true;
    if (option === OPTION.abort) {
      await this.#reply(option, REPLY.ack);
      return 'over';
    }
    if (option === OPTION.startTls) return this.#startTls(data);
    if (!mayGoOn) {
      if (option === OPTION.exportName) return 'over';
      await this.#refuse(option, REPLY_ERROR.tlsRequired, 'This server wants TLS.');
      return undefined;
    }
    switch (option) {
      case OPTION.exportName:
        return this.#exportName(data);
      case OPTION.go:
      case OPTION.info:
        return this.#goOrInfo(option, data);
      case OPTION.list:
        return this.#list(data);
      case OPTION.structuredReply:
      case OPTION.extendedHeaders:
        return this.#agreeOnReplies(option, data);
      case OPTION.listMetaContext:
      case OPTION.setMetaContext:
        return this.#metaContexts(option, data);
      default:
        await this.#refuse(option, REPLY_ERROR.unsupported, 'This server does not know the option.');
        return undefined;
    }
  }

  async #startTls(data: Uint8Array): Promise<'over' | undefined> {
    if (this.#stream.startTls === undefined) await this.#refuse(OPTION.startTls, REPLY_ERROR.policy, 'This server does not encrypt.');
    else if (data.length > 0 || this.#isEncrypted) await this.#refuse(OPTION.startTls, REPLY_ERROR.invalid, 'TLS cannot begin here.');
    else {
      await this.#reply(OPTION.startTls, REPLY.ack);
      await this.#stream.startTls();
      // Nothing is believed that was said before.
      this.#isEncrypted = true;
      this.#hasStructuredReplies = false;
      this.#hasExtendedHeaders = false;
      this.#contextsOf = undefined;
    }
    return undefined;
  }

  #named(name: string): NbdExport | undefined {
    return this.#options.exports.find((known) => known.name === name);
  }

  #terms(chosen: NbdExport): ServerTerms {
    return {
      export: chosen,
      hasStructuredReplies: this.#hasStructuredReplies,
      hasExtendedHeaders: this.#hasExtendedHeaders,
      contexts: this.#contextsOf === chosen.name ? this.#contexts : [],
    };
  }

  async #exportName(data: Uint8Array): Promise<ServerTerms | 'over'> {
    const reader = new MessageReader(data);
    const chosen = this.#named(reader.text(Math.min(data.length, MAX_STRING_BYTES)));
    // There is no way to say no. What extended headers are cannot be told to such a client.
    if (chosen === undefined || this.#hasExtendedHeaders) return 'over';
    const terms = this.#terms(chosen);
    const size = bigEndian([64, chosen.disk.byteCount], [16, exportFlags(chosen, terms)]);
    await this.#stream.write([size, ...(this.#omitsZeroes ? [] : [new Uint8Array(124)])]);
    return terms;
  }

  async #goOrInfo(option: number, data: Uint8Array): Promise<ServerTerms | undefined> {
    const reader = new MessageReader(data);
    const name = reader.text(reader.u32());
    const requests = Array.from({ length: Math.min(reader.u16(), data.length) }, () => reader.u16());
    if (!reader.isWhole) {
      await this.#refuse(option, REPLY_ERROR.invalid, 'The lengths in the option do not add up.');
      return undefined;
    }
    const chosen = this.#named(name);
    if (chosen === undefined) {
      await this.#refuse(option, REPLY_ERROR.unknown, 'There is no such export.');
      return undefined;
    }
    const terms = this.#terms(chosen);
    const { disk, description } = chosen;
    await this.#reply(option, REPLY.info, bigEndian([16, INFO.export], [64, disk.byteCount], [16, exportFlags(chosen, terms)]));
    if (requests.includes(INFO.name)) await this.#reply(option, REPLY.info, bigEndian([16, INFO.name]), utf8Bytes(name));
    if (requests.includes(INFO.description) && description !== undefined)
      await this.#reply(option, REPLY.info, bigEndian([16, INFO.description]), utf8Bytes(description));
    const preferred = Math.min(Math.max(4096, disk.clusterByteCount ?? 4096), 1 << 20);
    await this.#reply(option, REPLY.info, bigEndian([16, INFO.blockSize], [32, 1], [32, preferred], [32, MAX_PAYLOAD_BYTES]));
    await this.#reply(option, REPLY.ack);
    return option === OPTION.go ? terms : undefined;
  }

  async #list(data: Uint8Array): Promise<undefined> {
    if (data.length > 0) return void (await this.#refuse(OPTION.list, REPLY_ERROR.invalid, 'The option has no data.'));
    for (const { name, description } of this.#options.exports) {
      const text = utf8Bytes(name);
      await this.#reply(OPTION.list, REPLY.server, bigEndian([32, text.length]), text, utf8Bytes(description ?? ''));
    }
    await this.#reply(OPTION.list, REPLY.ack);
  }

  async #agreeOnReplies(option: number, data: Uint8Array): Promise<undefined> {
    if (data.length > 0) return void (await this.#refuse(option, REPLY_ERROR.invalid, 'The option has no data.'));
    if (option === OPTION.structuredReply && this.#hasExtendedHeaders)
      return void (await this.#refuse(option, REPLY_ERROR.extendedHeadersRequired, 'Extended headers are agreed on already.'));
    this.#hasStructuredReplies = true;
    this.#hasExtendedHeaders = option === OPTION.extendedHeaders || this.#hasExtendedHeaders;
    await this.#reply(option, REPLY.ack);
  }

  async #metaContexts(option: number, data: Uint8Array): Promise<undefined> {
    if (!this.#hasStructuredReplies)
      return void (await this.#refuse(option, REPLY_ERROR.invalid, 'Structured replies have to be agreed on first.'));
    const reader = new MessageReader(data);
    const name = reader.text(reader.u32());
    const count = reader.u32();
    const queries = Array.from({ length: Math.min(count, MAX_QUERIES) }, () => reader.text(reader.u32()));
    if (count > MAX_QUERIES) return void (await this.#refuse(option, REPLY_ERROR.tooBig, 'These are too many queries.'));
    if (!reader.isWhole) return void (await this.#refuse(option, REPLY_ERROR.invalid, 'The lengths in the option do not add up.'));
    if (this.#named(name) === undefined) return void (await this.#refuse(option, REPLY_ERROR.unknown, 'There is no such export.'));
    const isList = option === OPTION.listMetaContext;
    const found = META_CONTEXTS.filter((context) =>
      isList
        ? queries.length === 0 || queries.some((query) => query === context || query === context.replace(/:.*/, ':'))
        : queries.includes(context),
    );
    if (!isList) {
      this.#contexts = found;
      this.#contextsOf = name;
    }
    for (const context of found)
      await this.#reply(option, REPLY.metaContext, bigEndian([32, isList ? 0 : contextId(context)]), utf8Bytes(context));
    await this.#reply(option, REPLY.ack);
  }
}

/** undefined: the client has gone, or is no client of NBD. AnilloError NETWORK. */
export function negotiateAsServer(stream: ByteStream, options: NbdServerOptions): Promise<ServerTerms | undefined> {
  return new Negotiation(stream, options).run();
}
