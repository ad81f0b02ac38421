// Text form of blocks, one op a line, to print at any arrow of the pipeline and to parse back into a test.
//
//   block bytes=7 insns=2 at=4 pc=64
//     %0 = get r1:i64@1032
//     %1 = i64.const 0x1
//     %2 = i64.add %0 %1
//   @4                                   (ops from here on belong to the instruction at byte 4)
//     set r1:i64@1032 %2
//     %4 = i64.load %2 -8                (displacement, lane, trap code: last)
//   jump 16
//
// A slot is name:type@offset, with ! after it where pinned, ^ where it is the stack pointer; an IR temp is name:type. A callee is given by name.

import { Inst, type Block, type Terminal, type Value } from './block.ts';
import type { Callee } from './callee.ts';
import { OPS, type OpName, type OpSpec, type Type } from './ops.ts';
import { slot, tempSlot, type Slot } from './slot.ts';

const hex = (word: number): string => (word >>> 0).toString(16);
const printSlot = (s: Slot): string =>
  s.temp ? `${s.name}:${s.type}` : `${s.name}:${s.type}@${s.offset}${s.pinned ? '!' : ''}${s.isStackPointer ? '^' : ''}`;
const printBytes = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');

function printImmediate(inst: Inst): string {
  const spec: OpSpec = OPS[inst.op];
  switch (spec.imm) {
    case 'i32':
      return ` 0x${hex(inst.imm)}`;
    case 'i64':
      return ` 0x${((BigInt(inst.immHigh >>> 0) << 32n) | BigInt(inst.imm >>> 0)).toString(16)}`;
    case 'f64':
    case 'bytes16':
      return ` ${printBytes(inst.bytes ?? new Uint8Array())}`;
    case 'lane':
    case 'disp':
    case 'trapCode':
      return ` ${inst.imm}`;
    default:
      return '';
  }
}

function printTerminal(t: Terminal, name: (v: Inst) => string): string {
  switch (t.kind) {
    case 'jump':
      return `jump ${t.delta}${t.poll ? ' poll' : ''}`;
    case 'branch':
      return `branch ${name(t.cond)} ${t.taken} ${t.fall}`;
    case 'indirect':
      return `indirect ${name(t.target)} ${t.hint}`;
    case 'call':
      return `call ${t.delta} ${t.returnDelta}`;
    case 'callIndirect':
      return `callIndirect ${name(t.target)} ${t.returnDelta}`;
    case 'dispatch':
      return 'dispatch';
    case 'exit':
      return `exit ${t.delta} ${t.reason}`;
    case 'trap':
      return `trap ${t.code}`;
  }
}

export function printBlock(block: Block): string {
  const names = new Map<Inst, string>(block.insts.map((inst, i) => [inst, `%${i}`]));
  const name = (v: Inst): string => names.get(v) ?? '%?';
  const lines = [`block bytes=${block.byteCount} insns=${block.insnCount} at=${block.terminalAt} pc=${block.pcBits}`];
  let at = 0;
  for (const inst of block.insts) {
    if (inst.at !== at) lines.push(`@${inst.at}`);
    at = inst.at;
    const result = inst.type === undefined ? '' : `${name(inst)} = `;
    const operand = inst.slot ? ` ${printSlot(inst.slot)}` : inst.callee ? ` ${inst.callee.name}` : '';
    const args = inst.args.map((a) => ` ${name(a)}`).join('');
    lines.push(`  ${result}${inst.op}${operand}${args}${printImmediate(inst)}`);
  }
  lines.push(printTerminal(block.terminal, name));
  return `${lines.join('\n')}\n`;
}

/** Reads what `printBlock` wrote; throws a SyntaxError that names the line. `callees`: those that may be named. */
export function parseBlock(text: string, callees: readonly Callee[] = []): Block {
  return new Parser(callees).block(text);
}

class Parser {
  readonly #callees: ReadonlyMap<string, Callee>;
  readonly #values = new Map<string, Inst>();
  readonly #temps = new Map<string, Slot>();
  readonly #insts: Inst[] = [];
  #at = 0;
  #line = '';

  constructor(callees: readonly Callee[]) {
    this.#callees = new Map(callees.map((c) => [c.name, c]));
  }

  #fail(what: string): never {
    throw new SyntaxError(`${what} in line "${this.#line}"`);
  }
  #number(text: string | undefined): number {
    const n = Number(text);
    if (text === undefined || text === '' || Number.isNaN(n)) this.#fail('a number is missing');
    return n;
  }
  #value(text: string | undefined): Inst {
    return this.#values.get(text ?? '') ?? this.#fail(`unknown value ${text}`);
  }

  block(text: string): Block {
    const lines = text
      .split('\n')
      .map((l) => l.trim())
      .filter((l) => l !== '');
    const head = /^block bytes=(\d+) insns=(\d+) at=(\d+) pc=(16|32|64)$/.exec(lines[0] ?? '');
    this.#line = lines[0] ?? '';
    if (!head) this.#fail('a block line is missing');
    for (const line of lines.slice(1, -1)) {
      this.#line = line;
      if (line.startsWith('@')) this.#at = this.#number(line.slice(1));
      else this.#inst(line);
    }
    this.#line = lines.at(-1) as string;
    const terminal = this.#terminal(this.#line.split(' '));
    const [, bytes, insns, at, pc] = head.map(Number);
    return { insts: this.#insts, terminal, byteCount: bytes, insnCount: insns, terminalAt: at, pcBits: pc as 64 };
  }

  #slot(text: string | undefined): Slot {
    const match = /^([^:]+):(\w+)(?:@(\d+)(!?)(\^?))?$/.exec(text ?? '');
    if (!match) this.#fail('a slot is missing');
    const [, name, type, offset, pinned, stack] = match;
    if (offset !== undefined) return slot(name, type as Type, Number(offset), pinned === '!', stack === '^');
    const temp = this.#temps.get(name) ?? tempSlot(name, type as Type, this.#temps.size);
    this.#temps.set(name, temp);
    return temp;
  }

  #inst(line: string): void {
    const match = /^(?:(%\d+) = )?(\S+)(?: (.*))?$/.exec(line);
    if (!match || !Object.hasOwn(OPS, match[2])) this.#fail('unknown op');
    const [, result, op, rest] = match;
    const words = rest ? rest.split(' ') : [];
    const spec: OpSpec = OPS[op as OpName];
    const slot = spec.imm === 'slot' ? this.#slot(words.shift()) : undefined;
    const callee = spec.imm === 'callee' ? (this.#callees.get(words.shift() ?? '') ?? this.#fail('unknown callee')) : undefined;
    const argCount = callee ? callee.params.length : spec.args.length;
    const args = words.splice(0, argCount).map((w) => this.#value(w));
    const type = callee ? callee.result : op === 'get' ? slot?.type : spec.result;
    const inst = new Inst(spec, type, args, this.#at, this.#insts.length);
    inst.slot = slot;
    inst.callee = callee;
    this.#immediate(inst, spec, words[0]);
    this.#insts.push(inst);
    if (result) this.#values.set(result, inst);
  }

  #immediate(inst: Inst, spec: OpSpec, word: string | undefined): void {
    switch (spec.imm) {
      case 'i32':
      case 'i64': {
        const bits = /^0x[0-9a-f]+$/.test(word ?? '') ? BigInt(word as string) : this.#fail('a constant is missing');
        inst.imm = Number(bits & 0xffff_ffffn) | 0;
        inst.immHigh = Number(bits >> 32n) | 0;
        break;
      }
      case 'f64':
      case 'bytes16':
        inst.bytes = Uint8Array.from(word?.match(/../g) ?? this.#fail('bytes are missing'), (pair) => Number.parseInt(pair, 16));
        break;
      case 'lane':
      case 'disp':
      case 'trapCode':
        inst.imm = this.#number(word);
        break;
      default:
        break;
    }
  }

  #terminal([kind, a, b, c]: string[]): Terminal {
    switch (kind) {
      case 'jump':
        return { kind, delta: this.#number(a), poll: b === 'poll' };
      case 'branch':
        return { kind, cond: this.#value(a) as Value<'i32'>, taken: this.#number(b), fall: this.#number(c) };
      case 'indirect':
        return { kind, target: this.#value(a) as Value<'i64'>, hint: b === 'ret' ? 'ret' : 'jump' };
      case 'call':
        return { kind, delta: this.#number(a), returnDelta: this.#number(b) };
      case 'callIndirect':
        return { kind, target: this.#value(a) as Value<'i64'>, returnDelta: this.#number(b) };
      case 'dispatch':
        return { kind };
      case 'exit':
        return { kind, delta: this.#number(a), reason: this.#number(b) };
      case 'trap':
        return { kind, code: this.#number(a) };
      default:
        return this.#fail('unknown terminal');
    }
  }
}
