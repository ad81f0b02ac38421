// Writes one region as a function `(cpu i32, entry i32, depth i32) -> i32`.
//
//   locals: state slots; pcBase (pc of the region's base); newPc and reason (how to leave); retired (instructions since entry or the last call)
//   block $exit
//     block $hop
//       block $fault
//         [loop $dispatch] ... blocks, in structured form ...
//       end                     newPc = pcBase, reason = EXIT.TRAP; `trapAt` is relative to the base; br $exit
//     end                       pc = newPc, budget charged; a tail call to where the jump cache says, or return 0
//   end                         pc = newPc, budget charged; return reason
//
// Whoever leaves writes back the slots that are dirty there before it branches. Hops and calls: region-transfers.ts.

import { hostRelaxedSimd } from './relaxed-simd.ts';
import { EXIT } from '@anillo/ir/frontend';
import type { Block, Inst, Terminal } from '@anillo/ir/block';
import { BodyCompiler, usesTlb, type BodyFrame, type Linkage } from './body-compiler.ts';
import { shapeFlow, type FlowShape } from './control-flow.ts';
import { isPc } from './expression-plan.ts';
import { chooseEntries, ENTRY_OFFSET_SHIFT } from './region-entries.ts';
import { FunctionCode, type Label, type Local } from './function-code.ts';
import { HEADER, loadHeader32, loadHeader64, storeHeader32, storeHeader64 } from './header-access.ts';
import { emitCutPc } from './interpreter-terminals.ts';
import type { Region } from './region-compiler.ts';
import { RegionTransfers } from './region-transfers.ts';
import { SlotCache, type Segment } from './slot-cache.ts';
import { solveSlotFlow, type SlotFlow } from './slot-flow.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const O = {
  add: opcodeOf('i32.add'),
  sub: opcodeOf('i32.sub'),
  and: opcodeOf('i32.and'),
  shrS: opcodeOf('i32.shr_s'),
  eqz: opcodeOf('i32.eqz'),
  leS: opcodeOf('i32.le_s'),
  add64: opcodeOf('i64.add'),
  sub64: opcodeOf('i64.sub'),
  extendS: opcodeOf('i64.extend_i32_s'),
  unreachable: opcodeOf('unreachable'),
} as const;

const ENTRY_MASK = (1 << ENTRY_OFFSET_SHIFT) - 1;
const CPU = 0;
const ENTRY = 1;
const DEPTH = 2;

/** Function indices of what regions call. */
export interface RegionLinkage extends Linkage {
  readonly resume: number;
}

/** Where control goes on in the function after a terminal, as deltas from the block. */
export function targetDeltas(terminal: Terminal): readonly number[] {
  switch (terminal.kind) {
    case 'jump':
      return [terminal.delta];
    case 'branch':
      return [terminal.taken, terminal.fall];
    case 'call':
    case 'callIndirect':
      return [terminal.returnDelta];
    default:
      return [];
  }
}

export class RegionWriter {
  readonly #region: Region;
  readonly #byOffset = new Map<number, number>();
  readonly #entries: readonly number[];
  readonly #shape: FlowShape;
  readonly #f = new FunctionCode(3, 4096);
  readonly #cache: SlotCache;
  readonly #segments: readonly (readonly Segment[])[];
  readonly #flow: SlotFlow;
  readonly #body: BodyCompiler;
  readonly #frame: BodyFrame;
  readonly #pcBase: Local;
  readonly #transfers: RegionTransfers;
  readonly #newPc: Local;
  readonly #tlb: Local | undefined;
  readonly #reason: Local;
  readonly #retired: Local;
  readonly #exit: Label;
  readonly #hop: Label;
  #dispatchLoop: Label = 0;
  /** Label of each node's loop (back edges) and of the point before it (forward edges to merge nodes). */
  readonly #loopLabel: Int32Array;
  readonly #blockLabel: Int32Array;
  /** Node being written. */
  #now = 0;
  /** Guest instructions on the way here that `retired` does not count yet. */
  #uncounted = 0;

  constructor(region: Region, linkage: RegionLinkage, compiledType: number, atomics: boolean) {
    this.#region = region;
    region.forEach(({ offset }, i) => this.#byOffset.set(offset, i));
    const successors = region.map(({ block, offset }) => [
      ...new Set(targetDeltas(block.terminal).flatMap((d) => this.#byOffset.get(offset + d) ?? [])),
    ]);
    this.#entries = chooseEntries({ successors, mayEnter: (i) => region[i].entry });
    this.#shape = shapeFlow(successors, this.#entries);
    this.#loopLabel = new Int32Array(region.length + 1);
    this.#blockLabel = new Int32Array(region.length + 1);
    const f = this.#f;
    this.#cache = new SlotCache(f, CPU);
    const reachesMemory = this.#announceSlots();
    this.#segments = region.map(({ block }) => this.#cache.analyse(block.insts));
    const forgets = (node: number): boolean => 'returnDelta' in region[node].block.terminal;
    this.#flow = solveSlotFlow({ shape: this.#shape, successors, segments: this.#segments, forgets });
    this.#pcBase = f.local('i64');
    this.#transfers = new RegionTransfers({ f, pcBits: region[0].block.pcBits, compiledType, resume: linkage.resume });
    this.#newPc = this.#transfers.newPc;
    this.#reason = f.local('i32');
    this.#retired = f.local('i32');
    this.#tlb = reachesMemory ? f.local('i32') : undefined;
    this.#writePrologue();
    this.#exit = f.block();
    this.#hop = f.block();
    this.#frame = {
      f,
      cpu: CPU,
      cache: this.#cache,
      linkage,
      atomics,
      relaxed: hostRelaxedSimd(),
      tlb: this.#tlb,
      fault: f.block(),
      atOf: (inst: Inst) => this.#region[this.#now].offset + inst.at,
      pushPc: () => this.#pushPc(0),
      leaving: () => this.#addUncounted(),
    };
    this.#body = new BodyCompiler(this.#frame);
  }

  /** `functionEntry` of each block of the region; -1 where it cannot be entered. */
  entries(): Int32Array {
    const isEntry = new Set(this.#entries);
    return Int32Array.from(this.#region, ({ offset }, i) =>
      isEntry.has(i) ? (offset << ENTRY_OFFSET_SHIFT) | this.#shape.dispatched.indexOf(i) : -1,
    );
  }

  write(): FunctionCode {
    const f = this.#f;
    if (this.#shape.dispatched.length > 1) {
      f.get(ENTRY);
      f.i32(ENTRY_MASK);
      f.op(O.and);
      f.set(ENTRY);
    }
    if (this.#shape.rootIsLoop) this.#dispatchLoop = f.loop();
    this.#writeWithin(this.#shape.root, this.#mergeChildren(this.#shape.root));
    if (this.#shape.rootIsLoop) f.end();
    f.op(O.unreachable);
    f.end();
    f.get(this.#pcBase);
    emitCutPc(f, this.#region[0].block.pcBits);
    f.set(this.#newPc);
    f.i32(EXIT.TRAP);
    f.set(this.#reason);
    f.br(this.#exit);
    f.end();
    this.#moveOn();
    this.#transfers.writeHop();
    f.end();
    this.#moveOn();
    f.get(this.#reason);
    return f;
  }

  /** Tells the cache about all slots; returns whether guest memory is reached. */
  #announceSlots(): boolean {
    let reachesMemory = false;
    for (const { block } of this.#region) {
      for (const inst of block.insts) {
        if (inst.slot && !isPc(inst.slot)) this.#cache.add(inst.slot);
        reachesMemory ||= usesTlb(inst.op);
      }
    }
    return reachesMemory;
  }

  #writePrologue(): void {
    const f = this.#f;
    loadHeader64(f, CPU, HEADER.pc);
    f.get(ENTRY);
    f.i32(ENTRY_OFFSET_SHIFT);
    f.op(O.shrS);
    f.op(O.extendS);
    f.op(O.sub64);
    f.set(this.#pcBase);
    if (this.#region.some(({ block, offset }) => this.#goesOnAfterAbsence(block.terminal, offset))) {
      loadHeader64(f, CPU, HEADER.pc);
      this.#transfers.writeEntered();
    }
    this.#loadTlb();
  }

  /** Does the function go on after something in which code may have moved: a call, or a poll? */
  #goesOnAfterAbsence(terminal: Terminal, offset: number): boolean {
    return 'returnDelta' in terminal ? this.#byOffset.has(offset + terminal.returnDelta) : terminal.kind === 'jump' && terminal.poll;
  }

  #loadTlb(): void {
    if (this.#tlb === undefined) return;
    loadHeader32(this.#f, CPU, HEADER.tlb);
    this.#f.set(this.#tlb);
  }

  /** Before a way out that not all code takes. */
  #addUncounted(): void {
    if (this.#uncounted === 0) return;
    const f = this.#f;
    f.get(this.#retired);
    f.i32(this.#uncounted);
    f.op(O.add);
    f.set(this.#retired);
  }
  #count(): void {
    this.#addUncounted();
    this.#uncounted = 0;
  }

  /** Sets pc to newPc and charges the budget. */
  #moveOn(): void {
    const f = this.#f;
    storeHeader64(f, CPU, HEADER.pc, () => f.get(this.#newPc));
    storeHeader32(f, CPU, HEADER.budget, () => {
      loadHeader32(f, CPU, HEADER.budget);
      f.get(this.#retired);
      f.op(O.sub);
      f.tee(this.#transfers.budget);
    });
  }

  /** Pushes the present block's pc plus `delta`, cut to the pc's width. */
  #pushPc(delta: number): void {
    const { offset, block } = this.#region[this.#now];
    this.#f.get(this.#pcBase);
    if (offset + delta !== 0) {
      this.#f.i64Number(offset + delta);
      this.#f.op(O.add64);
    }
    emitCutPc(this.#f, block.pcBits);
  }

  #mergeChildren(node: number): number[] {
    return this.#shape.children[node].filter((child) => this.#shape.isMerge[child]);
  }

  #writeTree(node: number): void {
    const merges = this.#mergeChildren(node);
    if (this.#shape.isLoopHeader[node]) {
      this.#count();
      this.#loopLabel[node] = this.#f.loop();
      this.#writeWithin(node, merges);
      this.#f.end();
    } else {
      this.#writeWithin(node, merges);
    }
  }

  /** The node, then the merge points that it dominates, each behind the end of a block. */
  #writeWithin(node: number, merges: readonly number[]): void {
    const f = this.#f;
    for (let i = merges.length - 1; i >= 0; i--) this.#blockLabel[merges[i]] = f.block();
    if (node === this.#shape.root) this.#writeDispatch();
    else this.#writeBlock(node);
    for (const merge of merges) {
      f.end();
      this.#uncounted = 0;
      this.#writeTree(merge);
    }
  }

  #writeDispatch(): void {
    const f = this.#f;
    const { dispatched } = this.#shape;
    const holdFor = (node: number): void => {
      this.#cache.clean(0n);
      this.#cache.hold(this.#flow.held[node]);
    };
    if (dispatched.length === 1) {
      holdFor(dispatched[0]);
      this.#writeTree(dispatched[0]);
      return;
    }
    // What a block finds in locals is loaded on the way to it.
    const ways = dispatched.filter((node) => this.#flow.held[node] !== 0n).map((node) => ({ node, label: f.block() }));
    const labels = dispatched.map((node) => ways.find((way) => way.node === node)?.label ?? this.#blockLabel[node]);
    f.get(ENTRY);
    f.brTable(labels, labels[0]);
    for (const { node } of ways.reverse()) {
      f.end();
      holdFor(node);
      f.br(this.#blockLabel[node]);
    }
  }

  #writeBlock(node: number): void {
    const { block } = this.#region[node];
    this.#now = node;
    this.#uncounted += block.insnCount;
    const { terminal } = block;
    this.#cache.enter(this.#segments[node], this.#flow.held[node], this.#flow.dirty[node]);
    const results = terminal.kind === 'branch' ? [terminal.cond] : 'target' in terminal ? [terminal.target] : [];
    this.#body.write(block.insts, results);
    this.#writeTerminal(node, block);
  }

  #writeTerminal(node: number, block: Block): void {
    const f = this.#f;
    const { terminal } = block;
    switch (terminal.kind) {
      case 'jump':
        this.#body.finish();
        if (terminal.poll) this.#writePoll(terminal.delta);
        this.#writeEdge(node, terminal.delta);
        break;
      case 'call':
        this.#body.finish();
        this.#pushPc(terminal.delta);
        this.#writeCall(node, terminal.returnDelta);
        break;
      case 'branch':
        this.#body.pushValue(terminal.cond);
        this.#body.finish();
        this.#writeBranch(node, terminal.taken, terminal.fall);
        break;
      case 'indirect':
        this.#body.pushValue(terminal.target);
        this.#body.finish();
        emitCutPc(f, block.pcBits);
        if (terminal.hint === 'ret') this.#leave(0);
        else this.#leaveTo();
        break;
      case 'callIndirect':
        this.#body.pushValue(terminal.target);
        this.#body.finish();
        emitCutPc(f, block.pcBits);
        this.#writeCall(node, terminal.returnDelta);
        break;
      case 'dispatch':
        this.#body.finish();
        this.#writeDispatchTerminal();
        break;
      case 'exit':
        this.#body.finish();
        storeHeader32(f, CPU, HEADER.exitReason, () => f.i32(terminal.reason));
        this.#pushPc(terminal.delta);
        this.#leave(terminal.reason);
        break;
      case 'trap':
        this.#body.finish();
        f.get(CPU);
        f.i32(this.#region[node].offset + block.terminalAt);
        f.i32(terminal.code);
        f.call(this.#frame.linkage.trap);
        this.#cache.writeBack();
        this.#addUncounted();
        f.br(this.#frame.fault);
        break;
    }
  }

  /** newPc on the stack. */
  #leave(reason: number): void {
    const f = this.#f;
    f.set(this.#newPc);
    this.#cache.writeBack();
    this.#addUncounted();
    if (reason !== 0) {
      f.i32(reason);
      f.set(this.#reason);
    }
    f.br(this.#exit);
  }

  /** newPc on the stack: a jump out of the region. */
  #leaveTo(): void {
    this.#f.set(this.#newPc);
    this.#cache.writeBack();
    this.#addUncounted();
    this.#f.br(this.#hop);
  }

  /** Leaves if an interrupt is pending, or code may lie elsewhere now. */
  #writePoll(delta: number): void {
    const f = this.#f;
    loadHeader32(f, CPU, HEADER.pending);
    f.if();
    this.#pushPc(delta);
    this.#leave(EXIT.POLL);
    f.end();
    this.#transfers.pushHasMoved();
    f.ifRarely();
    this.#pushPc(delta);
    this.#leave(0);
    f.end();
  }

  /** pc is in memory already. */
  #writeDispatchTerminal(): void {
    const f = this.#f;
    loadHeader32(f, CPU, HEADER.pending);
    f.if();
    loadHeader64(f, CPU, HEADER.pc);
    this.#leave(EXIT.POLL);
    f.end();
    loadHeader64(f, CPU, HEADER.pc);
    this.#leaveTo();
  }

  /** The callee's pc on the stack; goes on at `returnDelta`. */
  #writeCall(node: number, returnDelta: number): void {
    const f = this.#f;
    f.set(this.#newPc);
    this.#cache.writeBack();
    this.#count();
    if (!this.#byOffset.has(this.#region[node].offset + returnDelta)) {
      // Nothing here to come back to.
      f.br(this.#hop);
      return;
    }
    this.#now = node;
    f.get(DEPTH);
    f.op(O.eqz);
    f.ifRarely();
    f.i32(EXIT.UNWIND);
    f.set(this.#reason);
    f.br(this.#exit);
    f.end();
    this.#moveOn();
    f.i32(0);
    f.set(this.#retired);
    this.#transfers.writeCall(() => this.#pushPc(returnDelta));
    this.#cache.clean(0n);
    this.#loadTlb();
    this.#writeEdge(node, returnDelta);
  }

  /** Condition on the stack. */
  #writeBranch(node: number, taken: number, fall: number): void {
    const f = this.#f;
    const { held, dirty } = this.#cache;
    const uncounted = this.#uncounted;
    f.if();
    this.#writeEdge(node, taken);
    f.else();
    this.#now = node;
    this.#cache.held = held;
    this.#cache.dirty = dirty;
    this.#uncounted = uncounted;
    this.#writeEdge(node, fall);
    f.end();
  }

  /** Goes from a block to the one at `delta` from it, or leaves the region. */
  #writeEdge(node: number, delta: number): void {
    const f = this.#f;
    const target = this.#byOffset.get(this.#region[node].offset + delta);
    this.#now = node;
    if (target === undefined) {
      this.#pushPc(delta);
      this.#leaveTo();
      return;
    }
    const { order, isMerge, viaRoot, dispatched } = this.#shape;
    if (order[target] > order[node]) {
      this.#cache.hold(this.#flow.held[target]);
      if (isMerge[target]) {
        this.#count();
        f.br(this.#blockLabel[target]);
      } else this.#writeTree(target);
      return;
    }
    this.#count();
    this.#writeBudgetCheck(delta);
    if (viaRoot(node, target)) {
      this.#cache.writeBack();
      f.i32(dispatched.indexOf(target));
      f.set(ENTRY);
      f.br(this.#dispatchLoop);
    } else {
      this.#cache.hold(this.#flow.held[target]);
      f.br(this.#loopLabel[target]);
    }
  }

  #writeBudgetCheck(delta: number): void {
    const f = this.#f;
    loadHeader32(f, CPU, HEADER.budget);
    f.get(this.#retired);
    f.op(O.leS);
    f.ifRarely();
    this.#pushPc(delta);
    this.#leave(EXIT.BUDGET);
    f.end();
  }
}
