// The interpreter's instructions: name, size and code of each. Pure and memory ops derive from the op table and EMIT.

import { OPS, type OpName, type OpSpec, type Type } from '@anillo/ir/ops';
import type { Routine } from '@anillo/ir/callee';
import { FIELD, opcodeName, operandField } from './bytecode-format.ts';
import { EMIT, type EmittedOp } from './emit.ts';
import type { InterpreterEmitter } from './interpreter-emitter.ts';
import { HEADER, storeHeader32 } from './header-access.ts';
import { emitSlotLoad, emitSlotStore } from './slot-access.ts';
import { opcodeOf } from './wasm-opcodes.ts';

export interface Arm {
  readonly name: string;
  /** Bytes of the instruction; 0: the arm itself decides where to go on. */
  readonly byteCount: number;
  readonly emit: (e: InterpreterEmitter) => void;
}

export interface CalleeArm {
  readonly name: string;
  readonly params: readonly Type[];
  readonly result: Type | undefined;
  readonly functionIndex: number;
  readonly kind: 'routine' | 'helper';
  readonly traps: boolean;
}

const ADD = opcodeOf('i32.add');
const EQZ = opcodeOf('i32.eqz');
const LOAD32 = opcodeOf('i32.load');
const LOAD64 = opcodeOf('i64.load');

/** Ops that have a form with a constant as last operand. */
export const hasConstantForm = (spec: OpSpec): boolean =>
  spec.effect === 'pure' && spec.imm === 'none' && spec.args.length === 2 && (spec.args[1] === 'i32' || spec.args[1] === 'i64');

/** Bytes that an op's instruction takes. */
export function instructionBytes(spec: OpSpec): number {
  if (spec.imm === 'bytes16') return 24;
  if (spec.imm === 'disp' || spec.imm === 'trapCode' || spec.args.length > 2) return 16;
  if (spec.imm === 'i64' || spec.imm === 'f64') return 16;
  return 8;
}

function withResult(e: InterpreterEmitter, type: Type | undefined, push: () => void): void {
  if (type) e.pushAddress(FIELD.dst);
  push();
  if (type) emitSlotStore(e.f, type, 0);
}

function opArm(name: string, op: EmittedOp, lane: number): Arm {
  const spec: OpSpec = OPS[op];
  return {
    name,
    byteCount: instructionBytes(spec),
    emit: (e) => {
      e.lane = lane;
      withResult(e, spec.result, () => {
        spec.args.forEach((type, i) => {
          e.pushAddress(operandField(i));
          emitSlotLoad(e.f, type, 0);
        });
        EMIT[op](e);
      });
    },
  };
}

function constantArm(op: EmittedOp): Arm {
  const spec: OpSpec = OPS[op];
  return {
    name: opcodeName.withConstant(op),
    byteCount: 16,
    emit: (e) =>
      withResult(e, spec.result, () => {
        e.pushAddress(FIELD.a);
        emitSlotLoad(e.f, spec.args[0], 0);
        e.f.get(e.ip);
        e.f.memory(spec.args[1] === 'i32' ? LOAD32 : LOAD64, FIELD.imm64);
        EMIT[op](e);
      }),
  };
}

function armsOfOp(name: OpName): Arm[] {
  if (!Object.hasOwn(EMIT, name)) return [];
  const op = name as EmittedOp;
  const spec: OpSpec = OPS[op];
  if (spec.imm === 'lane') return Array.from({ length: spec.lanes }, (_, lane) => opArm(opcodeName.lane(op, lane), op, lane));
  return hasConstantForm(spec) ? [opArm(op, op, 0), constantArm(op)] : [opArm(op, op, 0)];
}

const moveArm = (byteCount: 4 | 8 | 16, type: Type): Arm => ({
  name: opcodeName.move(byteCount),
  byteCount: 8,
  emit: (e) =>
    withResult(e, type, () => {
      e.pushAddress(FIELD.a);
      emitSlotLoad(e.f, type, 0);
    }),
});

/** Branches inside a block: if, else, loop_while. */
const innerBranchArm = (name: string, test: 'never' | 'zero' | 'nonzero'): Arm => ({
  name,
  byteCount: test === 'never' ? 0 : 16,
  emit: (e) => {
    const { f } = e;
    if (test !== 'never') {
      e.pushAddress(FIELD.a);
      emitSlotLoad(f, 'i32', 0);
      if (test === 'zero') f.op(EQZ);
      f.if();
    }
    f.get(e.ip);
    f.get(e.ip);
    f.memory(LOAD32, FIELD.distance);
    f.op(ADD);
    f.set(e.ip);
    f.br(e.labels.nextOp);
    if (test !== 'never') f.end();
  },
});

export const callBytes = (argCount: number): number => (argCount <= 2 ? 16 : (operandField(argCount - 1) + 2 + 7) & ~7);

function callArm(callee: CalleeArm): Arm {
  return {
    name: callee.traps ? opcodeName.trappingCall(callee.name) : opcodeName.call(callee.name),
    byteCount: callBytes(callee.params.length),
    emit: (e) => {
      const { f } = e;
      withResult(e, callee.result, () => {
        if (callee.kind === 'routine') f.get(e.cpu);
        callee.params.forEach((type, i) => {
          e.pushAddress(operandField(i));
          emitSlotLoad(f, type, 0);
        });
        f.call(callee.functionIndex);
        if (!callee.traps) return;
        f.ifRarely();
        storeHeader32(f, e.cpu, HEADER.trapAt, () => e.pushAt());
        if (callee.kind === 'helper') storeHeader32(f, e.cpu, HEADER.trapped, () => f.i32(1));
        f.br(e.labels.fault);
        f.end();
      });
    },
  };
}

export const calleeArmOfRoutine = (r: Routine, functionIndex: number): CalleeArm => ({
  name: r.name,
  params: r.params,
  result: r.result,
  functionIndex,
  kind: 'routine',
  traps: r.traps,
});

/** A helper's arms: with its result as a value, and with its result as trap flag. */
export function calleeArmsOfHelper(name: string, argCount: number, functionIndex: number): CalleeArm[] {
  const params = Array.from({ length: argCount }, () => 'i32' as const);
  const common = { name, params, functionIndex, kind: 'helper' } as const;
  return [
    { ...common, result: 'i32', traps: false },
    { ...common, result: undefined, traps: true },
  ];
}

/** All arms but the terminals'. Their order gives the opcodes. */
export function straightArms(callees: readonly CalleeArm[]): Arm[] {
  return [
    ...(Object.keys(OPS) as OpName[]).flatMap(armsOfOp),
    moveArm(4, 'i32'),
    moveArm(8, 'i64'),
    moveArm(16, 'v128'),
    innerBranchArm('if', 'zero'),
    innerBranchArm('else', 'never'),
    innerBranchArm('loop_while', 'nonzero'),
    ...callees.map(callArm),
  ];
}
