// NaN propagation: SSE takes the first NaN operand (SDM 1, 11.5.2.1, table 4-7 last columns), x87 the one with the larger significand (SDM 1, 4.8.3.5, table 4-7).

import { FLAG, type FloatEnv } from './float-env.ts';
import type { Format } from './format.ts';
import { packIndefinite, packNan } from './pack.ts';
import { KIND, type Unpacked } from './unpacked.ts';

/** Invalid operation: raises IE and gives the default NaN. */
export function invalid(env: FloatEnv, format: Format): bigint {
  env.flags |= FLAG.IE;
  return packIndefinite(format);
}

/** Result when an operand is a NaN or unsupported, else undefined. `b` may be `a` for an operation of one operand. */
export function propagateNan(env: FloatEnv, format: Format, a: Unpacked, b: Unpacked): bigint | undefined {
  if (a.kind < KIND.QNAN && b.kind < KIND.QNAN) return undefined;
  if (a.kind === KIND.UNSUPPORTED || b.kind === KIND.UNSUPPORTED) return invalid(env, format);
  if (a.kind === KIND.SNAN || b.kind === KIND.SNAN) env.flags |= FLAG.IE;
  if (!format.x87) return packNan(format, a.isNan() ? a : b);
  return packNan(format, chooseX87(a, b));
}

function chooseX87(a: Unpacked, b: Unpacked): Unpacked {
  if (!a.isNan()) return b;
  if (!b.isNan()) return a;
  if (a.kind !== b.kind) return a.kind === KIND.QNAN ? a : b;
  if (a.significand !== b.significand) return a.significand > b.significand ? a : b;
  return a.sign ? b : a;
}
