// The interpreter's instruction format, as the encoder writes it and the generated interpreter reads it. Little-endian; instructions take
// a multiple of 8 bytes. Operands are byte offsets from the vCPU struct (state slots below TEMPS_OFFSET, temps from there on).
//
//   byte  0 opcode u16   2 destination u16   4, 6 operands u16
//         8 `at` u16 (ops that can leave)    10, 12... further operands u16, or 12 displacement / trap code i32
//         8 constant i64 (ops with a constant as last operand; i64.const, f64.const)   4 constant i32 (i32.const)
//         8 16 bytes (v128.const, shuffle)   8 distance i32 of a branch inside the block, from its own first byte

export const FIELD = { opcode: 0, dst: 2, a: 4, b: 6, imm32: 4, imm64: 8, at: 8, c: 10, disp: 12, bytes: 8, distance: 8 } as const;

/** Byte offset, in the instruction, of the n-th operand. */
export const operandField = (n: number): number => (n < 2 ? FIELD.a + 2 * n : FIELD.c + 2 * (n - 2));

// Terminals. Links: 0 not looked up yet, LINK_NEVER, or the address of the target's record.
export const JUMP = { link: 4, delta: 8, bytes: 16 } as const;
export const BRANCH = { cond: 4, deltaTaken: 8, deltaFall: 16, linkTaken: 24, linkFall: 28, bytes: 32 } as const;
export const EXIT_TO = { reason: 4, delta: 8, bytes: 16 } as const;
export const LINK_NEVER = 1;

/** Names of opcodes that are not op names. A terminal that sets pc exists for each pc width: `jump.64`. */
export const opcodeName = {
  lane: (op: string, lane: number): string => `${op}.${lane}`,
  withConstant: (op: string): string => `${op}#`,
  move: (bytes: 4 | 8 | 16): string => `move${bytes * 8}`,
  call: (callee: string): string => `call ${callee}`,
  trappingCall: (callee: string): string => `call! ${callee}`,
  terminal: (kind: 'jump' | 'poll' | 'branch' | 'indirect' | 'switch' | 'exit', pcBits: number): string => `${kind}.${pcBits}`,
};
