// All vector instructions of the front end: rows, and what their lifted code calls.

import type { Helper, Routine } from '@anillo/ir/callee';
import type { HelperMap } from '../helper-map.ts';
import type { Row } from '../row.ts';
import { AES_ROWS } from './aes.ts';
import { AVX_ROWS } from './avx.ts';
import { AVX2_ROWS } from './avx2.ts';
import { CRC32C } from './crc32c.ts';
import { F16C_ROWS } from './f16c.ts';
import { FMA_ROUTINES, FMA_ROWS } from './fma.ts';
import { MASKED_LOAD, MASKED_PROBE, MASKED_STORE } from './masked-store.ts';
import { MMX_ROWS } from './mmx.ts';
import { PCLMUL_ROUTINES, PCLMUL_ROWS } from './pclmul.ts';
import { SHA_ROUTINES, SHA_ROWS } from './sha.ts';
import { RECIPROCAL, RECIPROCAL_ROOT } from './simd-approximation.ts';
import { CONVERT_ROUTINES } from './simd-convert-routines.ts';
import { SIMD_FLOAT, SIMD_FLOAT_HELPERS } from './simd-float-helper.ts';
import { FLOAT_ROUTINES } from './simd-float-routines.ts';
import { WIDE_ACCESS_ROUTINES } from './wide-access.ts';
import { SSE_ROWS } from './sse.ts';
import { SSE2_ROWS } from './sse2.ts';
import { SSE3_ROWS } from './sse3.ts';
import { SSE41_ROWS } from './sse41.ts';
import { SSE42_ROWS } from './sse42.ts';
import { SSSE3_ROWS } from './ssse3.ts';
import { STRING_COMPARE_ROUTINES } from './string-compare.ts';

export const SIMD_ROWS: readonly Row[] = [
  ...MMX_ROWS,
  ...SSE_ROWS,
  ...SSE2_ROWS,
  ...SSE3_ROWS,
  ...SSSE3_ROWS,
  ...SSE41_ROWS,
  ...SSE42_ROWS,
  ...AES_ROWS,
  ...PCLMUL_ROWS,
  ...SHA_ROWS,
  ...AVX_ROWS,
  ...AVX2_ROWS,
  ...FMA_ROWS,
  ...F16C_ROWS,
];

export const SIMD_ROUTINES: readonly Routine[] = [
  ...FLOAT_ROUTINES.values(),
  ...CONVERT_ROUTINES.values(),
  ...FMA_ROUTINES.values(),
  RECIPROCAL,
  RECIPROCAL_ROOT,
  ...PCLMUL_ROUTINES,
  ...WIDE_ACCESS_ROUTINES,
  ...SHA_ROUTINES,
  ...STRING_COMPARE_ROUTINES.values(),
  CRC32C,
  ...Object.values(MASKED_PROBE),
  ...Object.values(MASKED_STORE),
  ...Object.values(MASKED_LOAD),
];

export const SIMD_HELPERS: readonly Helper[] = [SIMD_FLOAT];
export const SIMD_HELPER_MAP: HelperMap = SIMD_FLOAT_HELPERS;
