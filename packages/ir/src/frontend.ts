// What a guest architecture gives to an accelerator that translates: state layout, lifting, routines, helpers, address translation, traps.
// All functions run on the vCPU's thread. Nothing here knows WebAssembly; the accelerator knows nothing of the architecture.

import type { Block } from './block.ts';
import type { Routine } from './callee.ts';

/** Guest code as the lifter sees it. */
export interface CodeSource {
  /** Bytes up to the end of the block's page. */
  readonly bytes: Uint8Array;
  /** Where in them the block starts. */
  readonly start: number;
  /** Mode bits of the block's key. */
  readonly mode: number;
  /**
   * Bytes of the next page, for an instruction that straddles; undefined where it cannot be fetched (the lifter then ends the block before that
   * instruction, or, when it is the first, asks the vCPU's `fetchFault` to record the fault and returns undefined).
   */
  nextPage(): Uint8Array | undefined;
  /** Must the block end before the instruction at this distance from its start (a debugger's breakpoint)? Asked from the second one on. */
  readonly endsBefore?: ((delta: number) => boolean) | undefined;
  /** Largest number of guest instructions to lift. */
  readonly maxInsns: number;
}

export type Access = 0 | 1 | 2;
export const ACCESS = { READ: 0, WRITE: 1, EXECUTE: 2 } as const satisfies Record<string, Access>;

/** Outcome of a page walk; the walker fills one reused object. */
export interface Translation {
  /** Guest-physical address of the byte asked for. */
  gpa: number;
  /** What the page grants in the present privilege: bits 1 << ACCESS. Write only once the entry is marked dirty. */
  grants: number;
  /** Size of the page that the mapping is for: forgetting one address of it forgets them all. */
  pageBytes: number;
  /** The mapping is the same in all address spaces. */
  isGlobal: boolean;
}

/**
 * Result of a front end's `walk` routine: byte offset of the page in the machine's memory (low 12 bits 0), with what it grants in bits 0..2
 * (1 << ACCESS) and these bits. Without grants: ABSENT or DENIED where the access faults, else 0, and the host must look (device memory, anything unusual).
 */
export const WALK = { GRANTS: 7, LARGE: 8, GLOBAL: 16, ABSENT: 32, DENIED: 64 } as const;

/** CPU state that a boot protocol wants; the accelerator's `CpuStart`. */
export interface StartState {
  readonly mode: 'reset' | 'real16' | 'protected32' | 'long64';
  readonly pc: number;
  readonly registers: Readonly<Record<string, number>>;
  readonly cr3?: number;
  readonly gdt?: { readonly base: number; readonly limit: number; readonly codeSelector: number; readonly dataSelector: number };
  /** Registers reached by number that firmware would have set (x86: MSRs); those that the CPU model lacks are skipped. */
  readonly modelRegisters?: readonly { readonly index: number; readonly low: number; readonly high: number }[];
  /** What survives an INIT stays as it is (x86: MTRRs, PAT, the TSC). */
  readonly afterInit?: boolean;
}

/** What the accelerator offers to a front end's vCPU. */
export interface VcpuPorts {
  /** The machine's memory and the byte offset of this vCPU's struct in it. */
  readonly buffer: ArrayBufferLike;
  readonly state: number;
  /** Byte offset in `buffer` of guest-physical address `gpa` if `byteCount` bytes there are RAM (or ROM for reads), else -1. */
  ramAt(gpa: number, byteCount: number, write: boolean): number;
  /** Physical accesses of 1, 2, 4 bytes that may be devices. Never fault: nothing there reads as ones. */
  readPhysical(gpa: number, byteCount: 1 | 2 | 4): number;
  writePhysical(gpa: number, byteCount: 1 | 2 | 4, value: number): void;
  readPort(port: number, byteCount: 1 | 2 | 4): number;
  writePort(port: number, byteCount: 1 | 2 | 4, value: number): void;
  /**
   * The guest has switched to the address space it calls `key` (x86: PCID, 0 without). Not `keep`: translations of that space that are not global
   * are forgotten.
   */
  selectAddressSpace(key: number, keep: boolean): void;
  /** Forgets translations that are not global, of one address space or (no key) of all. */
  flushAddressSpace(key?: number): void;
  /** Forgets all translations of linear addresses, or those of one page. */
  flushTlb(): void;
  flushTlbPage(linearLow: number, linearHigh: number): void;
  /** The guest waits for another vCPU: the host's processor may be given to it. */
  pause(): void;
  /** Asks the vCPU loop for control before the next block. */
  requestExit(): void;
  /** Nanoseconds of guest time since power-on; never goes back. */
  nowNs(): number;
  /** Interrupt controller of this vCPU (x86: local APIC and, behind it, the 8259). */
  readonly interrupts: InterruptPort;
}

export interface InterruptPort {
  /** Is an interrupt asking that would be delivered if the guest had them enabled? */
  isPending(): boolean;
  /** Takes the interrupt: its vector, or -1 if it went away. */
  acknowledge(): number;
  /** Registers of the interrupt controller that the architecture reaches through the CPU (x86: APIC base MSR, x2APIC MSRs, CR8). */
  readRegister(index: number): { low: number; high: number } | undefined;
  writeRegister(index: number, low: number, high: number): boolean;
  getTaskPriority(): number;
  setTaskPriority(priority: number): void;
  /** Sends an interrupt to the vCPU with that ID (x86: APIC ID, however the local APIC is set up; command: delivery mode and vector). Was it taken? */
  sendInterrupt?(command: number, destination: number): boolean;
  /** Where the architecture has non-maskable interrupts: is one waiting, and taking it. */
  readonly nmiPending?: boolean;
  takeNmi?(): boolean;
}

/** Reasons with which control comes back to the vCPU loop. Front ends' `exit` terminals use those from HALT on. */
export const EXIT = {
  MISS: 1,
  BUDGET: 2,
  TRAP: 3,
  HOT: 4,
  POLL: 5,
  STALE_CODE: 6,
  HALT: 7,
  YIELD: 8,
  RESET: 9,
  SHUTDOWN: 10,
  DEBUG: 11,
  /** Never seen by the vCPU loop: compiled code is nested too deeply and comes back to the outermost dispatcher. */
  UNWIND: 12,
} as const;

/** One vCPU of the guest architecture. */
export interface GuestCpu {
  /** Host functions that generated code calls, by helper name. */
  readonly helpers: Readonly<Record<string, (...args: number[]) => number>>;
  /** The front end's routines as the accelerator has compiled them, by name: `(address of the vCPU struct, ...parameters) -> result`. */
  bindRoutines?(compiled: Readonly<Record<string, unknown>>): void;
  /** Power-on state. */
  reset(): void;
  /** Host time since power-on in which the vCPU wanted to run but had no processor. */
  tellStolen?(totalNs: number): void;
  /**
   * Translates a linear address for the present privilege. False: the fault has been recorded (see `deliver`).
   * `linear` is read from the header's `accessAddress`; `byteCount` (default 1) says how long the access is, for data breakpoints.
   */
  translate(access: Access, into: Translation, byteCount?: number): boolean;
  /** As translate, for who only looks (a debugger, a compiler): records no fault, sets no accessed or dirty bit, and ignores privilege. */
  probe(access: Access, into: Translation): boolean;
  /** Lifts the block at the present `pc`; undefined: nothing there can be fetched, and the fault has been recorded. */
  lift(source: CodeSource): Block | undefined;
  /** Delivers what has trapped (the recorded fault, or trap code and `pc` from the header). False: shutdown (triple fault). */
  deliver(): boolean;
  /** What `deliver` is about to deliver, for people: "#PF(0x4) at 0x401000, address 0x8". */
  describeTrap?(): string;
  /** Would the guest take an interrupt now (enabled, not in a shadow)? */
  canInterrupt(): boolean;
  /** Are interrupts held off for exactly one instruction? Clears that; the vCPU loop then runs one instruction. */
  takeShadow(): boolean;
  /** Must every instruction be followed by `stepTrap` (x86: EFLAGS.TF)? Asked before an instruction. */
  isStepping(): boolean;
  /** The instruction begun while `isStepping` has completed: delivers the single-step trap. False: shutdown. */
  stepTrap(): boolean;
  /** Is a non-maskable interrupt waiting and allowed? Then `interrupt(-1)` delivers it. */
  canTakeNmi(): boolean;
  setStart(start: StartState): void;
  /** Debugger's registers by gdb's name; undefined / false: no such register. */
  readRegister(name: string): Uint8Array | undefined;
  writeRegister(name: string, bytes: Uint8Array): boolean;
  /** gdb's name of the architecture now ("i386:x86-64"). */
  readonly architecture: string;
  /** Registers as text for people. */
  describe(): string;
  /** Delivers an external interrupt. False: shutdown. */
  interrupt(vector: number): boolean;
}

/** A guest architecture. */
export interface Frontend {
  readonly name: string;
  /** Bytes of the vCPU struct, header included. */
  readonly stateBytes: number;
  readonly routines: readonly Routine[];
  /** `(linear i64, access i32) -> i32` (see WALK): the page walk for the frequent cases, in IR. Sets accessed and dirty bits only when it succeeds. */
  readonly walk?: Routine;
  /**
   * `() -> i32` each, in `routines` too. `deliver`: GuestCpu's for the frequent cases; 0: the host must, and nothing has changed. `canInterrupt`: 0 while an
   * interrupt that is pending is of no use, for the guest holds it off.
   */
  readonly events?: { readonly deliver: Routine; readonly canInterrupt: Routine };
  /** `(linear i64, access i32, WALK.ABSENT or WALK.DENIED)`, in `routines` too: records the fault of a read or write for `deliver`. */
  readonly walkFault?: Routine;
  /** Names and argument counts of every helper that lifted code may call. */
  readonly helpers: readonly { readonly name: string; readonly argCount: number }[];
  /** Number of privilege classes that need a TLB of their own (at most 4). */
  readonly tlbCount: number;
  createCpu(ports: VcpuPorts, config: unknown): GuestCpu;
}
