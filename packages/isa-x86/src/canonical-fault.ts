// Settles NON_CANONICAL: #SS(0) or #GP(0)? SDM Vol. 3A 6.15 (interrupt 12: references through SS to addresses that are not canonical). The
// instruction is decoded anew and its operands looked at, because this is far too rare for accesses to carry their segment along.

import { currentPrivilege, readLinear } from './linear-memory.ts';
import { type Decoded, type DecodeOutcome, type Decoder, emptyDecoded } from './decode.ts';
import { raise, type X86Context } from './helper-map.ts';
import { MODE } from './mode.ts';
import { FS, NON_CANONICAL, RBP, RSP, VECTOR } from './state.ts';
import { signedField, word, WORD } from './state-words.ts';

const LONGEST_INSTRUCTION = 15;
const PAGE_BYTES = 4096;
const bytes = new Uint8Array(LONGEST_INSTRUCTION);
const decoded = emptyDecoded();

/** Pushes and pops without a memory operand, by opcode: PUSH, POP, PUSHF, POPF, RET, ENTER, LEAVE, far RET, IRET, CALL. */
const isStackOpcode = (opcode: number): boolean => (opcode >= 0x50 && opcode <= 0x5f) || [0x68, 0x6a, 0x9c, 0x9d, 0xc2, 0xc3, 0xc8, 0xc9, 0xca, 0xcb, 0xcf, 0xe8].includes(opcode);
/** PUSH and POP of FS and GS, in map 0F. */
const isSegmentPush = (opcode: number): boolean => (opcode & 0xf6) === 0xa0;

const isCanonicalAddress = (address: bigint): boolean => BigInt.asIntN(48, address) === BigInt.asIntN(64, address);
const areCanonical = (address: bigint, byteCount: number): boolean =>
  isCanonicalAddress(address) && isCanonicalAddress(address + BigInt(byteCount - 1));

/** Offset of the memory operand. */
function operandAddress(cpu: X86Context, d: Decoded): bigint {
  const { gpr } = cpu.view;
  let address = BigInt(d.displacement);
  if (d.base >= 0) address += gpr[d.base];
  if (d.index >= 0) address += gpr[d.index] << BigInt(d.scale);
  return BigInt.asUintN(d.addressSize, address);
}

function wentThroughStack(cpu: X86Context, d: Decoded): boolean {
  const { row, opcode } = d;
  if (row.vex || (row.map !== 0 && row.map !== 1)) return isStackOperand(d);
  if (row.map === 1) return row.hasModrm ? isStackOperand(d) : isSegmentPush(opcode);
  if (!row.hasModrm) return isStackOpcode(opcode);
  if (d.mod === 3) return true;
  const reg = (d.modrm >> 3) & 7;
  const popped = d.operandSize === 16 ? 2 : 8;
  if (opcode === 0x8f && !areCanonical(cpu.view.gpr[RSP], popped)) return true;
  const isFar = opcode === 0xff && reg === 3;
  const pushes = isFar || (opcode === 0xff && (reg === 2 || reg === 6));
  return isStackOperand(d) || (pushes && areCanonical(operandAddress(cpu, d), isFar ? 2 + d.operandSize / 8 : popped));
}

const isStackOperand = (d: Decoded): boolean => d.mod !== 3 && d.segment < FS && (d.base === RSP || d.base === RBP);

/** The instruction that has faulted, into `decoded`. */
function decodeFaulting(cpu: X86Context, decoder: Decoder): boolean {
  const pc = signedField(cpu, WORD.pc) + word(cpu, WORD.trapAt);
  const decodeTo = (end: number): DecodeOutcome => {
    for (let i = 0; i < end; i++) bytes[i] = readLinear(cpu, pc + i, 1, currentPrivilege(cpu));
    return decoder.decode(bytes.subarray(0, end), 0, 64, false, decoded);
  };
  // The next page need not exist unless the instruction reaches into it.
  const first = decodeTo(Math.min(LONGEST_INSTRUCTION, PAGE_BYTES - (pc & (PAGE_BYTES - 1))));
  return (first === 'more' ? decodeTo(LONGEST_INSTRUCTION) : first) === 'ok';
}

/** Replaces NON_CANONICAL by the vector that is due. Called when a fault is about to be delivered, before anything else. */
export function settleNonCanonical(cpu: X86Context, decoder: Decoder): void {
  if (word(cpu, WORD.trapCode) !== 0 || word(cpu, WORD.faultVector) !== NON_CANONICAL) return;
  // Only 64-bit code has such addresses, but for what system structures hold.
  const is64 = (word(cpu, WORD.mode) & MODE.CODE_SIZE) === 2;
  const isStack = is64 && decodeFaulting(cpu, decoder) && wentThroughStack(cpu, decoded);
  // Reading the code may have recorded a fault in the place of the one at hand.
  raise(cpu, isStack ? VECTOR.SS : VECTOR.GP, 0);
}
