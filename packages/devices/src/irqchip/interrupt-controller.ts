// What a vCPU needs of its interrupt controller, in the terms of the accelerator's contract (which devices do not import), and NMI beside it.

export interface InterruptController {
  /** An interrupt asks for delivery (priority permitting). */
  isPending(): boolean;
  /** Takes it: vector, or -1 if it went away. */
  acknowledge(): number;
  /** Registers reached as MSRs 0x1b, 0x6e0 and 0x800..0x8ff. Undefined / false: no such register, or not allowed (#GP). */
  readRegister(index: number): { low: number; high: number } | undefined;
  writeRegister(index: number, low: number, high: number): boolean;
  /** CR8, 0..15. */
  getTaskPriority(): number;
  setTaskPriority(priority: number): void;
  /** Sends a message with that delivery mode and vector to the local APIC with that ID. Was it taken? */
  sendInterrupt(command: number, destination: number): boolean;
  /** Told when isPending or nmiPending may have become true. */
  onChange: (() => void) | undefined;
  readonly nmiPending: boolean;
  /** Takes the latched NMI; false: there was none. */
  takeNmi(): boolean;
  /** Takes another vCPU's wish that this one leave HLT; false: there is none. */
  takeUnhalt(): boolean;
}
