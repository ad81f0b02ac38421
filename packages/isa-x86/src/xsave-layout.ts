// The XSAVE area: legacy region, header, AVX component, PKRU. SDM Vol. 1 chapter 13. Standard and compacted formats coincide but for PKRU, which
// follows what is there in the compacted one.

import type { CpuModel } from './cpu-model.ts';

export const XCR0 = { X87: 1, SSE: 2, AVX: 4, PKRU: 1 << 9 } as const;
/** Legacy region and header. */
export const XSAVE_LEGACY_BYTES = 576;
export const XSAVE_AVX_OFFSET = 576;
export const XSAVE_AVX_BYTES = 256;
/** As on processors with AVX-512, so that the areas of a guest are the same on both. */
export const XSAVE_PKRU_OFFSET = 2688;
export const XSAVE_PKRU_BYTES = 8;

/** Bits that XCR0 may have. */
export const supportedXcr0 = (model: CpuModel): number =>
  XCR0.X87 | XCR0.SSE | (model.features.has('avx') ? XCR0.AVX : 0) | (model.features.has('pku') ? XCR0.PKRU : 0);

/** Where PKRU lies in the compacted format with these components. */
export const compactedPkruOffset = (components: number): number => XSAVE_LEGACY_BYTES + ((components & XCR0.AVX) !== 0 ? XSAVE_AVX_BYTES : 0);

export const compactedAreaBytes = (components: number): number => compactedPkruOffset(components) + ((components & XCR0.PKRU) !== 0 ? XSAVE_PKRU_BYTES : 0);

/** Standard format. */
export const xsaveAreaBytes = (components: number): number =>
  (components & XCR0.PKRU) !== 0 ? XSAVE_PKRU_OFFSET + XSAVE_PKRU_BYTES : compactedAreaBytes(components);
