// The XSAVE area: legacy region, header, AVX component. SDM Vol. 1 chapter 13. Standard and compacted formats coincide for x87, SSE and AVX.

import type { CpuModel } from './cpu-model.ts';

export const XCR0 = { X87: 1, SSE: 2, AVX: 4 } as const;
/** Legacy region and header. */
export const XSAVE_LEGACY_BYTES = 576;
export const XSAVE_AVX_OFFSET = 576;
export const XSAVE_AVX_BYTES = 256;

/** Bits that XCR0 may have. */
export const supportedXcr0 = (model: CpuModel): number => XCR0.X87 | XCR0.SSE | (model.features.has('avx') ? XCR0.AVX : 0);

export const xsaveAreaBytes = (components: number): number => XSAVE_LEGACY_BYTES + ((components & XCR0.AVX) !== 0 ? XSAVE_AVX_BYTES : 0);
