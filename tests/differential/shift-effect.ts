// Which flags a shift or rotate leaves undefined, for the count it will have (SDM 2, RCL/RCR/ROL/ROR, SAL/SAR/SHL/SHR, SHLD, SHRD): with count 0
// no flag changes; OF is defined for count 1 only; CF of SHL and SHR is undefined from the operand's size on.

import type { CaseBuilder } from './case-builder.ts';
import type { Encoding } from './encode-row.ts';
import { FLAG, type FlagEffect, STATUS_FLAGS } from './test-case.ts';

const ALL: FlagEffect = { read: 0, written: STATUS_FLAGS, undefined: 0 };

function knownCount(builder: CaseBuilder, encoding: Encoding): number | undefined {
  const kinds = encoding.row.operands.map((o) => o.kind);
  if (kinds.includes('1')) return 1;
  if (kinds.includes('I')) return encoding.immediate[0];
  return builder.known(1) ? Number(builder.gpr(1) & 0xffn) : undefined;
}

/** undefined: the result itself would be undefined (SHLD and SHRD of 16 bits by more than 16). */
export function shiftEffect(builder: CaseBuilder, encoding: Encoding, kind: string): FlagEffect | undefined {
  const read = encoding.row.flags.read;
  const size = encoding.size;
  const raw = knownCount(builder, encoding);
  const count = raw === undefined ? undefined : raw & (size === 64 ? 63 : 31);
  if (kind === 'double' && size === 16 && (count === undefined || count > 16)) {
    if (raw === undefined || encoding.row.operands.at(-1)?.kind !== 'I') return undefined;
    encoding.immediate[0] = builder.random.below(17);
    return shiftEffect(builder, encoding, kind);
  }
  if (count === 0) return { read, written: 0, undefined: 0 };
  const rotate = kind === 'rotate' || kind === 'carry';
  let bits = 0;
  if (count !== 1) bits |= FLAG.of;
  if (!rotate) bits |= FLAG.af;
  if ((kind === 'logical' || kind === 'double') && (count ?? 63) >= size) bits |= FLAG.cf;
  if (count === undefined) return { read, written: 0, undefined: bits };
  return { read, written: rotate ? FLAG.of | FLAG.cf : ALL.written, undefined: bits };
}
