// The words of the NBD protocol (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md). All numbers are big-endian.

import { packedLayout } from '../packed-layout.ts';

export const NBD_MAGIC = 0x4e42444d41474943n;
export const IHAVEOPT = 0x49484156454f5054n;
export const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;
export const REQUEST_MAGIC = 0x25609513;
export const EXTENDED_REQUEST_MAGIC = 0x21e41c71;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;
export const EXTENDED_REPLY_MAGIC = 0x6e8a278c;

export const NBD_PORT = 10809;

export const HANDSHAKE_FLAG = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
  extendedHeaders: 11,
} as const;

export const REPLY = { ack: 1, server: 2, info: 3, metaContext: 4 } as const;

export const REPLY_ERROR_BIT = 0x8000_0000;
export const REPLY_ERROR = {
  unsupported: 0x8000_0001,
  policy: 0x8000_0002,
  invalid: 0x8000_0003,
  platform: 0x8000_0004,
  tlsRequired: 0x8000_0005,
  unknown: 0x8000_0006,
  shutdown: 0x8000_0007,
  blockSizeRequired: 0x8000_0008,
  tooBig: 0x8000_0009,
  extendedHeadersRequired: 0x8000_000a,
} as const;

export const INFO = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

export const EXPORT_FLAG = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  flush: 1 << 2,
  fua: 1 << 3,
  rotational: 1 << 4,
  trim: 1 << 5,
  writeZeroes: 1 << 6,
  dontFragment: 1 << 7,
  multiConn: 1 << 8,
  resize: 1 << 9,
  cache: 1 << 10,
  fastZero: 1 << 11,
} as const;

export const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, cache: 5, writeZeroes: 6, blockStatus: 7 } as const;

export const COMMAND_FLAG = {
  fua: 1 << 0,
  noHole: 1 << 1,
  dontFragment: 1 << 2,
  requireOne: 1 << 3,
  fastZero: 1 << 4,
  payloadLength: 1 << 5,
} as const;

export const CHUNK = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  blockStatusExtended: 6,
  error: 0x8001,
  errorOffset: 0x8002,
} as const;
export const CHUNK_DONE = 1;

export const NBD_ERROR = { EPERM: 1, EIO: 5, ENOMEM: 12, EINVAL: 22, ENOSPC: 28, EOVERFLOW: 75, ENOTSUP: 95, ESHUTDOWN: 108 } as const;

export function nbdErrorName(code: number): string {
  return Object.entries(NBD_ERROR).find(([, known]) => known === code)?.[0] ?? `error ${code}`;
}

/** `base:allocation`. */
export const STATUS_HOLE = 1;
export const STATUS_ZERO = 2;

/** Most that a request may carry; what servers and clients take without asking. */
export const MAX_PAYLOAD_BYTES = 32 << 20;
/** A string of the protocol. */
export const MAX_STRING_BYTES = 4096;

/** Cookies are eight bytes that the client chose and the server gives back as they are. */
export const OPTION_HEAD = packedLayout('big', { magic: 8, option: 'u32', byteCount: 'u32' });
export const OPTION_REPLY_HEAD = packedLayout('big', { magic: 8, option: 'u32', type: 'u32', byteCount: 'u32' });
export const REQUEST_HEAD = packedLayout('big', { magic: 'u32', flags: 'u16', command: 'u16', cookie: 8, offset: 'u64', byteCount: 'u32' });
export const EXTENDED_REQUEST_HEAD = packedLayout('big', {
  magic: 'u32',
  flags: 'u16',
  command: 'u16',
  cookie: 8,
  offset: 'u64',
  byteCount: 'u64',
});
export const SIMPLE_REPLY_HEAD = packedLayout('big', { magic: 'u32', error: 'u32', cookie: 8 });
export const CHUNK_HEAD = packedLayout('big', { magic: 'u32', flags: 'u16', type: 'u16', cookie: 8, byteCount: 'u32' });
export const EXTENDED_CHUNK_HEAD = packedLayout('big', {
  magic: 'u32',
  flags: 'u16',
  type: 'u16',
  cookie: 8,
  offset: 'u64',
  byteCount: 'u64',
});

/** Eight bytes of a 64-bit number that is no count. */
export function magicBytes(magic: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, magic);
  return bytes;
}

export function isMagic(bytes: Uint8Array, magic: bigint): boolean {
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0) === magic;
}

export const META_CONTEXTS = ['base:allocation', 'qemu:allocation-depth'] as const;
export type MetaContext = (typeof META_CONTEXTS)[number];

/** What the two have agreed on in the handshake. */
export interface NbdTerms {
  readonly hasStructuredReplies: boolean;
  readonly hasExtendedHeaders: boolean;
}
