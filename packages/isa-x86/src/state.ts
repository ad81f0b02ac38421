// The x86 vCPU: one struct for generated code, helpers, snapshots and the debugger. SDM Vol. 1 chapter 3, Vol. 3A chapter 2.
// Invariants: `flags` never holds the arithmetic flags (they are lazy: ccOp and what it speaks of, see flags.ts); `mode` in the header is always
// modeOf(state) (see mode.ts); segment `attributes` are descriptor bits 40..55 shifted down (type, S, DPL, P, AVL, L, D/B, G).

import { struct } from '@anillo/base/struct';
import { slot, stackPointerSlot, type Slot } from '@anillo/ir/slot';
import { VCPU_HEADER } from '@anillo/ir/vcpu-header';

export const X86State = struct({
  ...VCPU_HEADER,
  /** rax rcx rdx rbx rsp rbp rsi rdi r8..r15 */
  gpr: ['u64', 16],
  ccDst: 'u64',
  ccSrc: 'u64',
  ccAux: 'u64',
  ccOp: 'u64',
  ccPatch: 'u64',
  /** EFLAGS without CF PF AF ZF SF OF: TF IF DF IOPL NT RF VM AC VIF VIP ID and the fixed bit 1. */
  flags: 'u64',
  mxcsr: 'u32',
  /** A slot is written as 8 bytes. */
  mxcsrRest: 'u32',
  /** Segment registers ES CS SS DS FS GS LDTR TR: base, then limit in bytes (inclusive), attributes, selector. CS base is also in `codeBase`. */
  segmentBase: ['u64', 8],
  segmentLimit: ['u32', 8],
  segmentAttributes: ['u32', 8],
  segmentSelector: ['u32', 8],
  gdtBase: 'u64',
  idtBase: 'u64',
  gdtLimit: 'u32',
  idtLimit: 'u32',
  cr0: 'u64',
  cr2: 'u64',
  cr3: 'u64',
  cr4: 'u64',
  xcr0: 'u64',
  xss: 'u64',
  dr: ['u64', 8],
  efer: 'u64',
  star: 'u64',
  lstar: 'u64',
  cstar: 'u64',
  sfmask: 'u64',
  kernelGsBase: 'u64',
  sysenterCs: 'u64',
  sysenterEsp: 'u64',
  sysenterEip: 'u64',
  pat: 'u64',
  miscEnable: 'u64',
  tscOffset: 'u64',
  tscAux: 'u64',
  tscAdjust: 'u64',
  mtrrDefType: 'u64',
  mtrrFixed: ['u64', 11],
  mtrrVariable: ['u64', 16],
  kvmSystemTime: 'u64',
  kvmWallClock: 'u64',
  kvmStealTime: 'u64',
  /** What is told there. */
  stolenNs: 'u64',
  kvmEoi: 'u64',
  kvmAsyncPf: 'u64',
  kvmPollControl: 'u64',
  debugCtl: 'u64',
  /** PAE paging: the four page-directory-pointer-table entries, loaded with CR3. */
  pdpte: ['u64', 4],
  specCtrl: 'u64',
  /** Rights of protection keys to user pages (PKRU) and supervisor pages (IA32_PKRS): two bits a key. */
  pkru: 'u64',
  pkrs: 'u64',
  /** Fault recorded by a helper or the page walk: vector, error code (-1: none), for `deliver`. */
  faultVector: 'u32',
  faultError: 'i32',
  /** 1: the recorded event is a software interrupt (INT n, INT3, INTO): DPL is checked and the return address is after it. 2: INT1. */
  faultSoftware: 'u32',
  faultInsnBytes: 'u32',
  /** Debug status bits to set in DR6 when the recorded fault is #DB. */
  faultDr6: 'u32',
  nmiBlocked: 'u32',
  halted: 'u32',
  /** Pending x87 exception for CR0.NE = 0 (FERR#). */
  ferr: 'u32',
  /** x87: control word, and the selector of the last memory operand. */
  fpuControl: 'u32',
  fpuDs: 'u32',
  /** 1: the recorded fault arose in a task just switched to, or is a trap; `pc` is already the instruction pointer to return to. */
  faultInNewTask: 'u32',
  /** 1: interrupts are held off for one instruction (STI, MOV SS, POP SS). */
  interruptShadow: 'u64',
  /** 1: the instruction just executed was MOV SS or POP SS, after which debug traps wait for the next one. */
  stackShadow: 'u64',
  /** Data and I/O breakpoints met by the present instruction, as DR6 bits. */
  pendingDr6: 'u32',
  /** EFLAGS.TF as it was before the instruction that is being stepped. */
  stepFlags: 'u32',
  /** 1: a gather has loaded an element, so that a trap which is due comes in the place of its next fault. Cleared by `beginStep`. */
  gathered: 'u32',
  /** x87: status word without TOP, which is beside it, and tag bits (1: in use) by physical register. A slot is written as 8 bytes. */
  fpuIp: 'u64',
  fpuDp: 'u64',
  fpuStatus: 'u32',
  fpuStatusRest: 'u32',
  fpuTop: 'u32',
  fpuTopRest: 'u32',
  fpuTags: 'u32',
  fpuTagsRest: 'u32',
  /** x87: opcode (11 bits) and code segment of the last instruction; together one slot. */
  fpuOpcode: 'u32',
  fpuCs: 'u32',
  /** Physical x87 registers R0..R7: significand (also MM0..MM7), then sign and exponent (16 bits used). */
  fpuMantissa: ['u64', 8],
  fpuExponent: ['u32', 8],
  xmm: ['v128', 16],
  /** Bits 255..128 of YMM0..YMM15. */
  ymmHigh: ['v128', 16],
  /** Operands and results of vector helpers: operand k in elements 2k and 2k + 1, result in 0 and 1. Nothing between instructions. */
  simdX: ['v128', 8],
  /** Constants of generated code: see FLOAT_LIMITS in insn/simd-float-fast.ts. */
  floatLimits: ['v128', 4],
  /** And AES_TABLES in insn/aes-tables.ts. */
  aesTables: ['v128', 34],
  /** And REVERSAL in insn/pclmul.ts. */
  reversal: ['v128', 4],
});

const at = X86State.offset;
const slots = <const T extends 'i64' | 'v128'>(name: string, type: T, offset: number, count: number, stride: number, pinned = false): readonly Slot<T>[] =>
  Array.from({ length: count }, (_, i) => slot(`${name}${i}`, type, offset + i * stride, pinned));

export const GPR = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'].map((name, i) =>
  name === 'rsp' ? stackPointerSlot(name, at.gpr + 8 * i) : slot(name, 'i64', at.gpr + 8 * i),
);
export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

export const CC_OP = slot('ccOp', 'i64', at.ccOp);
export const CC_DST = slot('ccDst', 'i64', at.ccDst);
export const CC_SRC = slot('ccSrc', 'i64', at.ccSrc);
export const CC_AUX = slot('ccAux', 'i64', at.ccAux);
export const CC_PATCH = slot('ccPatch', 'i64', at.ccPatch);
export const INTERRUPT_SHADOW = slot('interruptShadow', 'i64', at.interruptShadow, true);
export const STACK_SHADOW = slot('stackShadow', 'i64', at.stackShadow, true);
export const FLAGS = slot('flags', 'i64', at.flags);
export const MXCSR = slot('mxcsr', 'i32', at.mxcsr);

export const FPU_STATUS = slot('fpuStatus', 'i32', at.fpuStatus);
export const FPU_TOP = slot('fpuTop', 'i32', at.fpuTop);
export const FPU_TAGS = slot('fpuTags', 'i32', at.fpuTags);
export const FPU_IP = slot('fpuIp', 'i64', at.fpuIp);
export const FPU_DP = slot('fpuDp', 'i64', at.fpuDp);
export const FPU_PLACE = slot('fpuPlace', 'i64', at.fpuOpcode);
/** All that x87 helpers read and write beside the registers. */
export const FPU_SLOTS: readonly Slot[] = [FPU_STATUS, FPU_TOP, FPU_TAGS, FPU_IP, FPU_DP, FPU_PLACE];

export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;
export const LDTR = 6;
export const TR = 7;
export const SEGMENT_BASE = slots('segbase', 'i64', at.segmentBase, 8, 8);
/** Read-only for generated code: changed by helpers that end the block. */
export const SEGMENT_LIMIT_OFFSET = at.segmentLimit;
export const SEGMENT_ATTRIBUTES_OFFSET = at.segmentAttributes;

export const XMM = slots('xmm', 'v128', at.xmm, 16, 16);
export const YMM_HIGH = slots('ymmh', 'v128', at.ymmHigh, 16, 16);
/** MM0..MM7: the significands of the physical x87 registers. */
export const MM = slots('mm', 'i64', at.fpuMantissa, 8, 8, true);

/** Operands of vector helpers, as vectors and as their low halves. */
export const SIMD_X = slots('simdx', 'v128', at.simdX, 8, 16, true);
/** Of routines that check floating-point results: not 0 where an operand or result is neither zero nor normal. */
export const SIMD_DOUBT = slot('simdDoubt', 'i64', at.simdX + 16 * 7, true);
export const SIMD_X64 = slots('simdxl', 'i64', at.simdX, 8, 16, true);

export type X86View = ReturnType<typeof X86State.view>;

/** EFLAGS bits. */
export const EFLAG = {
  CF: 1 << 0, PF: 1 << 2, AF: 1 << 4, ZF: 1 << 6, SF: 1 << 7, TF: 1 << 8, IF: 1 << 9, DF: 1 << 10, OF: 1 << 11, IOPL: 3 << 12,
  NT: 1 << 14, RF: 1 << 16, VM: 1 << 17, AC: 1 << 18, VIF: 1 << 19, VIP: 1 << 20, ID: 1 << 21,
} as const;
export const ARITHMETIC_FLAGS = EFLAG.CF | EFLAG.PF | EFLAG.AF | EFLAG.ZF | EFLAG.SF | EFLAG.OF;

/** Exception vectors. SDM Vol. 3A 6.3.1. */
export const VECTOR = { DE: 0, DB: 1, NMI: 2, BP: 3, OF: 4, BR: 5, UD: 6, NM: 7, DF: 8, TS: 10, NP: 11, SS: 12, GP: 13, PF: 14, MF: 16, AC: 17, MC: 18, XM: 19 } as const;

/**
 * Recorded for an access to an address that is not canonical: #SS(0) when it went through SS, else #GP(0). Which one is found out at delivery
 * (canonical-fault.ts), so that accesses need not say what they are.
 */
export const NON_CANONICAL = 0x100 | VECTOR.GP;

/** Trap codes of raise_if and trap terminals: vector, bit 8 where an error code of 0 goes with it, bit 9 always (0 means: recorded by a helper). */
export const TRAP = {
  DE: VECTOR.DE | 0x200, UD: VECTOR.UD | 0x200, NM: VECTOR.NM | 0x200, MF: VECTOR.MF | 0x200, XM: VECTOR.XM | 0x200, BR: VECTOR.BR | 0x200,
  GP0: VECTOR.GP | 0x300, SS0: VECTOR.SS | 0x300, AC0: VECTOR.AC | 0x300,
} as const;
