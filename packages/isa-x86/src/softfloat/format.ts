// Floating-point formats: IEEE 754 binary16/32/64 and the x87 double extended format (SDM 1, 4.2). Raw values are unsigned BigInts of the format's width;
// the extended one is 80 bits, sign and exponent above the 64-bit significand whose integer bit is explicit.

export interface Format {
  /** Bits of significand, integer bit included. */
  readonly precision: number;
  /** Bits of the stored significand field. */
  readonly fieldBits: number;
  readonly bias: number;
  /** All-ones exponent field. */
  readonly maxField: number;
  /** Exponent of the smallest normal number. */
  readonly minExponent: number;
  /** Rules of NaN propagation, flags and unmasked responses: x87's or SSE's. */
  readonly x87: boolean;
  /** Positions of the sign bit and masks, kept as BigInts for speed. */
  readonly signShift: bigint;
  readonly fieldShift: bigint;
  readonly fieldMask: bigint;
  /** Integer bit (implicit or explicit). */
  readonly integerBit: bigint;
}

function format(precision: number, exponentBits: number, x87: boolean): Format {
  const fieldBits = x87 ? precision : precision - 1;
  const maxField = 2 ** exponentBits - 1;
  const bias = (maxField - 1) / 2;
  return {
    precision,
    fieldBits,
    bias,
    maxField,
    minExponent: 1 - bias,
    x87,
    signShift: BigInt(fieldBits + exponentBits),
    fieldShift: BigInt(fieldBits),
    fieldMask: (1n << BigInt(fieldBits)) - 1n,
    integerBit: 1n << BigInt(precision - 1),
  };
}

export const F16 = format(11, 5, false);
export const F32 = format(24, 8, false);
export const F64 = format(53, 11, false);
export const EXT = format(64, 15, true);
