// 64 by 64 bits to 128, for WebAssembly has no such multiplication: the upper word from four products of halves, two of them written alike for squares, which
// then have three. The lower word is a product of its own: it waits for nothing, and takes less than what would put it together.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';

type I64 = Value<'i64'>;

export function multiplyWide(b: Builder, x: I64, y: I64): { readonly low: I64; readonly high: I64 } {
  const lower = (v: I64): I64 => b.and(v, b.i64Words(-1, 0));
  const upper = (v: I64): I64 => b.shrU(v, b.i64(32));
  const [x0, x1, y0, y1] = [lower(x), upper(x), lower(y), upper(y)];
  const first = b.mul(x0, y0);
  const second = b.add(b.mul(y0, x1), upper(first));
  const third = b.add(b.mul(x0, y1), lower(second));
  return { low: b.mul(x, y), high: b.add(b.add(b.mul(x1, y1), upper(second)), upper(third)) };
}
