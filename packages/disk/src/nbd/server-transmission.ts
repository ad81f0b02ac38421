// The server's side of transmission: takes requests as they come, a bounded number of them at once, and answers each when it is done.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Extent } from '../disk.ts';
import { listByteCount } from '../request.ts';
import { Slots } from '../slots.ts';
import { utf8Bytes } from '../text-bytes.ts';
import type { ByteStream } from './byte-stream.ts';
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
  MAX_PAYLOAD_BYTES,
  type MetaContext,
  NBD_ERROR,
  REQUEST_HEAD,
  REQUEST_MAGIC,
  SIMPLE_REPLY_HEAD,
  SIMPLE_REPLY_MAGIC,
  STATUS_HOLE,
  STATUS_ZERO,
  STRUCTURED_REPLY_MAGIC,
} from './nbd-protocol.ts';
import type { NbdExport } from './nbd-server.ts';
import { contextId, type ServerTerms } from './server-handshake.ts';

const MAX_REQUESTS = 64;
const MAX_BYTES = 2 * MAX_PAYLOAD_BYTES;
/** Smaller holes are sent as the zeros that they are. */
const MIN_HOLE_BYTES = 4096;
const MAX_DESCRIPTORS = 4096;
/** Extents are asked for in such pieces. */
const STATUS_PIECE_BYTES = 256 << 20;
const MAX_STATUS_PIECES = 16;

interface Request {
  readonly cookie: Uint8Array;
  readonly flags: number;
  readonly command: number;
  readonly offset: number;
  readonly byteCount: number;
  readonly payload: Uint8Array | undefined;
}

/** What is answered to a request that fails. */
class Refusal extends Error {
  readonly code: number;
  constructor(code: number, why: string) {
    super(why);
    this.code = code;
  }
}

const ALLOWED_FLAGS: Readonly<Record<number, number>> = {
  [COMMAND.read]: COMMAND_FLAG.dontFragment | COMMAND_FLAG.fua,
  [COMMAND.write]: COMMAND_FLAG.fua,
  [COMMAND.flush]: COMMAND_FLAG.fua,
  [COMMAND.trim]: COMMAND_FLAG.fua,
  [COMMAND.cache]: COMMAND_FLAG.fua,
  [COMMAND.writeZeroes]: COMMAND_FLAG.fua | COMMAND_FLAG.noHole | COMMAND_FLAG.fastZero,
  [COMMAND.blockStatus]: COMMAND_FLAG.requireOne | COMMAND_FLAG.fua,
};

const isFull = (error: unknown): boolean =>
  error instanceof Error && (('code' in error && error.code === 'ENOSPC') || (error.cause !== undefined && isFull(error.cause)));

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof AnilloError) return new Refusal(isFull(error) ? NBD_ERROR.ENOSPC : NBD_ERROR.EIO, error.message);
  throw error;
}

/** Refused by the request alone. */
function check({ command, flags, offset, byteCount }: Request, { isReadOnly, disk }: NbdExport): void {
  const allowed = ALLOWED_FLAGS[command];
  if (allowed === undefined) throw new Refusal(NBD_ERROR.EINVAL, 'This server does not know the command.');
  if ((flags & ~allowed) !== 0) throw new Refusal(NBD_ERROR.EINVAL, 'The command does not take these flags.');
  if (command === COMMAND.flush) return;
  const isChange = command === COMMAND.write || command === COMMAND.trim || command === COMMAND.writeZeroes;
  if (isChange && isReadOnly) throw new Refusal(NBD_ERROR.EPERM, 'The export is read-only.');
  if (!(offset + byteCount <= disk.byteCount))
    throw new Refusal(
      isChange && command !== COMMAND.trim ? NBD_ERROR.ENOSPC : NBD_ERROR.EINVAL,
      'The range goes beyond the end of the export.',
    );
  if (command === COMMAND.read && byteCount > MAX_PAYLOAD_BYTES) throw new Refusal(NBD_ERROR.EOVERFLOW, 'The read is too long.');
}

export class ServerTransmission {
  readonly #stream: ByteStream;
  readonly #terms: ServerTerms;
  readonly #requests = new Slots(MAX_REQUESTS);
  readonly #bytes = new Slots(MAX_BYTES);
  readonly #underWay = new Set<Promise<void>>();
  /** Of a request that failed in a way that no request may, or of the stream. */
  #failure: unknown;

  constructor(stream: ByteStream, terms: ServerTerms) {
    this.#stream = stream;
    this.#terms = terms;
  }

  /** Until the client disconnects. AnilloError NETWORK. */
  async run(): Promise<void> {
    try {
      while (this.#failure === undefined && (await this.#takeRequest()));
    } finally {
      await Promise.all(this.#underWay);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #takeRequest(): Promise<boolean> {
    const { hasExtendedHeaders } = this.#terms;
    const layout = hasExtendedHeaders ? EXTENDED_REQUEST_HEAD : REQUEST_HEAD;
    const bytes = new Uint8Array(layout.byteCount);
    if (!(await this.#stream.read(bytes))) return false;
    const { magic, flags, command, cookie, offset, byteCount } = layout.decode(bytes);
    if (magic !== (hasExtendedHeaders ? EXTENDED_REQUEST_MAGIC : REQUEST_MAGIC) || command === COMMAND.disconnect) return false;
    const hasPayload = hasExtendedHeaders ? (flags & COMMAND_FLAG.payloadLength) !== 0 : command === COMMAND.write;
    // Where such a message ends cannot be told.
    if (hasPayload && byteCount > MAX_PAYLOAD_BYTES) return false;
    const cost = hasPayload || command === COMMAND.read ? Math.min(byteCount, MAX_PAYLOAD_BYTES) : 0;
    await Promise.all([this.#requests.take(1), this.#bytes.take(cost)]);
    let isTaken = false;
    try {
      const payload = hasPayload ? new Uint8Array(byteCount) : undefined;
      if (payload !== undefined && byteCount > 0 && !(await this.#stream.read(payload))) return false;
      isTaken = true;
      const plainFlags = command === COMMAND.write ? flags & ~(hasExtendedHeaders ? COMMAND_FLAG.payloadLength : 0) : flags;
      const answering = this.#answer({ cookie, flags: plainFlags, command, offset, byteCount, payload }).catch((error: unknown) => {
        this.#failure ??= error;
        this.#stream.close();
      });
      const done = answering.finally(() => {
        this.#underWay.delete(done);
        this.#give(cost);
      });
      this.#underWay.add(done);
      return true;
    } finally {
      if (!isTaken) this.#give(cost);
    }
  }

  #give(cost: number): void {
    this.#requests.give(1);
    this.#bytes.give(cost);
  }

  async #answer(request: Request): Promise<void> {
    try {
      check(request, this.#terms.export);
      if (request.command === COMMAND.read) return await this.#read(request);
      if (request.command === COMMAND.blockStatus) return await this.#blockStatus(request);
      await this.#change(request);
    } catch (error) {
      return this.#refuse(request, refusalOf(error));
    }
    await this.#done(request);
  }

  async #change({ command, flags, offset, byteCount, payload }: Request): Promise<void> {
    const { disk, bytes, isReadOnly } = this.#terms.export;
    switch (command) {
      case COMMAND.write:
        if (payload === undefined) throw new Refusal(NBD_ERROR.EINVAL, 'The write brings no bytes.');
        await bytes.write(offset, [payload]);
        break;
      case COMMAND.writeZeroes:
        if ((flags & COMMAND_FLAG.fastZero) !== 0) await this.#checkFastZero(offset, byteCount, (flags & COMMAND_FLAG.noHole) === 0);
        await bytes.writeZeroes(offset, byteCount, (flags & COMMAND_FLAG.noHole) === 0);
        break;
      case COMMAND.trim: {
        // What is not a whole sector is still needed.
        const first = Math.ceil(offset / 512) * 512;
        const last = Math.floor((offset + byteCount) / 512) * 512;
        if (last > first) await disk.discard(first, last - first);
        break;
      }
      case COMMAND.flush:
        if (!isReadOnly) await disk.flush();
        return;
      default:
        return;
    }
    if ((flags & COMMAND_FLAG.fua) !== 0) await disk.flush();
  }

  /** Zeros are quicker than writing them where their room may be given back, or nothing but zeros is there. */
  async #checkFastZero(offset: number, byteCount: number, mayUnmap: boolean): Promise<void> {
    if (mayUnmap && byteCount >= MIN_HOLE_BYTES) return;
    const [first] = byteCount === 0 ? [] : await this.#extents(offset, byteCount, 1);
    if (first === undefined || (first.kind !== 'data' && first.offset + first.byteCount >= offset + byteCount)) return;
    throw new Refusal(NBD_ERROR.ENOTSUP, 'The zeros would have to be written.');
  }

  /** Of whole sectors; stops early. */
  async #extents(offset: number, byteCount: number, pieces: number): Promise<readonly Extent[]> {
    const { disk } = this.#terms.export;
    const end = Math.ceil((offset + byteCount) / 512) * 512;
    const found: Extent[] = [];
    let at = offset - (offset % 512);
    for (let piece = 0; piece < pieces && at < end && found.length < MAX_DESCRIPTORS; piece++) {
      const next = await disk.extents(at, Math.min(end - at, STATUS_PIECE_BYTES));
      for (const extent of next) found.push(extent);
      at = next.reduce((last, extent) => Math.max(last, extent.offset + extent.byteCount), at);
    }
    return found;
  }

  #chunk({ cookie, offset }: Request, type: number, isLast: boolean, payload: readonly Uint8Array[]): Promise<void> {
    const flags = isLast ? CHUNK_DONE : 0;
    const byteCount = listByteCount(payload);
    const head = this.#terms.hasExtendedHeaders
      ? EXTENDED_CHUNK_HEAD.encode({ magic: EXTENDED_REPLY_MAGIC, flags, type, cookie, offset, byteCount })
      : CHUNK_HEAD.encode({ magic: STRUCTURED_REPLY_MAGIC, flags, type, cookie, byteCount });
    return this.#stream.write([head, ...payload]);
  }

  #done(request: Request): Promise<void> {
    if (this.#terms.hasStructuredReplies) return this.#chunk(request, CHUNK.none, true, []);
    return this.#stream.write([SIMPLE_REPLY_HEAD.encode({ magic: SIMPLE_REPLY_MAGIC, error: 0, cookie: request.cookie })]);
  }

  #refuse(request: Request, { code, message }: Refusal): Promise<void> {
    if (!this.#terms.hasStructuredReplies)
      return this.#stream.write([SIMPLE_REPLY_HEAD.encode({ magic: SIMPLE_REPLY_MAGIC, error: code, cookie: request.cookie })]);
    const text = utf8Bytes(message.slice(0, 1000));
    const head = new Uint8Array(6);
    const view = new DataView(head.buffer);
    view.setUint32(0, code);
    view.setUint16(4, text.length);
    return this.#chunk(request, CHUNK.error, true, [head, text]);
  }

  async #read(request: Request): Promise<void> {
    const { hasStructuredReplies, export: chosen } = this.#terms;
    const { offset, byteCount, cookie, flags } = request;
    if (!hasStructuredReplies) {
      const bytes = new Uint8Array(byteCount);
      await chosen.bytes.read(offset, [bytes]);
      return this.#stream.write([SIMPLE_REPLY_HEAD.encode({ magic: SIMPLE_REPLY_MAGIC, error: 0, cookie }), bytes]);
    }
    if (byteCount === 0) return this.#chunk(request, CHUNK.none, true, []);
    const end = offset + byteCount;
    const mayHaveHoles = (flags & COMMAND_FLAG.dontFragment) === 0 && byteCount >= MIN_HOLE_BYTES;
    const holes = mayHaveHoles ? holesOf(await this.#extents(offset, byteCount, 1), offset, end) : [];
    let at = offset;
    for (const [from, to] of [...holes, [end, end] as const]) {
      if (from > at) await this.#sendData(request, at, from, from === end);
      if (to > from) await this.#sendHole(request, from, to - from, to === end);
      at = to;
      if (at === end) break;
    }
  }

  async #sendData(request: Request, from: number, to: number, isLast: boolean): Promise<void> {
    const bytes = new Uint8Array(8 + to - from);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(from));
    await this.#terms.export.bytes.read(from, [bytes.subarray(8)]);
    await this.#chunk(request, CHUNK.offsetData, isLast, [bytes]);
  }

  #sendHole(request: Request, from: number, byteCount: number, isLast: boolean): Promise<void> {
    const bytes = new Uint8Array(12);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(from));
    view.setUint32(8, byteCount);
    return this.#chunk(request, CHUNK.offsetHole, isLast, [bytes]);
  }

  async #blockStatus(request: Request): Promise<void> {
    const { offset, byteCount, flags } = request;
    const { contexts, hasExtendedHeaders } = this.#terms;
    if (contexts.length === 0) throw new Refusal(NBD_ERROR.EINVAL, 'No meta context has been agreed on.');
    if (byteCount === 0) throw new Refusal(NBD_ERROR.EINVAL, 'The range is empty.');
    const isOne = (flags & COMMAND_FLAG.requireOne) !== 0;
    const extents = await this.#extents(offset, byteCount, isOne ? 1 : MAX_STATUS_PIECES);
    for (const [i, context] of contexts.entries()) {
      const list = descriptors(extents, offset, offset + byteCount, context).slice(0, isOne ? 1 : MAX_DESCRIPTORS);
      const isLast = i === contexts.length - 1;
      const payload = hasExtendedHeaders ? wideDescriptors(context, list) : narrowDescriptors(context, list);
      await this.#chunk(request, hasExtendedHeaders ? CHUNK.blockStatusExtended : CHUNK.blockStatus, isLast, [payload]);
    }
  }
}

type Descriptor = readonly [byteCount: number, flags: number];

function statusOf({ kind, depth }: Extent, context: MetaContext): number {
  if (context === 'qemu:allocation-depth') return kind === 'absent' ? 0 : depth + 1;
  return kind === 'data' ? 0 : STATUS_ZERO | STATUS_HOLE;
}

/** What goes on alike is one. */
function descriptors(extents: readonly Extent[], offset: number, end: number, context: MetaContext): readonly Descriptor[] {
  const found: Descriptor[] = [];
  for (const extent of extents) {
    const byteCount = Math.min(end, extent.offset + extent.byteCount) - Math.max(offset, extent.offset);
    const status = statusOf(extent, context);
    const last = found.at(-1);
    if (last?.[1] === status) found[found.length - 1] = [last[0] + byteCount, status];
    else found.push([byteCount, status]);
  }
  return found;
}

function narrowDescriptors(context: MetaContext, list: readonly Descriptor[]): Uint8Array {
  const bytes = new Uint8Array(4 + 8 * list.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, contextId(context));
  for (const [i, [byteCount, flags]] of list.entries()) {
    view.setUint32(4 + 8 * i, byteCount);
    view.setUint32(8 + 8 * i, flags);
  }
  return bytes;
}

function wideDescriptors(context: MetaContext, list: readonly Descriptor[]): Uint8Array {
  const bytes = new Uint8Array(8 + 16 * list.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, contextId(context));
  view.setUint32(4, list.length);
  for (const [i, [byteCount, flags]] of list.entries()) {
    view.setBigUint64(8 + 16 * i, BigInt(byteCount));
    view.setBigUint64(16 + 16 * i, BigInt(flags));
  }
  return bytes;
}

function holesOf(extents: readonly Extent[], offset: number, end: number): readonly (readonly [number, number])[] {
  const found: (readonly [number, number])[] = [];
  for (const extent of extents) {
    if (extent.kind === 'data') continue;
    const from = Math.max(offset, extent.offset);
    const to = Math.min(end, extent.offset + extent.byteCount);
    const last = found.at(-1);
    if (last?.[1] === from) found[found.length - 1] = [last[0], to];
    else found.push([from, to]);
  }
  return found.filter(([from, to]) => to - from >= MIN_HOLE_BYTES);
}
