// Block -> bytecode of the interpreter. Format: bytecode-format.ts; where values live: bytecode-plan.ts.

import type { Block, Inst } from '@anillo/ir/block';
import type { Callee } from '@anillo/ir/callee';
import { OPS, type OpSpec } from '@anillo/ir/ops';
import type { Slot } from '@anillo/ir/slot';
import { JUMP_TARGETS_OFFSET, TEMPS_OFFSET } from '@anillo/ir/vcpu-header';
import { BlockRecord } from './block-record.ts';
import { BRANCH, EXIT_TO, FIELD, JUMP, LINK_NEVER, opcodeName, operandField } from './bytecode-format.ts';
import { BytecodePlan, TRAIT } from './bytecode-plan.ts';
import { callBytes, instructionBytes } from './interpreter-arms.ts';

export interface BlockPlace {
  readonly hostAddress: number;
  readonly mode: number;
  readonly hotAt: number;
}

/** What links a terminal has. */
const LINKS = { NONE: 0, JUMP: 1, BRANCH: 2 } as const;

type TerminalKind = Parameters<typeof opcodeName.terminal>[0];
const TERMINAL_KINDS: readonly TerminalKind[] = ['jump', 'poll', 'branch', 'indirect', 'switch', 'exit'];
/** Opcodes of the terminals that set pc to so many bits. */
type TerminalOpcodes = Readonly<Record<TerminalKind, number>>;

const R = BlockRecord.offset;
const INSTRUCTION_BYTES = Uint8Array.from(Object.values(OPS), instructionBytes);
const I32_CONST = OPS['i32.const'].code;
const I64_CONST = OPS['i64.const'].code;
const MAX_INSTRUCTION_BYTES = 256;
const TEMP_BYTES = 16;
const MAX_TEMPS = (JUMP_TARGETS_OFFSET - TEMPS_OFFSET) / TEMP_BYTES;
const PAGE_BYTES = 4096;

/** Writes records with their bytecode. One per machine memory; `encode` keeps its scratch arrays. */
export class BlockEncoder {
  readonly #opcodes: ReadonlyMap<string, number>;
  /** Opcodes by an op's code: of the plain form (lane 0, for ops with a lane), and of that with a constant. */
  readonly #opcodeOf: Uint16Array;
  readonly #constantOpcodeOf: Uint16Array;
  readonly #callOpcodes = new Map<Callee, number>();
  readonly #move4: number;
  readonly #move8: number;
  readonly #move16: number;
  readonly #dispatch: number;
  readonly #trap: number;
  readonly #terminals: Readonly<Record<16 | 32 | 64, TerminalOpcodes>>;
  /** LINKS of an opcode. */
  readonly #links: Uint8Array;
  #codeAt = 0;
  #terminalAt = 0;
  readonly #u16: Uint16Array;
  readonly #i32: Int32Array;
  readonly #u8: Uint8Array;
  readonly #plan = new BytecodePlan();
  /** Position after which a temp is free, and how many temps the block has used. */
  readonly #freeAfter = new Int32Array(MAX_TEMPS);
  #tempsUsed = 0;
  /** Temp that holds a root value, or an IR temp; -1: none yet. */
  #valueTemp = new Int32Array(1024);
  readonly #slotTemp = new Int32Array(4096);
  #insts: readonly Inst[] = [];
  #at = 0;

  constructor(opcodes: ReadonlyMap<string, number>, buffer: ArrayBufferLike) {
    this.#opcodes = opcodes;
    const ops: readonly OpSpec[] = Object.values(OPS);
    this.#opcodeOf = Uint16Array.from(ops, ({ name, imm }) => opcodes.get(imm === 'lane' ? opcodeName.lane(name, 0) : name) ?? 0);
    this.#constantOpcodeOf = Uint16Array.from(ops, ({ name }) => opcodes.get(opcodeName.withConstant(name)) ?? 0);
    this.#move4 = this.#opcode(opcodeName.move(4));
    this.#move8 = this.#opcode(opcodeName.move(8));
    this.#move16 = this.#opcode(opcodeName.move(16));
    this.#dispatch = this.#opcode('dispatch');
    this.#trap = this.#opcode('trap');
    this.#terminals = { 16: this.#terminalOpcodes(16), 32: this.#terminalOpcodes(32), 64: this.#terminalOpcodes(64) };
    this.#links = new Uint8Array(Math.max(...opcodes.values()) + 1);
    for (const { jump, poll, branch } of Object.values(this.#terminals)) {
      this.#links[jump] = this.#links[poll] = LINKS.JUMP;
      this.#links[branch] = LINKS.BRANCH;
    }
    this.#u16 = new Uint16Array(buffer);
    this.#i32 = new Int32Array(buffer);
    this.#u8 = new Uint8Array(buffer);
  }

  /**
   * Writes the record at byte `at` (a multiple of 64) and the code after it; flags, guard and function fields are 0, and `next` too: linking the
   * record into its chain is the caller's. The block should have been through `optimize`. Returns the bytes used, a multiple of 64, or -1
   * when `limit` (an end address) would be passed; nothing useful is in memory then.
   */
  encode(block: Block, at: number, limit: number, place: BlockPlace): number {
    const { insts } = block;
    this.#plan.run(block);
    this.#insts = insts;
    if (this.#valueTemp.length < insts.length) this.#valueTemp = new Int32Array(insts.length * 2);
    if (this.#plan.tempCount > 0) this.#slotTemp.fill(-1, 0, this.#plan.tempCount);
    this.#tempsUsed = 0;
    this.#at = at + BlockRecord.bytes;
    this.#codeAt = this.#at;
    const open: number[] = [];
    for (let i = 0; i < insts.length; i++) {
      if (this.#at + MAX_INSTRUCTION_BYTES > limit) return -1;
      this.#encodeInst(insts[i], i, open);
    }
    if (this.#at + MAX_INSTRUCTION_BYTES > limit) return -1;
    this.#terminalAt = this.#at;
    this.#encodeTerminal(block);
    this.#writeLinks(this.#terminalAt, block.pcBits, place.hostAddress);
    this.#writeRecord(block, at, place);
    return ((this.#at - at + 63) & ~63) >>> 0;
  }

  /** Of the block that was encoded last: where its code begins, how long it is, and where in it the terminal is. */
  get lastCode(): { readonly codeAt: number; readonly codeBytes: number; readonly terminalAt: number } {
    return { codeAt: this.#codeAt, codeBytes: this.#at - this.#codeAt, terminalAt: this.#terminalAt - this.#codeAt };
  }

  /**
   * Writes the record for code that has been encoded before, in another place, and that the caller has copied to where `encode` would have put it.
   */
  adopt(shape: Pick<Block, 'byteCount' | 'insnCount' | 'pcBits'>, at: number, terminalAt: number, place: BlockPlace): void {
    this.#writeLinks(at + BlockRecord.bytes + terminalAt, shape.pcBits, place.hostAddress);
    this.#writeRecord(shape, at, place);
  }

  #writeRecord(block: Pick<Block, 'byteCount' | 'insnCount'>, at: number, place: BlockPlace): void {
    const words = this.#i32;
    const end = (at + BlockRecord.bytes) >>> 2;
    for (let i = at >>> 2; i < end; i++) words[i] = 0;
    words[(at + R.hostAddress) >>> 2] = place.hostAddress;
    words[(at + R.mode) >>> 2] = place.mode;
    words[(at + R.code) >>> 2] = at + BlockRecord.bytes;
    words[(at + R.insnCount) >>> 2] = block.insnCount;
    words[(at + R.hotAt) >>> 2] = place.hotAt;
    words[(at + R.byteCount) >>> 2] = block.byteCount;
  }

  #opcode(name: string): number {
    const opcode = this.#opcodes.get(name);
    if (opcode === undefined) throw new TypeError(`the interpreter has no instruction "${name}": was its callee given to buildRuntime?`);
    return opcode;
  }
  #terminalOpcodes(pcBits: number): TerminalOpcodes {
    const entries = TERMINAL_KINDS.map((kind) => [kind, this.#opcode(opcodeName.terminal(kind, pcBits))]);
    return Object.fromEntries(entries) as TerminalOpcodes;
  }
  #field16(field: number, value: number): void {
    this.#u16[(this.#at + field) >>> 1] = value;
  }
  #field32(field: number, value: number): void {
    this.#i32[(this.#at + field) >>> 2] = value;
  }
  /** A delta in bytes, which may need more than 32 bits. */
  #field64(field: number, value: number): void {
    this.#field32(field, value | 0);
    this.#field32(field + 4, Math.floor(value / 0x1_0000_0000) | 0);
  }
  #start(opcode: number): void {
    this.#field16(FIELD.opcode, opcode);
  }

  /** A temp that is free at position `now`, taken until `lastUse`. */
  #takeTemp(now: number, lastUse: number): number {
    const free = this.#freeAfter;
    let n = 0;
    while (n < this.#tempsUsed && free[n] > now) n += 1;
    if (n === this.#tempsUsed) {
      if (n === MAX_TEMPS) throw new RangeError('a block needs too many temps; lift fewer instructions into it');
      this.#tempsUsed += 1;
    }
    free[n] = lastUse;
    return n;
  }
  #tempOffset = (n: number): number => TEMPS_OFFSET + n * TEMP_BYTES;

  #slotOffset(slot: Slot, now: number): number {
    if (!slot.temp) return slot.offset;
    const index = this.#plan.tempIndex(slot);
    if (this.#slotTemp[index] < 0) this.#slotTemp[index] = this.#takeTemp(now, this.#plan.tempEnd[index]);
    return this.#tempOffset(this.#slotTemp[index]);
  }

  /** Where an operand is. */
  #operand(value: Inst, now: number): number {
    const plan = this.#plan;
    const root = plan.root[value.id];
    const writesFor = plan.writesFor[root];
    if (writesFor > 0) return this.#slotOffset(this.#insts[writesFor - 1].slot as Slot, now);
    if ((plan.traits[root] & TRAIT.KIND) === TRAIT.GET && plan.copied[root] === 0)
      return this.#slotOffset(this.#insts[root].slot as Slot, now);
    return this.#tempOffset(this.#valueTemp[root]);
  }

  /** Where the op at position `i` puts its result. */
  #result(i: number): number {
    const writesFor = this.#plan.writesFor[i];
    if (writesFor > 0) return this.#slotOffset(this.#insts[writesFor - 1].slot as Slot, i);
    const temp = this.#takeTemp(i, this.#plan.lastUse[i]);
    this.#valueTemp[i] = temp;
    return this.#tempOffset(temp);
  }

  #encodeInst(inst: Inst, i: number, open: number[]): void {
    const plan = this.#plan;
    if (plan.root[i] !== i) return;
    const traits = plan.traits[i];
    switch (traits & TRAIT.KIND) {
      case TRAIT.GET:
        if (plan.copied[i] !== 0) this.#encodeMove(inst.slot as Slot, this.#slotOffset(inst.slot as Slot, i), this.#result(i));
        return;
      case TRAIT.SET:
        if (plan.elided[i] === 0) this.#encodeSet(inst, traits, i);
        return;
      case TRAIT.CONTROL:
        this.#encodeControl(inst, i, open);
        return;
      case TRAIT.CALL:
        this.#encodeCall(inst, i);
        return;
    }
    const isUnused = plan.lastUse[i] < 0 && plan.writesFor[i] === 0;
    if (!isUnused || (traits & TRAIT.DROPPABLE) === 0) this.#encodeOp(inst, traits, i);
  }

  #encodeMove(slot: Slot, from: number, to: number): void {
    if (from === to) return;
    const { type } = slot;
    this.#start(type === 'v128' ? this.#move16 : type === 'i64' || type === 'f64' ? this.#move8 : this.#move4);
    this.#field16(FIELD.dst, to);
    this.#field16(FIELD.a, from);
    this.#at += 8;
  }

  #encodeSet(inst: Inst, traits: number, i: number): void {
    const slot = inst.slot as Slot;
    const value = inst.args[0];
    if ((traits & TRAIT.TAKES_CONSTANT) !== 0) {
      this.#encodeConstant(value, this.#slotOffset(slot, i));
      return;
    }
    const from = this.#operand(value, i);
    this.#encodeMove(slot, from, this.#slotOffset(slot, i));
  }

  /** An i64 whose high word is 0 is stored like an i32. */
  #encodeConstant({ spec, imm, immHigh }: Inst, to: number): void {
    const short = spec.code === I32_CONST || immHigh === 0;
    this.#start(this.#opcodeOf[short ? I32_CONST : I64_CONST]);
    this.#field16(FIELD.dst, to);
    if (short) {
      this.#field32(FIELD.imm32, imm);
      this.#at += 8;
      return;
    }
    this.#field32(FIELD.imm64, imm);
    this.#field32(FIELD.imm64 + 4, immHigh);
    this.#at += 16;
  }

  #encodeOp(inst: Inst, traits: number, i: number): void {
    const { args } = inst;
    const { code } = inst.spec;
    if ((traits & TRAIT.CONSTANT) !== 0) {
      this.#encodeConstant(inst, this.#result(i));
      return;
    }
    if ((traits & TRAIT.TAKES_CONSTANT) !== 0) {
      this.#start(this.#constantOpcodeOf[code]);
      this.#field16(FIELD.a, this.#operand(args[0], i));
      this.#field32(FIELD.imm64, args[1].imm);
      this.#field32(FIELD.imm64 + 4, args[1].immHigh);
      this.#field16(FIELD.dst, this.#result(i));
      this.#at += 16;
      return;
    }
    this.#start(this.#opcodeOf[code] + ((traits & TRAIT.HAS_LANE) !== 0 ? inst.imm : 0));
    for (let a = 0; a < args.length; a++) this.#field16(operandField(a), this.#operand(args[a], i));
    if ((traits & TRAIT.HAS_DISPLACEMENT) !== 0) {
      this.#field16(FIELD.at, inst.at);
      this.#field32(FIELD.disp, inst.imm);
    } else if ((traits & TRAIT.HAS_BYTES) !== 0) this.#u8.set(inst.bytes as Uint8Array, this.#at + FIELD.bytes);
    if ((traits & TRAIT.HAS_RESULT) !== 0) this.#field16(FIELD.dst, this.#result(i));
    this.#at += INSTRUCTION_BYTES[code];
  }

  #callOpcode(callee: Callee): number {
    let opcode = this.#callOpcodes.get(callee);
    if (opcode === undefined) {
      opcode = this.#opcode(callee.traps ? opcodeName.trappingCall(callee.name) : opcodeName.call(callee.name));
      this.#callOpcodes.set(callee, opcode);
    }
    return opcode;
  }

  #encodeCall(inst: Inst, i: number): void {
    const callee = inst.callee;
    if (!callee) throw new TypeError('a call without callee');
    this.#start(this.#callOpcode(callee));
    for (let a = 0; a < inst.args.length; a++) this.#field16(operandField(a), this.#operand(inst.args[a], i));
    this.#field16(FIELD.at, inst.at);
    if (inst.type !== undefined) this.#field16(FIELD.dst, this.#result(i));
    this.#at += callBytes(inst.args.length);
  }

  /** `open` holds the addresses of what waits for its distance, and of loop starts. */
  #encodeControl(inst: Inst, i: number, open: number[]): void {
    const { op } = inst;
    if (op === 'loop') {
      open.push(this.#at);
      return;
    }
    if (op === 'end') {
      this.#patchDistance(open.pop() as number);
      return;
    }
    const here = this.#at;
    this.#start(this.#opcodeOf[inst.spec.code]);
    if (op !== 'else') this.#field16(FIELD.a, this.#operand(inst.args[0], i));
    if (op === 'loop_while') this.#field32(FIELD.distance, (open.pop() as number) - here);
    this.#at += 16;
    if (op === 'else') this.#patchDistance(open.pop() as number);
    if (op !== 'loop_while') open.push(here);
  }
  #patchDistance(from: number): void {
    this.#i32[(from + FIELD.distance) >>> 2] = this.#at - from;
  }

  #writeLinks(terminalAt: number, pcBits: number, hostAddress: number): void {
    switch (this.#links[this.#u16[terminalAt >>> 1]]) {
      case LINKS.JUMP:
        this.#writeLink(terminalAt + JUMP.delta, terminalAt + JUMP.link, pcBits, hostAddress);
        break;
      case LINKS.BRANCH:
        this.#writeLink(terminalAt + BRANCH.deltaTaken, terminalAt + BRANCH.linkTaken, pcBits, hostAddress);
        this.#writeLink(terminalAt + BRANCH.deltaFall, terminalAt + BRANCH.linkFall, pcBits, hostAddress);
        break;
    }
  }
  /** Links stay within a page, for its blocks die together. */
  #writeLink(deltaAt: number, linkAt: number, pcBits: number, hostAddress: number): void {
    const words = this.#i32;
    const pageOffset = hostAddress & (PAGE_BYTES - 1);
    const delta = words[deltaAt >>> 2];
    const isNear = words[(deltaAt + 4) >>> 2] === delta >> 31;
    const isInPage = isNear && pageOffset + delta >= 0 && pageOffset + delta < PAGE_BYTES;
    words[linkAt >>> 2] = isInPage && pcBits !== 16 ? 0 : LINK_NEVER;
  }

  #encodeTerminal(block: Block): void {
    const { terminal } = block;
    const now = this.#insts.length;
    const opcodes = this.#terminals[block.pcBits];
    switch (terminal.kind) {
      case 'jump':
      case 'call':
        this.#start(terminal.kind === 'jump' && terminal.poll ? opcodes.poll : opcodes.jump);
        this.#field64(JUMP.delta, terminal.delta);
        this.#at += JUMP.bytes;
        break;
      case 'branch':
        this.#start(opcodes.branch);
        this.#field16(BRANCH.cond, this.#operand(terminal.cond, now));
        this.#field64(BRANCH.deltaTaken, terminal.taken);
        this.#field64(BRANCH.deltaFall, terminal.fall);
        this.#at += BRANCH.bytes;
        break;
      case 'indirect':
      case 'callIndirect':
        this.#start(terminal.kind === 'indirect' && terminal.hint === 'jump' ? opcodes.switch : opcodes.indirect);
        this.#field16(FIELD.a, this.#operand(terminal.target, now));
        this.#at += 8;
        break;
      case 'dispatch':
        this.#start(this.#dispatch);
        this.#at += 8;
        break;
      case 'exit':
        this.#start(opcodes.exit);
        this.#field32(EXIT_TO.reason, terminal.reason);
        this.#field64(EXIT_TO.delta, terminal.delta);
        this.#at += EXIT_TO.bytes;
        break;
      case 'trap':
        this.#start(this.#trap);
        this.#field16(FIELD.at, block.terminalAt);
        this.#field32(FIELD.disp, terminal.code);
        this.#at += 16;
        break;
    }
  }
}
