// How a region's function is left, and what it must know for that wherever it is: the pc, and how many guest instructions it has executed. Slots are
// written back before any way out.

import { EXIT } from '@anillo/ir/frontend';
import type { FunctionCode, Label, Local } from './function-code.ts';
import { HEADER, loadHeader32, loadHeader64, storeHeader32, storeHeader64 } from './header-access.ts';
import { emitCutPc } from './interpreter-terminals.ts';
import { ENTRY_OFFSET_SHIFT } from './region-entries.ts';
import type { RegionGraph } from './region-graph.ts';
import type { RegionTransfers } from './region-transfers.ts';
import type { SlotCache } from './slot-cache.ts';
import type { SlotSet } from './slot-set.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const O = {
  add: opcodeOf('i32.add'),
  sub: opcodeOf('i32.sub'),
  shrS: opcodeOf('i32.shr_s'),
  leS: opcodeOf('i32.le_s'),
  add64: opcodeOf('i64.add'),
  sub64: opcodeOf('i64.sub'),
  extendS: opcodeOf('i64.extend_i32_s'),
} as const;

const CPU = 0;
const ENTRY = 1;

export interface ExitParts {
  readonly f: FunctionCode;
  readonly graph: RegionGraph;
  readonly cache: SlotCache;
  readonly transfers: RegionTransfers;
}

export class RegionExits {
  /** Local with the pc to go to. */
  readonly newPc: Local;
  /** Local with the distance from the base to where a switch goes. */
  readonly switchTo: Local;
  /** Guest instructions on the way here that `retired` does not count yet. */
  uncounted = 0;
  readonly #p: ExitParts;
  readonly #pcBits: 16 | 32 | 64;
  readonly #pcBase: Local;
  readonly #reason: Local;
  readonly #retired: Local;
  /** Instructions that the ways out of faults, and of jumps to known places, are still to count. */
  readonly #pending: Local;
  /** Slots that are to be written back after a fault: for the n-th set the label is -n. */
  readonly #faults: SlotSet[] = [];
  #exit: Label = 0;
  #hop: Label = 0;
  #hopBy: Label = 0;

  constructor(parts: ExitParts) {
    this.#p = parts;
    const { f, graph, transfers } = parts;
    this.#pcBits = graph.region[0].block.pcBits;
    this.newPc = transfers.newPc;
    this.switchTo = f.local('i64');
    this.#pcBase = f.local('i64');
    this.#reason = f.local('i32');
    this.#retired = f.local('i32');
    this.#pending = f.local('i32');
  }

  /** Sets the base from the entered pc, and `switchTo` where a switch is an entry. */
  writePrologue(entersSwitch: boolean): void {
    const { f } = this.#p;
    const pushOffset = (): void => {
      f.get(ENTRY);
      f.i32(ENTRY_OFFSET_SHIFT);
      f.op(O.shrS);
      f.op(O.extendS);
    };
    loadHeader64(f, CPU, HEADER.pc);
    pushOffset();
    f.op(O.sub64);
    f.set(this.#pcBase);
    if (!entersSwitch) return;
    pushOffset();
    f.set(this.switchTo);
  }

  /** Opens what `close` ends: the code between may branch to the ways out. */
  open(): void {
    const { f } = this.#p;
    this.#exit = f.block();
    this.#hop = f.block();
    this.#hopBy = f.block();
  }
  close(): void {
    const { f, transfers } = this.#p;
    f.end();
    this.#addPending();
    f.get(this.#pcBase);
    f.get(this.newPc);
    f.op(O.add64);
    emitCutPc(f, this.#pcBits);
    f.set(this.newPc);
    f.end();
    this.moveOn();
    transfers.writeHop();
    f.end();
    this.moveOn();
    f.get(this.#reason);
    if (this.#faults.length > 0) this.#writeFaults();
  }

  /** Where to go with a trap when these slots are to be written back, `noteUncounted` before. */
  faultWith(dirty: SlotSet): Label {
    // The latest ones are the likeliest.
    let n = this.#faults.length - 1;
    while (n >= 0 && !(this.#faults[n] as SlotSet).equals(dirty)) n--;
    return n >= 0 ? -n : 1 - this.#faults.push(dirty);
  }
  /** A way out for each set of slots, outside of all other code; `trapAt` is relative to the base. */
  #writeFaults(): void {
    const { f, cache } = this.#p;
    const tail = -this.#faults.length;
    f.return();
    f.outerBlocks = this.#faults.length + 1;
    for (const dirty of this.#faults) {
      f.end();
      cache.clean(dirty);
      cache.dirty = dirty;
      cache.writeBack();
      f.br(tail);
    }
    f.end();
    this.#addPending();
    this.setPc(0);
    this.moveOn();
    f.i32(EXIT.TRAP);
  }
  noteUncounted(): void {
    const { f } = this.#p;
    f.i32(this.uncounted);
    f.set(this.#pending);
  }
  #addPending(): void {
    const { f } = this.#p;
    f.get(this.#retired);
    f.get(this.#pending);
    f.op(O.add);
    f.set(this.#retired);
  }

  /** Pushes the pc at an offset from the base, cut to the pc's width. */
  pushPc(offset: number): void {
    const { f } = this.#p;
    f.get(this.#pcBase);
    if (offset !== 0) {
      f.i64Number(offset);
      f.op(O.add64);
    }
    emitCutPc(f, this.#pcBits);
  }
  setPc(offset: number): void {
    this.pushPc(offset);
    this.#p.f.set(this.newPc);
  }
  /** newPc := where `switchTo` says. */
  setPcToSwitch(): void {
    const { f } = this.#p;
    f.get(this.#pcBase);
    f.get(this.switchTo);
    f.op(O.add64);
    emitCutPc(f, this.#pcBits);
    f.set(this.newPc);
  }
  /** `switchTo` := where newPc says. */
  setSwitchToPc(): void {
    const { f } = this.#p;
    f.get(this.newPc);
    f.get(this.#pcBase);
    f.op(O.sub64);
    f.set(this.switchTo);
  }

  /** Before a way out that not all code takes. */
  addUncounted(): void {
    if (this.uncounted === 0) return;
    const { f } = this.#p;
    f.get(this.#retired);
    f.i32(this.uncounted);
    f.op(O.add);
    f.set(this.#retired);
  }
  count(): void {
    this.addUncounted();
    this.uncounted = 0;
  }
  /** What has been executed is in the budget: from here on it is counted anew. */
  startCounting(): void {
    const { f } = this.#p;
    f.i32(0);
    f.set(this.#retired);
  }

  /** Sets pc to newPc and charges the budget. */
  moveOn(): void {
    const { f, transfers } = this.#p;
    storeHeader64(f, CPU, HEADER.pc, () => f.get(this.newPc));
    storeHeader32(f, CPU, HEADER.budget, () => {
      loadHeader32(f, CPU, HEADER.budget);
      f.get(this.#retired);
      f.op(O.sub);
      f.tee(transfers.budget);
    });
  }

  /** newPc is set: back to whoever called, with a reason or (0) to go on there. */
  leave(reason: number): void {
    this.#p.cache.writeBack();
    this.addUncounted();
    this.leaveAtOnce(reason);
  }
  /** As `leave`, where slots are in memory and instructions counted. */
  leaveAtOnce(reason: number): void {
    const { f } = this.#p;
    if (reason !== 0) {
      f.i32(reason);
      f.set(this.#reason);
    }
    f.br(this.#exit);
  }
  /** newPc is set: a jump out of the region. */
  hop(): void {
    const { f, cache } = this.#p;
    cache.writeBack();
    this.addUncounted();
    f.br(this.#hop);
  }
  /** A jump out of the region to an offset from the base. */
  hopTo(offset: number): void {
    const { f, cache } = this.#p;
    cache.writeBack();
    f.i64Number(offset);
    f.set(this.newPc);
    this.noteUncounted();
    f.br(this.#hopBy);
  }
  /** As `leave`, if the i32 on the stack is not 0; `setPc` may set newPc before. */
  leaveIf(reason: number, setPc?: () => void): void {
    const { f } = this.#p;
    f.ifRarely();
    setPc?.();
    this.leave(reason);
    f.end();
  }

  /** Leaves if an interrupt is pending, or code may lie elsewhere now. */
  writePoll(offset: number): void {
    const { f, transfers } = this.#p;
    loadHeader32(f, CPU, HEADER.pending);
    this.leaveIf(EXIT.POLL, () => this.setPc(offset));
    transfers.pushHasMoved();
    this.leaveIf(0, () => this.setPc(offset));
  }

  /** Leaves when the budget is used up, with pc at the node that is about to be entered again. */
  writeBudgetCheck(node: number): void {
    const { f, graph } = this.#p;
    // Not the load itself compared: V8 would load twice.
    loadHeader32(f, CPU, HEADER.budget);
    f.get(this.#retired);
    f.op(O.sub);
    f.i32(0);
    f.op(O.leS);
    this.leaveIf(EXIT.BUDGET, () => {
      if (graph.isBlock(node)) this.setPc(graph.region[node].offset);
      else if (graph.isSwitch(node)) this.setPcToSwitch();
    });
  }
}
