// The head of every vCPU struct, whatever the guest architecture: what generated code, the vCPU loop and the front end share.
// A front end's state struct starts with these fields (spread `VCPU_HEADER` first), so their offsets are the same everywhere.

import { struct } from '@anillo/base/struct';
import { slot } from './slot.ts';

export const VCPU_HEADER = {
  // The accelerator's: a reset of the guest CPU starts at `pc` and leaves these.
  /** For walkers in generated code, the largest piece of RAM: `ramBytes` bytes from guest-physical `ramStart`, at `ramOffset` in the machine's memory. */
  ramStart: 'u32',
  ramBytes: 'u32',
  ramOffset: 'u32',
  /** Record of the address space in force (TlbSpace), for filling the TLB in generated code. */
  tlbSpace: 'u32',
  /** Byte offsets, in the machine's memory, of that address space's TLBs, by privilege class. */
  tlbs: ['u32', 4],
  /** Not 0: every TLB miss goes to the host (watchpoints). */
  hostWalks: 'u32',
  /** Not 0: every trap goes to the host (traces). */
  hostTraps: 'u32',
  /** Traps delivered by generated code. */
  trapsDelivered: 'u32',
  /** How deeply calls of compiled functions may nest: their frames take less than 1 KiB of the host's stack each. */
  maxDepth: 'u32',
  /** TLB entries filled by generated code. */
  tlbFills: 'u32',
  /** Program counter as the guest sees it (x86: RIP, an offset into the code segment). Constant within a block; the block's start. */
  pc: 'u64',
  /** Added to pc to make the linear address of code (x86: CS base; 0 elsewhere). */
  codeBase: 'u64',
  /** Linear address of the access that a slow path serves. */
  accessAddress: 'u64',
  /** Operand and result slots for helpers. */
  x: ['v128', 4],
  /** Data of a slow-path access. */
  accessData: 'v128',
  /** Instructions left before the vCPU loop wants control. */
  budget: 'i32',
  /**
   * Number of the mapping of code in the lower half of the linear address space, and (after `mode`) in the upper half, where bit 63 is set (or, see
   * `upperQuarter`, at 3 GiB): what was known of where code lies holds while the number stands. Kept by the accelerator. `mode` lies between, so that 8
   * bytes hold it with either.
   */
  codeEpoch: 'u32',
  /** Mode bits that the translation of code depends on; part of every block's key. Kept by the front end. */
  mode: 'u32',
  codeEpochUpper: 'u32',
  /** 1 once code has been found in the upper half that is not mapped alike in all address spaces. */
  upperIsOwn: 'u32',
  /** 1 where linear addresses have 32 bits: the upper half is the last GiB, which kernels have for themselves. The front end says so. */
  upperQuarter: 'u32',
  /** The one of `tlbs` in force. The front end chooses; the accelerator keeps the class when it changes the address space. */
  tlb: 'u32',
  /** Not 0: an interrupt may be deliverable, so a `poll` terminal leaves. */
  pending: 'u32',
  /** Set to 1 by whatever traps; the vCPU loop clears it when it delivers. */
  trapped: 'u32',
  /** Trap code of raise_if and trap terminals; 0 when a helper has recorded the trap elsewhere. */
  trapCode: 'u32',
  /** Byte offset from block start of the instruction that trapped. */
  trapAt: 'u32',
  /** Reason of an `exit` terminal, or of one asked for by a helper. */
  exitReason: 'u32',
  /** Block in which the interpreter stopped, for the vCPU loop. */
  block: 'u32',
  /** Guest instructions retired by the interpreter. */
  retiredInterpreted: 'u64',
  /** Free for codegen. */
  scratch: ['u64', 8],
} as const;

export const VcpuHeader = struct(VCPU_HEADER);
const at = VcpuHeader.offset;

export const PC = slot('pc', 'i64', at.pc);
export const CODE_BASE = slot('codeBase', 'i64', at.codeBase, true);
/** x0..x3 as i64 (low half) and as v128. */
export const X64 = [0, 1, 2, 3].map((i) => slot(`x${i}`, 'i64', at.x + 16 * i, true));
export const X64_HIGH = [0, 1, 2, 3].map((i) => slot(`x${i}h`, 'i64', at.x + 16 * i + 8, true));
export const X128 = [0, 1, 2, 3].map((i) => slot(`v${i}`, 'v128', at.x + 16 * i, true));

/** Where, in the machine's memory, generated code finds the lock word of read-modify-writes that WebAssembly has no atomic form of. */
export const WIDE_LOCK_AT = 0x11000;

/** First byte of the interpreter's value slots; a front end's struct must end below. */
export const TEMPS_OFFSET = 0x8000;
/** First byte after them: where indirect jumps have gone, for the region compiler. */
export const JUMP_TARGETS_OFFSET = 0xe000;
/** First byte after that: the jump cache of compiled code. */
export const JUMP_CACHE_OFFSET = 0x10000;
/** Bytes that one vCPU's struct, temps and jump cache take. */
export const VCPU_BYTES = 0x20000;
