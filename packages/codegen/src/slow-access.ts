// Contract between generated code and the host for memory accesses that the inline TLB check does not serve.
//
// Generated code calls, through a small function of the runtime module, the host function
//   host.memory_miss(cpu i32, at i32, kind i32) -> i32
// with the linear address in the header's `accessAddress` and, for a store, the data in `accessData` (zero-extended). The access never crosses
// a page boundary: the runtime module splits those into bytes first (a store after probing both pages, so nothing is written when either faults).
// Read-modify-writes reach the host as PROBE (kind without data), then a load, then a store. Where the memory is shared those within a page reach it as
// RMW, with the operand in `accessData` and a replacement (cmpxchg) 8 bytes on, and leave the old value there; those across pages take all others' turn
// by LOCK (and give it back by UNLOCK), which answer nothing of meaning.
// A PROBE asks whether `1 << log2(size)` bytes may be written: FILLED or DONE if so.

/** Bits of `kind`. Size in bytes = 1 << (kind & SIZE_LOG2). */
export const ACCESS_KIND = { SIZE_LOG2: 7, WRITE: 8, PROBE: 16, RMW: 32, LOCK: 64, UNLOCK: 128, RMW_SHIFT: 8 } as const;
/** Which read-modify-write it is: index in this list << RMW_SHIFT. */
export const RMW_KINDS = ['add', 'and', 'or', 'xor', 'xchg', 'cmpxchg'] as const;

/** What refilling the TLB in generated code answers where a fault has been recorded; else the grants, as bits 1 << ACCESS. */
export const REFILL_FAULTED = 8;

/** What `memory_miss` answers. */
export const MISS_RESULT = {
  /** The TLB entry for this kind of access is now present: the access is tried again. */
  FILLED: 0,
  /** The host has done the access; a load's data is in `accessData`, zero-extended to 16 bytes (the first `size` bytes count). */
  DONE: 1,
  /**
   * The access faulted (`trapped` is 1 and the fault recorded), or the block must be left before this instruction (`trapped` is 0 and
   * `exitReason` says why). The code leaves with EXIT.TRAP, the state of the instruction's start, and `pc` + `trapAt` = the instruction's pc.
   */
  LEAVE: 2,
} as const;
