// Read-modify-writes that generated code leaves to the host, in a memory that several vCPUs share (codegen/src/slow-access.ts).

import { RMW_KINDS } from '@anillo/codegen/slow-access';

/** What an operation makes of the old value, as unsigned numbers of `bits` bits. */
export function modified(kind: number, bits: number, old: bigint, operand: bigint, replacement: bigint): bigint {
  switch (RMW_KINDS[kind]) {
    case 'add':
      return BigInt.asUintN(bits, old + operand);
    case 'and':
      return old & operand;
    case 'or':
      return old | operand;
    case 'xor':
      return old ^ operand;
    case 'cmpxchg':
      return old === operand ? replacement : old;
    default:
      return operand;
  }
}

/** `byteCount` bytes, a power of two up to 8. In one piece where they are aligned. */
export function readBits(data: DataView, at: number, byteCount: number): bigint {
  if (byteCount === 8) return data.getBigUint64(at, true);
  return BigInt(byteCount === 4 ? data.getUint32(at, true) : byteCount === 2 ? data.getUint16(at, true) : data.getUint8(at));
}

export function writeBits(data: DataView, at: number, byteCount: number, value: bigint): void {
  if (byteCount === 8) data.setBigUint64(at, value, true);
  else if (byteCount === 4) data.setUint32(at, Number(value), true);
  else if (byteCount === 2) data.setUint16(at, Number(value), true);
  else data.setUint8(at, Number(value));
}
