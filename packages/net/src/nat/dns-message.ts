// DNS messages (RFC 1035), as much of them as a forwarder reads and writes. Every pointer and count is hostile.

import { read16, read32, write16, write32 } from '../network-order.ts';

export const DNS_TYPES = { a: 1, cname: 5, ptr: 12, aaaa: 28, opt: 41 } as const;
export const DNS_CODES = { ok: 0, formatError: 1, serverFailure: 2, noSuchName: 3, refused: 5 } as const;
export const DNS_HEADER_BYTES = 12;
const CLASS_IN = 1;
const LARGEST_NAME_BYTES = 255;
const POINTER_LIMIT = 64;
const RECORD_LIMIT = 256;

export interface DnsQuestion {
  readonly id: number;
  /** Lower case, without the last dot. */
  readonly name: string;
  readonly type: number;
  readonly isRecursionDesired: boolean;
  /** Behind the question. */
  readonly end: number;
  /** The largest answer that the asker takes over UDP. */
  readonly udpBytes: number;
}

/** The name at `offset`, lower case; undefined: it is none. */
function readName(message: Uint8Array, offset: number): { name: string; end: number } | undefined {
  const labels: string[] = [];
  let at = offset;
  let end = -1;
  let byteCount = 0;
  for (let pointers = 0; at < message.length; ) {
    const length = message[at];
    if (length === 0) return { name: labels.join('.').toLowerCase(), end: end < 0 ? at + 1 : end };
    if (length >= 0xc0) {
      if (at + 2 > message.length || ++pointers > POINTER_LIMIT) return undefined;
      if (end < 0) end = at + 2;
      at = read16(message, at) & 0x3fff;
      continue;
    }
    byteCount += length + 1;
    if (length > 63 || at + 1 + length > message.length || byteCount > LARGEST_NAME_BYTES) return undefined;
    // What is no letter, digit, '-' or '_' cannot be confused with a dot.
    labels.push(
      String.fromCharCode(...message.subarray(at + 1, at + 1 + length)).replace(
        /[^a-zA-Z0-9_-]/g,
        (character) => `\\${character.charCodeAt(0)}`,
      ),
    );
    at += 1 + length;
  }
  return undefined;
}

/** Labels of at most 63 characters; longer ones are cut. */
export function writeName(name: string): Uint8Array {
  const bytes: number[] = [];
  for (const label of name.split('.').filter((part) => part !== '')) {
    const cut = label.slice(0, 63);
    bytes.push(cut.length, ...Array.from(cut, (character) => character.charCodeAt(0) & 0x7f));
  }
  return Uint8Array.from([...bytes.slice(0, LARGEST_NAME_BYTES - 1), 0]);
}

/** Undefined: not a question of one name. */
export function readQuestion(message: Uint8Array): DnsQuestion | undefined {
  if (message.length < DNS_HEADER_BYTES || (message[2] & 0xf8) !== 0 || read16(message, 4) !== 1) return undefined;
  const name = readName(message, DNS_HEADER_BYTES);
  if (name === undefined || name.end + 4 > message.length || read16(message, name.end + 2) !== CLASS_IN) return undefined;
  const end = name.end + 4;
  return {
    id: read16(message, 0),
    name: name.name,
    type: read16(message, name.end),
    isRecursionDesired: (message[2] & 1) !== 0,
    end,
    udpBytes: udpBytesOf(message, end),
  };
}

/** EDNS's (RFC 6891, 6.2.3), if the first record behind the question is one of its. */
function udpBytesOf(message: Uint8Array, at: number): number {
  const hasOption = read16(message, 10) > 0 && at + 11 <= message.length && message[at] === 0 && read16(message, at + 1) === DNS_TYPES.opt;
  return hasOption ? Math.min(4096, Math.max(512, read16(message, at + 3))) : 512;
}

export interface DnsAddress {
  readonly bytes: Uint8Array;
  readonly lifeSeconds: number;
}

/** The addresses that an answer gives; none where it is no answer. */
export function readAddresses(message: Uint8Array): DnsAddress[] {
  const addresses: DnsAddress[] = [];
  if (message.length < DNS_HEADER_BYTES) return addresses;
  let at = DNS_HEADER_BYTES;
  for (let i = read16(message, 4); i > 0; i--) {
    const name = readName(message, at);
    if (name === undefined) return addresses;
    at = name.end + 4;
  }
  for (let i = Math.min(RECORD_LIMIT, read16(message, 6)); i > 0; i--) {
    const name = readName(message, at);
    if (name === undefined || name.end + 10 > message.length) return addresses;
    const type = read16(message, name.end);
    const data = name.end + 10;
    const byteCount = read16(message, name.end + 8);
    if (data + byteCount > message.length) return addresses;
    const isAddress = (type === DNS_TYPES.a && byteCount === 4) || (type === DNS_TYPES.aaaa && byteCount === 16);
    if (isAddress) addresses.push({ bytes: message.slice(data, data + byteCount), lifeSeconds: read32(message, name.end + 4) });
    at = data + byteCount;
  }
  return addresses;
}

export interface DnsRecord {
  readonly type: number;
  readonly lifeSeconds: number;
  readonly data: Uint8Array;
}

/** An answer with records for the name that was asked for. */
export function writeAnswer(
  question: Uint8Array,
  read: DnsQuestion,
  code: number,
  records: readonly DnsRecord[],
  isAuthoritative: boolean,
): Uint8Array {
  const byteCount = read.end + records.reduce((sum, record) => sum + 12 + record.data.length, 0);
  const answer = new Uint8Array(byteCount);
  answer.set(question.subarray(0, read.end));
  answer[2] = 0x80 | (isAuthoritative ? 4 : 0) | (read.isRecursionDesired ? 1 : 0);
  answer[3] = 0x80 | code;
  write16(answer, 6, records.length);
  write16(answer, 8, 0);
  write16(answer, 10, 0);
  let at = read.end;
  for (const record of records) {
    write16(answer, at, 0xc000 | DNS_HEADER_BYTES);
    write16(answer, at + 2, record.type);
    write16(answer, at + 4, CLASS_IN);
    write32(answer, at + 6, record.lifeSeconds);
    write16(answer, at + 10, record.data.length);
    answer.set(record.data, at + 12);
    at += 12 + record.data.length;
  }
  return answer;
}

/** The same question back, with the mark that the answer does not fit: the asker comes again by TCP. */
export function truncated(question: Uint8Array, read: DnsQuestion): Uint8Array {
  const answer = writeAnswer(question, read, DNS_CODES.ok, [], false);
  answer[2] |= 2;
  return answer;
}
