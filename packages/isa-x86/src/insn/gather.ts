// AVX2 gathers. SDM Vol. 2, VGATHERDPS and following. Lanes are loaded from the lowest on; each that is done is written and its mask lane cleared, so
// that after a fault the instruction continues where it stopped. A fault after that gives way to a trap that is due (single-step.ts).

import type { Value } from '@anillo/ir/block';
import type { Slot } from '@anillo/ir/slot';
import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { GPR, TRAP, X86State, XMM, YMM_HIGH } from '../state.ts';
import { setVector, vectorZero, type V } from './simd-operands.ts';

type Width = 4 | 8;

/** Register half that holds byte `at` of a YMM register. */
const halfSlot = (n: number, at: number): Slot<'v128'> => (at < 16 ? XMM[n] : YMM_HIGH[n]) as Slot<'v128'>;

function elementAddress(c: Lift, base: Value<'i64'> | undefined, index: Value<'i64'>): Value<'i64'> {
  const { b, d } = c;
  const scaled = d.scale === 0 ? index : b.shl(index, b.i64(d.scale));
  const sum = b.add(base === undefined ? scaled : b.add(base, scaled), b.i64(d.displacement));
  return d.addressSize === 64 ? sum : b.extendU(b.wrap(sum));
}

const gather =
  (indexWidth: Width, elementWidth: Width) =>
  (c: Lift): void => {
    const { b, d } = c;
    const dst = d.reg;
    const mask = d.vexV;
    const indexRegister = d.index < 0 ? 4 : d.index;
    if ((d.modrm & 7) !== 4 || d.addressSize === 16 || dst === mask || dst === indexRegister || mask === indexRegister) {
      c.trap(TRAP.UD);
      return;
    }
    const count = (d.vexL ? 32 : 16) / Math.max(indexWidth, elementWidth);
    const base = d.base >= 0 ? b.get(GPR[d.base] as Slot<'i64'>) : undefined;
    for (let i = 0; i < count; i++) {
      const at = i * elementWidth;
      const lane = (at & 15) / elementWidth;
      const maskSlot = halfSlot(mask, at);
      const negative =
        elementWidth === 4
          ? b.ltS(b.op('i32x4.extract_lane', [b.get(maskSlot)], lane), b.i32(0))
          : b.ltS(b.op('i64x2.extract_lane', [b.get(maskSlot)], lane), b.i64(0));
      b.if(negative, () => {
        const indexAt = i * indexWidth;
        const indexVector = b.get(halfSlot(indexRegister, indexAt));
        const index =
          indexWidth === 4
            ? b.extendS(b.op('i32x4.extract_lane', [indexVector], (indexAt & 15) / 4))
            : b.op('i64x2.extract_lane', [indexVector], (indexAt & 15) / 8);
        const address = c.linear(c.segment, { base: elementAddress(c, base, index), disp: 0 }, elementWidth, false);
        const dstSlot = halfSlot(dst, at);
        const replace = (v: V, value: Value): V =>
          elementWidth === 4
            ? b.op('i32x4.replace_lane', [v, value as Value<'i32'>], lane)
            : b.op('i64x2.replace_lane', [v, value as Value<'i64'>], lane);
        // No alignment check: gathers have none.
        const value = elementWidth === 4 ? b.op('i32.load', [address.base], address.disp) : b.op('i64.load', [address.base], address.disp);
        b.set(dstSlot, replace(b.get(dstSlot), value));
        b.set(maskSlot, replace(b.get(maskSlot), elementWidth === 4 ? b.i32(0) : b.i64(0)));
        b.op('state.store32', [b.i32(0), b.i32(1)], X86State.offset.gathered);
      });
    }
    const bytes = count * elementWidth;
    setVector(c, mask, [vectorZero(b)]);
    const low = b.get(XMM[dst] as Slot<'v128'>);
    if (bytes === 8) setVector(c, dst, [b.op('i64x2.replace_lane', [low, b.i64(0)], 1)]);
    else if (bytes === 16) setVector(c, dst, [low]);
  };

export const GATHER_ROWS: readonly Row[] = [
  insn('VEX 66 0F38 90 W0 mem', 'vpgatherdd Vx,Wd,Hx', 'avx2', gather(4, 4)),
  insn('VEX 66 0F38 90 W1 mem', 'vpgatherdq Vx,Wq,Hx', 'avx2', gather(4, 8)),
  insn('VEX 66 0F38 91 W0 mem', 'vpgatherqd Vx,Wd,Hx', 'avx2', gather(8, 4)),
  insn('VEX 66 0F38 91 W1 mem', 'vpgatherqq Vx,Wq,Hx', 'avx2', gather(8, 8)),
  insn('VEX 66 0F38 92 W0 mem', 'vgatherdps Vx,Wd,Hx', 'avx2', gather(4, 4)),
  insn('VEX 66 0F38 92 W1 mem', 'vgatherdpd Vx,Wq,Hx', 'avx2', gather(4, 8)),
  insn('VEX 66 0F38 93 W0 mem', 'vgatherqps Vx,Wd,Hx', 'avx2', gather(8, 4)),
  insn('VEX 66 0F38 93 W1 mem', 'vgatherqpd Vx,Wq,Hx', 'avx2', gather(8, 8)),
];
