// Writes one region as a function `(cpu i32, entry i32) -> i32`.
//
//   locals: state slots; pcBase (pc of the region's base); newPc and reason (how to leave); retired (instructions since entry)
//   block $exit
//     block $fault
//       [loop $dispatch] ... blocks, in structured form ...
//     end                       newPc = pcBase, reason = EXIT.TRAP; `trapAt` is relative to the base
//   end                         pc = newPc, counters, slots written back, return reason
//
// `entry` is (offset of the entered block << ENTRY_SHIFT) | its place among the dispatched ones.

import { EXIT } from '@anillo/ir/frontend';
import type { Block, Inst, Terminal } from '@anillo/ir/block';
import { BodyCompiler, usesTlb, type BodyFrame, type Linkage } from './body-compiler.ts';
import { shapeFlow, type FlowShape } from './control-flow.ts';
import { isPc } from './expression-plan.ts';
import { chooseEntries } from './region-entries.ts';
import { FunctionCode, type Label, type Local } from './function-code.ts';
import { addHeader64, HEADER, loadHeader32, loadHeader64, storeHeader32, storeHeader64 } from './header-access.ts';
import { emitCutPc } from './interpreter-terminals.ts';
import type { Region } from './region-compiler.ts';
import { SlotCache } from './slot-cache.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const O = {
  add: opcodeOf('i32.add'),
  sub: opcodeOf('i32.sub'),
  and: opcodeOf('i32.and'),
  shrS: opcodeOf('i32.shr_s'),
  leS: opcodeOf('i32.le_s'),
  add64: opcodeOf('i64.add'),
  sub64: opcodeOf('i64.sub'),
  extendU: opcodeOf('i64.extend_i32_u'),
  extendS: opcodeOf('i64.extend_i32_s'),
  unreachable: opcodeOf('unreachable'),
} as const;

export const ENTRY_SHIFT = 10;
const ENTRY_MASK = (1 << ENTRY_SHIFT) - 1;
const CPU = 0;
const ENTRY = 1;

/** Known targets of a terminal, as deltas from the block. A `poll` jump always leaves: what it does may change the mapping of code. */
function targetDeltas(terminal: Terminal): number[] {
  switch (terminal.kind) {
    case 'jump':
      return terminal.poll ? [] : [terminal.delta];
    case 'branch':
      return [terminal.taken, terminal.fall];
    case 'call':
      return [terminal.delta];
    default:
      return [];
  }
}

export class RegionWriter {
  readonly #region: Region;
  readonly #byOffset = new Map<number, number>();
  readonly #entries: readonly number[];
  readonly #shape: FlowShape;
  readonly #f = new FunctionCode(2, 4096);
  readonly #cache: SlotCache;
  readonly #body: BodyCompiler;
  readonly #frame: BodyFrame;
  readonly #pcBase: Local;
  readonly #newPc: Local;
  readonly #reason: Local;
  readonly #retired: Local;
  readonly #exit: Label;
  #dispatchLoop: Label = 0;
  /** Label of each node's loop (back edges) and of the point before it (forward edges to merge nodes). */
  readonly #loopLabel: Int32Array;
  readonly #blockLabel: Int32Array;
  /** Node being written. */
  #now = 0;

  constructor(region: Region, linkage: Linkage, atomics: boolean) {
    this.#region = region;
    region.forEach(({ offset }, i) => this.#byOffset.set(offset, i));
    const successors = region.map(({ block, offset }) => [
      ...new Set(targetDeltas(block.terminal).flatMap((d) => this.#byOffset.get(offset + d) ?? [])),
    ]);
    this.#entries = chooseEntries({ successors, mayEnter: (i) => region[i].entry, returnPoints: this.#returnPoints() });
    this.#shape = shapeFlow(successors, this.#entries);
    this.#loopLabel = new Int32Array(region.length + 1);
    this.#blockLabel = new Int32Array(region.length + 1);
    const f = this.#f;
    this.#cache = new SlotCache(f, CPU);
    const reachesMemory = this.#announceSlots();
    this.#pcBase = f.local('i64');
    this.#newPc = f.local('i64');
    this.#reason = f.local('i32');
    this.#retired = f.local('i32');
    const tlb = reachesMemory ? f.local('i32') : undefined;
    this.#writePrologue(tlb);
    this.#exit = f.block();
    this.#frame = {
      f,
      cpu: CPU,
      cache: this.#cache,
      linkage,
      atomics,
      tlb,
      fault: f.block(),
      atOf: (inst: Inst) => this.#region[this.#now].offset + inst.at,
      pushPc: () => this.#pushPc(0),
    };
    this.#body = new BodyCompiler(this.#frame);
  }

  /** `functionEntry` of each block of the region; -1 where it cannot be entered. */
  entries(): Int32Array {
    const isEntry = new Set(this.#entries);
    return Int32Array.from(this.#region, ({ offset }, i) =>
      isEntry.has(i) ? (offset << ENTRY_SHIFT) | this.#shape.dispatched.indexOf(i) : -1,
    );
  }

  #returnPoints(): Set<number> {
    const points = this.#region.flatMap(({ block, offset }) =>
      'returnDelta' in block.terminal ? (this.#byOffset.get(offset + block.terminal.returnDelta) ?? []) : [],
    );
    return new Set(points);
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
    f.end();
    this.#writeEpilogue();
    return f;
  }

  /** Tells the cache about all slots; returns whether guest memory is reached. */
  #announceSlots(): boolean {
    let reachesMemory = false;
    for (const { block } of this.#region) {
      for (const inst of block.insts) {
        const { slot } = inst;
        if (slot && !slot.pinned && !slot.temp && !isPc(slot)) this.#cache.add(slot, inst.op === 'set');
        reachesMemory ||= usesTlb(inst.op);
      }
    }
    return reachesMemory;
  }

  #writePrologue(tlb: Local | undefined): void {
    const f = this.#f;
    this.#cache.load('all');
    loadHeader64(f, CPU, HEADER.pc);
    f.get(ENTRY);
    f.i32(ENTRY_SHIFT);
    f.op(O.shrS);
    f.op(O.extendS);
    f.op(O.sub64);
    f.set(this.#pcBase);
    if (tlb === undefined) return;
    loadHeader32(f, CPU, HEADER.tlb);
    f.set(tlb);
  }

  #writeEpilogue(): void {
    const f = this.#f;
    storeHeader64(f, CPU, HEADER.pc, () => f.get(this.#newPc));
    storeHeader32(f, CPU, HEADER.budget, () => {
      loadHeader32(f, CPU, HEADER.budget);
      f.get(this.#retired);
      f.op(O.sub);
    });
    addHeader64(f, CPU, HEADER.retiredCompiled, () => {
      f.get(this.#retired);
      f.op(O.extendU);
    });
    this.#cache.store('all');
    f.get(this.#reason);
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
      this.#writeTree(merge);
    }
  }

  #writeDispatch(): void {
    const { dispatched } = this.#shape;
    if (dispatched.length === 1) {
      this.#writeTree(dispatched[0]);
      return;
    }
    this.#f.get(ENTRY);
    const labels = dispatched.map((node) => this.#blockLabel[node]);
    this.#f.brTable(labels, labels[0]);
  }

  #writeBlock(node: number): void {
    const f = this.#f;
    const { block } = this.#region[node];
    this.#now = node;
    f.get(this.#retired);
    f.i32(block.insnCount);
    f.op(O.add);
    f.set(this.#retired);
    const { terminal } = block;
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
        else this.#writeEdge(node, terminal.delta);
        break;
      case 'call':
        this.#body.finish();
        this.#writeEdge(node, terminal.delta);
        break;
      case 'branch':
        this.#body.pushValue(terminal.cond);
        this.#body.finish();
        this.#writeBranch(node, terminal.taken, terminal.fall);
        break;
      case 'indirect':
      case 'callIndirect':
        this.#body.pushValue(terminal.target);
        this.#body.finish();
        emitCutPc(f, block.pcBits);
        f.set(this.#newPc);
        f.br(this.#exit);
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
        f.br(this.#frame.fault);
        break;
    }
  }

  /** newPc on the stack. */
  #leave(reason: number): void {
    const f = this.#f;
    f.set(this.#newPc);
    if (reason !== 0) {
      f.i32(reason);
      f.set(this.#reason);
    }
    f.br(this.#exit);
  }

  #writePoll(delta: number): void {
    const f = this.#f;
    loadHeader32(f, CPU, HEADER.pending);
    f.if();
    f.i32(EXIT.POLL);
    f.set(this.#reason);
    f.end();
    this.#pushPc(delta);
    this.#leave(0);
  }

  /** pc is in memory already. */
  #writeDispatchTerminal(): void {
    const f = this.#f;
    loadHeader32(f, CPU, HEADER.pending);
    f.if();
    f.i32(EXIT.POLL);
    f.set(this.#reason);
    f.end();
    loadHeader64(f, CPU, HEADER.pc);
    this.#leave(0);
  }

  /** Condition on the stack. */
  #writeBranch(node: number, taken: number, fall: number): void {
    const f = this.#f;
    f.if();
    this.#writeEdge(node, taken);
    f.else();
    this.#now = node;
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
      this.#leave(0);
      return;
    }
    const { order, isMerge, viaRoot, dispatched } = this.#shape;
    if (order[target] > order[node]) {
      if (isMerge[target]) f.br(this.#blockLabel[target]);
      else this.#writeTree(target);
      return;
    }
    this.#writeBudgetCheck(delta);
    if (viaRoot(node, target)) {
      f.i32(dispatched.indexOf(target));
      f.set(ENTRY);
      f.br(this.#dispatchLoop);
    } else {
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
