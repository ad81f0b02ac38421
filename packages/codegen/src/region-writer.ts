// Writes one region as a function `(cpu i32, entry i32, depth i32) -> i32`.
//
//   locals: state slots; pcBase (pc of the region's base); newPc and reason (how to leave); retired (instructions since entry or the last call)
//   block $faulted, and one for each set of slots that a fault may leave dirty
//     block $exit
//       block $hop
//         block $hopBy
//           [loop $dispatch] ... blocks, in structured form ...
//         end                 newPc += pcBase
//       end                   pc = newPc, budget charged; a tail call to where the jump cache says, or return 0
//     end                     pc = newPc, budget charged; return reason
//   end ...                   slots written back; pc = pcBase, budget charged; return EXIT.TRAP (`trapAt` is relative to the base)
//
// Whoever leaves otherwise writes back the slots that are dirty there before it branches. Nodes and edges: region-graph.ts; ways out: region-exits.ts; hops and calls:
// region-transfers.ts.

import { hostRelaxedSimd } from './relaxed-simd.ts';
import { EXIT } from '@anillo/ir/frontend';
import type { Block, Inst } from '@anillo/ir/block';
import { BodyCompiler, usesTlb, type BodyFrame, type Linkage } from './body-compiler.ts';
import { filled, type FlowShape } from './control-flow.ts';
import { isPc } from './expression-plan.ts';
import { RegionDispatch } from './region-dispatch.ts';
import { chooseEntries, ENTRY_OFFSET_SHIFT } from './region-entries.ts';
import { FunctionCode, type Label, type Local } from './function-code.ts';
import { HEADER, loadHeader32, loadHeader64, storeHeader32 } from './header-access.ts';
import { emitCutPc } from './interpreter-terminals.ts';
import type { Region } from './region-compiler.ts';
import { RegionExits } from './region-exits.ts';
import { RegionGraph } from './region-graph.ts';
import { RegionTransfers } from './region-transfers.ts';
import { SlotCache, type Segment } from './slot-cache.ts';
import { solveSlotFlow, type SlotFlow } from './slot-flow.ts';
import { SlotSet } from './slot-set.ts';
import { chooseBuckets } from './switch-buckets.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const O = {
  and: opcodeOf('i32.and'),
  xor: opcodeOf('i32.xor'),
  shrU: opcodeOf('i32.shr_u'),
  wrap: opcodeOf('i32.wrap_i64'),
  xor64: opcodeOf('i64.xor'),
  eqz64: opcodeOf('i64.eqz'),
  eqz: opcodeOf('i32.eqz'),
  unreachable: opcodeOf('unreachable'),
} as const;

/** Glue reads and writes no slots. */
const GLUE: readonly Segment[] = [
  { needs: SlotSet.NONE, sets: SlotSet.NONE, deferred: SlotSet.NONE, clobbers: SlotSet.NONE, writtenBack: SlotSet.NONE },
];
const ENTRY_MASK = (1 << ENTRY_OFFSET_SHIFT) - 1;
const CPU = 0;
/** The vCPU's struct is aligned more than that. */
const CPU_MASK = ~7;
const ENTRY = 1;
const DEPTH = 2;

/**
 * Where instructions are in blocks of so many in the mean, what is set stays in locals until someone can look. Else ways out are many, and it goes to memory at
 * once: V8's register allocation takes long over values that are alive up to all of them.
 */
const LONG_BLOCKS = 20;

function deservesDeferring(region: Region): boolean {
  let insns = 0;
  let squares = 0;
  for (const { block } of region) {
    insns += block.insnCount;
    squares += block.insnCount ** 2;
  }
  return squares >= LONG_BLOCKS * insns;
}

/** Function indices of what regions call. */
export interface RegionLinkage extends Linkage {
  readonly resume: number;
}

export class RegionWriter {
  readonly #region: Region;
  readonly #graph: RegionGraph;
  readonly #entries: readonly number[];
  readonly #shape: FlowShape;
  readonly #f = new FunctionCode(3, 8192);
  readonly #cache: SlotCache;
  readonly #segments: readonly (readonly Segment[])[];
  readonly #flow: SlotFlow;
  readonly #dispatch: RegionDispatch;
  readonly #body: BodyCompiler;
  readonly #frame: BodyFrame;
  readonly #transfers: RegionTransfers;
  readonly #exits: RegionExits;
  readonly #tlb: Local | undefined;
  #dispatchLoop: Label = 0;
  /** Label of each node's loop (back edges) and of the point before it (forward edges to merge nodes). */
  readonly #loopLabel: Label[];
  readonly #blockLabel: Label[];
  /** Node being written. */
  #now = 0;

  constructor(region: Region, linkage: RegionLinkage, compiledType: number, atomics: boolean) {
    this.#region = region;
    this.#graph = new RegionGraph(region);
    const { successors } = this.#graph;
    const chosen = chooseEntries({ successors, mayEnter: (node) => this.#graph.mayEnter(node), firstSwitch: region.length });
    this.#entries = chosen.entries;
    this.#shape = chosen.shape;
    this.#loopLabel = filled(successors.length + 1, 0);
    this.#blockLabel = filled(successors.length + 1, 0);
    const f = this.#f;
    this.#cache = new SlotCache(f, CPU, deservesDeferring(region));
    const reachesMemory = this.#announceSlots();
    this.#segments = successors.map((_, node) => (this.#graph.isBlock(node) ? this.#cache.analyse(region[node].block.insts) : GLUE));
    this.#flow = solveSlotFlow({
      shape: this.#shape,
      successors,
      segments: this.#segments,
      forgets: (node) => this.#graph.makesCall(node),
      isBare: (node) => this.#graph.isBare(node),
    });
    this.#dispatch = new RegionDispatch({
      f,
      cache: this.#cache,
      held: this.#flow.held,
      shape: this.#shape,
      entry: ENTRY,
      blockLabel: this.#blockLabel,
    });
    this.#transfers = new RegionTransfers({ f, pcBits: region[0].block.pcBits, compiledType, resume: linkage.resume });
    this.#exits = new RegionExits({ f, graph: this.#graph, cache: this.#cache, transfers: this.#transfers });
    this.#tlb = reachesMemory ? f.local('i32') : undefined;
    this.#writePrologue();
    this.#exits.open();
    this.#frame = {
      f,
      cpu: CPU,
      cache: this.#cache,
      linkage,
      atomics,
      relaxed: hostRelaxedSimd(),
      tlb: this.#tlb,
      fault: (dirty) => this.#exits.faultWith(dirty),
      atOf: (inst: Inst) => this.#region[this.#now].offset + inst.at,
      pushPc: () => this.#exits.pushPc(this.#region[this.#now].offset),
      leaving: () => this.#exits.noteUncounted(),
    };
    this.#body = new BodyCompiler(this.#frame);
  }

  /** `functionEntry` of each block of the region; -1 where it cannot be entered. */
  entries(): Int32Array {
    const ways = new Map<number, number>();
    for (const node of this.#entries) {
      // A switch enters what it leads to.
      if (this.#graph.isSwitch(node))
        for (const target of this.#graph.targets(node)) ways.set(target.node, this.#shape.dispatched.indexOf(node));
    }
    for (const node of this.#entries) if (this.#graph.isBlock(node)) ways.set(node, this.#shape.dispatched.indexOf(node));
    return Int32Array.from(this.#region, ({ offset }, node) => {
      const way = ways.get(node);
      return way === undefined ? -1 : (offset << ENTRY_OFFSET_SHIFT) | way;
    });
  }

  write(): FunctionCode {
    const f = this.#f;
    this.#dispatch.writeStart(ENTRY_MASK);
    if (this.#shape.rootIsLoop) this.#dispatchLoop = f.loop();
    this.#writeWithin(this.#shape.root, this.#mergeChildren(this.#shape.root));
    if (this.#shape.rootIsLoop) f.end();
    f.op(O.unreachable);
    this.#exits.close();
    return f;
  }

  /** Tells the cache about all slots; returns whether guest memory is reached. */
  #announceSlots(): boolean {
    let reachesMemory = false;
    for (const { block } of this.#region) {
      for (const inst of block.insts) {
        if (inst.slot && !isPc(inst.slot)) this.#cache.add(inst.slot);
        reachesMemory ||= usesTlb(inst.spec);
      }
    }
    return reachesMemory;
  }

  #writePrologue(): void {
    const { successors } = this.#graph;
    const f = this.#f;
    // Changes nothing, but V8 then knows the upper half of the register to be 0, and does not keep the parameter and a 64-bit index made of it side by side.
    f.get(CPU);
    f.i32(CPU_MASK);
    f.op(O.and);
    f.set(CPU);
    this.#exits.writePrologue(this.#entries.some((node) => this.#graph.isSwitch(node)));
    if (successors.some((_, node) => this.#goesOnAfterAbsence(node))) {
      loadHeader64(f, CPU, HEADER.pc);
      this.#transfers.writeEntered();
    }
    this.#loadTlb();
  }

  /** Does the function go on after something in which code may have moved: a call, or a poll? */
  #goesOnAfterAbsence(node: number): boolean {
    if (this.#graph.makesCall(node)) return this.#graph.successors[node].length > 0;
    const terminal = this.#graph.isBlock(node) ? this.#region[node].block.terminal : undefined;
    return terminal?.kind === 'jump' && terminal.poll;
  }

  #loadTlb(): void {
    if (this.#tlb === undefined) return;
    loadHeader32(this.#f, CPU, HEADER.tlb);
    this.#f.set(this.#tlb);
  }

  #mergeChildren(node: number): number[] {
    return this.#shape.children[node].filter((child) => this.#shape.isMerge[child]);
  }

  #writeTree(node: number): void {
    const merges = this.#mergeChildren(node);
    if (this.#shape.isLoopHeader[node]) {
      this.#exits.count();
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
    if (node === this.#shape.root) this.#dispatch.writeRoot((only) => this.#writeTree(only));
    else this.#writeNode(node);
    for (const merge of merges) {
      f.end();
      this.#exits.uncounted = 0;
      this.#writeTree(merge);
    }
  }

  #writeNode(node: number): void {
    this.#now = node;
    this.#cache.enter(this.#segments[node], this.#flow.held[node], this.#flow.dirty[node]);
    if (this.#graph.isSwitch(node)) this.#writeSwitch(node);
    else if (this.#graph.isBlock(node)) this.#writeBlock(node);
    // The rest of a function that has been inlined is called.
    else this.#writeCall(this.#graph.successors[node][0]);
  }

  #writeBlock(node: number): void {
    const { block } = this.#region[node];
    const { terminal } = block;
    this.#exits.uncounted += block.insnCount;
    const results = terminal.kind === 'branch' ? [terminal.cond] : 'target' in terminal ? [terminal.target] : [];
    this.#body.write(block.insts, results);
    if (terminal.kind === 'branch') this.#body.pushValue(terminal.cond);
    else if ('target' in terminal) {
      this.#body.pushValue(terminal.target);
      emitCutPc(this.#f, block.pcBits);
      this.#f.set(this.#exits.newPc);
    }
    this.#body.finish();
    this.#writeTerminal(node, block);
  }

  /** A branch's condition is on the stack, the target of what jumps through a value in newPc. */
  #writeTerminal(node: number, { terminal, terminalAt }: Block): void {
    const f = this.#f;
    const exits = this.#exits;
    const { offset } = this.#region[node];
    switch (terminal.kind) {
      case 'jump':
        if (terminal.poll) exits.writePoll(offset + terminal.delta);
        this.#writeJump(node, terminal.delta);
        break;
      case 'call':
        this.#writeDirectCall(node, terminal.delta, terminal.returnDelta);
        break;
      case 'branch':
        f.if();
        this.#writeArms([
          () => this.#writeJump(node, terminal.taken),
          () => {
            f.else();
            this.#writeJump(node, terminal.fall);
          },
        ]);
        f.end();
        break;
      case 'indirect':
        if (terminal.hint === 'ret') this.#writeReturn(node);
        else this.#writeIndirectJump(node);
        break;
      case 'callIndirect':
        this.#writeCall(this.#graph.targetOf(node, terminal.returnDelta));
        break;
      case 'dispatch':
        // pc is in memory already.
        loadHeader64(f, CPU, HEADER.pc);
        f.set(exits.newPc);
        loadHeader32(f, CPU, HEADER.pending);
        exits.leaveIf(EXIT.POLL);
        exits.hop();
        break;
      case 'exit':
        storeHeader32(f, CPU, HEADER.exitReason, () => f.i32(terminal.reason));
        exits.setPc(offset + terminal.delta);
        exits.leave(terminal.reason);
        break;
      case 'trap':
        f.get(CPU);
        f.i32(offset + terminalAt);
        f.i32(terminal.code);
        f.call(this.#frame.linkage.trap);
        exits.noteUncounted();
        f.br(exits.faultWith(this.#cache.dirty));
        break;
    }
  }

  /** Ways on from one place, each written with what is known there. */
  #writeArms(arms: readonly (() => void)[]): void {
    const { held, dirty } = this.#cache;
    const { uncounted } = this.#exits;
    for (const arm of arms) {
      this.#cache.held = held;
      this.#cache.dirty = dirty;
      this.#exits.uncounted = uncounted;
      arm();
    }
  }

  /** newPc is set: a jump out of the region, or out of a function that has been inlined. */
  #writeWayOut(node: number): void {
    const tail = this.#graph.tailOf(node);
    if (tail === undefined) this.#exits.hop();
    else this.#writeEdge(node, tail);
  }

  /** newPc is set: a return, which goes on in the region if its function has been inlined and returns to where it was called. */
  #writeReturn(node: number): void {
    const f = this.#f;
    const back = this.#graph.returnOf(node);
    if (back === undefined) {
      this.#exits.leave(0);
      return;
    }
    f.get(this.#exits.newPc);
    this.#exits.pushPc(back.offset);
    f.op(O.xor64);
    f.op(O.eqz64);
    f.op(O.eqz);
    this.#exits.leaveIf(0);
    this.#writeEdge(node, back.node);
  }

  /** newPc is set. */
  #writeIndirectJump(node: number): void {
    const to = this.#graph.switchOf(node);
    if (to === undefined) {
      this.#writeWayOut(node);
      return;
    }
    this.#exits.setSwitchToPc();
    this.#writeEdge(node, to);
  }

  /** Decides between the targets of indirect jumps by `switchTo`. */
  #writeSwitch(node: number): void {
    const f = this.#f;
    const { switchTo } = this.#exits;
    const targets = this.#graph.targets(node);
    const { shifts, mask, members } = chooseBuckets(targets.map(({ offset }) => offset));
    const miss = f.block();
    const full = members.filter((bucket) => bucket.length > 0);
    const labels = new Map(full.map((bucket) => [bucket, f.block()]));
    if (mask > 0) {
      for (const shift of shifts) {
        f.get(switchTo);
        f.op(O.wrap);
        f.i32(shift);
        f.op(O.shrU);
      }
      f.op(O.xor);
      f.i32(mask);
      f.op(O.and);
      f.brTable(
        members.map((bucket) => labels.get(bucket) ?? miss),
        miss,
      );
    }
    const compare = (i: number) => (): void => {
      f.get(switchTo);
      f.i64Number(targets[i].offset);
      f.op(O.xor64);
      f.op(O.eqz64);
      f.if();
      this.#writeEdge(node, targets[i].node);
      f.end();
    };
    const buckets = full.toReversed().map((bucket) => () => {
      f.end();
      this.#writeArms(bucket.map(compare));
      f.br(miss);
    });
    const otherwise = (): void => {
      f.end();
      this.#exits.setPcToSwitch();
      this.#writeWayOut(node);
    };
    this.#writeArms([...buckets, otherwise]);
  }

  #writeDirectCall(node: number, delta: number, returnDelta: number): void {
    const callee = this.#graph.calleeOf(node);
    if (callee !== undefined) {
      this.#writeEdge(node, callee);
      return;
    }
    this.#exits.setPc(this.#region[node].offset + delta);
    this.#writeCall(this.#graph.targetOf(node, returnDelta));
  }

  /** newPc is the callee's; goes on at the node `back`, a block. */
  #writeCall(back: number | undefined): void {
    const f = this.#f;
    const node = this.#now;
    if (back === undefined) {
      // Nothing here to come back to.
      this.#exits.hop();
      return;
    }
    this.#cache.writeBack();
    this.#exits.count();
    f.get(DEPTH);
    f.op(O.eqz);
    f.ifRarely();
    this.#exits.leaveAtOnce(EXIT.UNWIND);
    f.end();
    this.#exits.moveOn();
    this.#exits.startCounting();
    this.#transfers.writeCall(() => this.#exits.pushPc(this.#region[back].offset));
    this.#cache.clean(SlotSet.NONE);
    this.#loadTlb();
    this.#writeEdge(node, back);
  }

  /** Goes from a block to the one at `delta` from it, or leaves its function. */
  #writeJump(node: number, delta: number): void {
    const target = this.#graph.targetOf(node, delta);
    if (target !== undefined) {
      this.#writeEdge(node, target);
      return;
    }
    const offset = this.#region[node].offset + delta;
    const tail = this.#graph.tailOf(node);
    if (tail === undefined) {
      this.#exits.hopTo(offset);
    } else {
      this.#exits.setPc(offset);
      this.#writeEdge(node, tail);
    }
  }

  /** Goes from a node to another, with `newPc` or `switchTo` set if that is glue. */
  #writeEdge(node: number, target: number): void {
    const f = this.#f;
    this.#now = node;
    const { order, isMerge, viaRoot, dispatched } = this.#shape;
    if (this.#graph.isBare(target)) {
      this.#cache.writeBack();
      this.#cache.clean(SlotSet.NONE);
    }
    if (order[target] > order[node]) {
      this.#cache.hold(this.#flow.held[target]);
      if (isMerge[target]) {
        this.#exits.count();
        f.br(this.#blockLabel[target]);
      } else this.#writeTree(target);
      return;
    }
    this.#exits.count();
    this.#exits.writeBudgetCheck(target);
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
}
