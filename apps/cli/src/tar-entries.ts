// Goes through a tar stream, entry by entry (POSIX.1-2017, pax: ustar with extended headers; GNU's long names). Names are bytes, one character each.

import { AnilloError } from '@anillo/base/anillo-error';

export interface TarEntry {
  readonly path: string;
  readonly kind: 'file' | 'hard link' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';
  readonly mode: number;
  readonly user: number;
  readonly group: number;
  /** Seconds since 1970. */
  readonly modifyTime: number;
  readonly byteCount: number;
  readonly target: string;
  readonly major: number;
  readonly minor: number;
  readonly attributes: ReadonlyMap<string, Uint8Array>;
  /** What of it is not read is skipped when the next entry is asked for. */
  content(): AsyncGenerator<Uint8Array>;
}

const BLOCK_BYTES = 512;
/** Of extended headers and long names. */
const MOST_HEADER_BYTES = 1 << 20;
const ATTRIBUTE_KEY = 'SCHILY.xattr.';
const KINDS = new Map<string, TarEntry['kind']>([
  ['0', 'file'],
  ['\0', 'file'],
  ['7', 'file'],
  ['1', 'hard link'],
  ['2', 'symlink'],
  ['3', 'character'],
  ['4', 'block'],
  ['5', 'directory'],
  ['6', 'fifo'],
]);

const damaged = (what: string): AnilloError =>
  new AnilloError('BAD_IMAGE', `The archive with the files of the system is damaged (${what}); try again.`);
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');

/** Takes so many bytes at a time out of chunks of any length. */
class ChunkReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** `byteCount` bytes in pieces as they come. */
  async *pieces(byteCount: number): AsyncGenerator<Uint8Array> {
    for (let left = byteCount; left > 0; ) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks.next();
        if (next.done === true) throw damaged('it ends too early');
        this.#rest = next.value;
      }
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }

  async take(byteCount: number): Promise<Uint8Array> {
    const whole = new Uint8Array(byteCount);
    let at = 0;
    for await (const piece of this.pieces(byteCount)) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  /** What comes behind the archive's end. */
  async drain(): Promise<void> {
    while ((await this.#chunks.next()).done !== true);
  }
}

const field = (block: Uint8Array, at: number, byteCount: number): string =>
  latin1(block.subarray(at, at + byteCount)).replace(/\0.*$/s, '');

/** Octal, or a binary number where the first bit is set. */
function numberField(block: Uint8Array, at: number, byteCount: number): number {
  if ((block[at] & 0x80) === 0) return Number.parseInt(field(block, at, byteCount).trim() || '0', 8);
  let value = block[at] & 0x7f;
  for (let i = 1; i < byteCount; i++) value = value * 256 + block[at + i];
  return value;
}

/** "LENGTH KEY=VALUE\n" after each other. */
function extendedRecords(bytes: Uint8Array): Map<string, Uint8Array> {
  const records = new Map<string, Uint8Array>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(latin1(bytes.subarray(at, space)));
    const equals = bytes.indexOf(0x3d, space);
    if (!(length > space - at) || at + length > bytes.length || equals < 0 || equals >= at + length) throw damaged('an extended header');
    records.set(latin1(bytes.subarray(space + 1, equals)), bytes.slice(equals + 1, at + length - 1));
    at += length;
  }
  return records;
}

function attributesOf(records: ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const [key, value] of records) if (key.startsWith(ATTRIBUTE_KEY)) found.set(key.slice(ATTRIBUTE_KEY.length), value);
  return found;
}

function checkSum(block: Uint8Array): void {
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK_BYTES; i++) if (i < 148 || i >= 156) sum += block[i];
  if (sum !== numberField(block, 148, 8)) throw damaged('a header');
}

function entryOf(
  block: Uint8Array,
  records: ReadonlyMap<string, Uint8Array>,
  kind: TarEntry['kind'],
  content: TarEntry['content'],
): TarEntry {
  const text = (key: string): string | undefined => {
    const value = records.get(key);
    return value && latin1(value);
  };
  const number = (key: string, at: number, byteCount: number): number => Number(text(key) ?? numberField(block, at, byteCount));
  const prefix = field(block, 257, 6) === 'ustar' ? field(block, 345, 155) : '';
  const name = field(block, 0, 100);
  return {
    path: (text('path') ?? (prefix === '' ? name : `${prefix}/${name}`)).replace(/^(\.?\/)+|\/+$/g, '').replace(/^\.$/, ''),
    kind,
    mode: numberField(block, 100, 8) & 0o7777,
    user: number('uid', 108, 8),
    group: number('gid', 116, 8),
    modifyTime: number('mtime', 136, 12),
    byteCount: kind === 'file' ? number('size', 124, 12) : 0,
    target: text('linkpath') ?? field(block, 157, 100),
    major: numberField(block, 329, 8),
    minor: numberField(block, 337, 8),
    attributes: attributesOf(records),
    content,
  };
}

/** AnilloError BAD_IMAGE for what is no tar. */
export async function* tarEntries(stream: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const reader = new ChunkReader(stream);
  let records = new Map<string, Uint8Array>();
  for (;;) {
    const block = await reader.take(BLOCK_BYTES);
    if (block.every((byte) => byte === 0)) return reader.drain();
    checkSum(block);
    const type = String.fromCharCode(block[156]);
    const ownBytes = Number((records.has('size') ? latin1(records.get('size') as Uint8Array) : undefined) ?? numberField(block, 124, 12));
    if (!Number.isSafeInteger(ownBytes) || ownBytes < 0) throw damaged('a size');
    const padding = -ownBytes & (BLOCK_BYTES - 1);
    if (type === 'x' || type === 'g' || type === 'L' || type === 'K') {
      if (ownBytes > MOST_HEADER_BYTES) throw damaged('a header is too long');
      const bytes = await reader.take(ownBytes);
      await reader.take(padding);
      if (type === 'x') records = new Map([...records, ...extendedRecords(bytes)]);
      else if (type !== 'g')
        records.set(type === 'L' ? 'path' : 'linkpath', bytes.subarray(0, Math.max(bytes.indexOf(0), 0) || bytes.length));
      continue;
    }
    const kind = KINDS.get(type);
    if (kind === undefined) throw damaged(`an entry of type "${type}"`);
    const pieces = reader.pieces(ownBytes);
    yield entryOf(block, records, kind, () => pieces);
    for await (const _ of pieces);
    await reader.take(padding);
    records = new Map();
  }
}
