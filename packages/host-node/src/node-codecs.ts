// Compression by Node's zlib, on its threads.

import { constants, deflate, deflateRaw, inflate, inflateRaw, zstdCompress, zstdDecompress } from 'node:zlib';
import { promisify } from 'node:util';
import type { Codecs } from '@anillo/disk/codecs';

const [deflateAsync, inflateAsync, deflateRawAsync, inflateRawAsync] = [deflate, inflate, deflateRaw, inflateRaw].map((work) =>
  promisify(work),
);
const [zstdCompressAsync, zstdDecompressAsync] = [zstdCompress, zstdDecompress].map((work) => promisify(work));

export const NODE_CODECS: Codecs = {
  // A window of 4 KiB: what readers of qcow2 are sure to allow for.
  deflate: {
    compress: (bytes) => deflateRawAsync(bytes, { windowBits: 12 }),
    decompress: (bytes, maxOutputLength) => inflateRawAsync(bytes, { maxOutputLength, finishFlush: constants.Z_SYNC_FLUSH }),
  },
  zlib: {
    compress: (bytes) => deflateAsync(bytes),
    decompress: (bytes, maxOutputLength) => inflateAsync(bytes, { maxOutputLength }),
  },
  zstd: {
    compress: (bytes) => zstdCompressAsync(bytes),
    decompress: (bytes, maxOutputLength) => zstdDecompressAsync(bytes, { maxOutputLength }),
  },
};
