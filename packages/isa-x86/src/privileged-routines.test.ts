// The routines that do the frequent cases of privileged instructions, against the helpers that do all: equal state and memory after random frames, descriptors,
// flags and control registers; and nothing changed where the routine gives the work to the helper.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateRoutine, type EvaluatorWorld } from '@anillo/ir/evaluate';
import type { Routine } from '@anillo/ir/callee';
import { ACCESS } from '@anillo/ir/frontend';
import { getEflags, setEflags } from './eflags.ts';
import { DELIVER } from './event-delivery.ts';
import { type HelperFunction, raise } from './helper-map.ts';
import { IRET32, IRET64 } from './interrupt-return-routines.ts';
import { INTERRUPT_RETURN_HELPERS } from './interrupt-return.ts';
import { readLinear } from './linear-memory.ts';
import { CR0, CR4, MODE, syncMode } from './mode.ts';
import { walk } from './mmu.ts';
import { enterLong, enterProtected, GDT, makeBench, PML4, putDescriptor, putGate, putLongGate, putLongTables, RAM_BYTES, RAM_OFFSET, TSS, type Bench } from './ram-bench.test.ts';
import { SEGMENT_LOADS_32, SEGMENT_LOADS_64 } from './segment-load-routines.ts';
import { loadSegment, setNull, setSegment } from './segments.ts';
import { DS, EFLAG, ES, FS, GS, RCX, RDX, RSP, SS, TRAP, X86State } from './state.ts';
import { setSignedField, setWord, setWords, signedField, word, WORD } from './state-words.ts';
import { modeAtLevel0, modeAtLevel3, SYSCALL64, SYSENTER32, SYSEXIT32, SYSRET64 } from './system-call-routines.ts';
import { SYSTEM_CALL_HELPERS } from './system-call.ts';
import { deliver } from './trap.ts';

type Random = (below: number) => number;
function randomFrom(seed: number): Random {
  let x = seed * 2_654_435_761 + 1;
  return (below) => {
    x = Math.imul(x ^ (x >>> 15), 0x2c1b_3c6d) + 0x9e37_79b9;
    x = Math.imul(x ^ (x >>> 13), 0x297a_2d39);
    return ((x ^ (x >>> 16)) >>> 0) % below;
  };
}
const oneOf = <T>(random: Random, values: readonly T[]): T => values[random(values.length)] as T;
const often = (random: Random): boolean => random(16) !== 0;

const STACK = 0x7000;
const IMAGE_BYTES = 0x3_5000;
/** Selectors of GDT entries 1..15, with every privilege level. */
const selectorOf = (random: Random): number => (often(random) ? oneOf(random, [0x08, 0x10, 0x1b, 0x23, 0x33, 0x2b]) : random(0x90));
const flagsOf = (random: Random): number => {
  const usual = EFLAG.CF | EFLAG.ZF | EFLAG.OF | EFLAG.SF | EFLAG.DF | EFLAG.ID | EFLAG.IOPL | EFLAG.IF;
  return (random(0x40_0000) & (often(random) ? usual : 0x3f_7fd5)) | 2;
};

const BENCHES = [makeBench(), makeBench()] as const;
const PRISTINE = BENCHES[0].cpu.bytes.slice(0, IMAGE_BYTES);

/** One of the benches with everything random that these instructions look at, the same for the same seed. */
function randomBench(which: 0 | 1, seed: number, long: boolean, cpl: 0 | 3): Bench {
  const random = randomFrom(seed);
  const bench = BENCHES[which];
  bench.cpu.bytes.set(PRISTINE);
  bench.cpu.walkCache.clear();
  setWord(bench.cpu, WORD.ramBytes, RAM_BYTES);
  setWord(bench.cpu, WORD.ramOffset, RAM_OFFSET);
  if (long) enterLong(bench, cpl);
  else enterProtected(bench, cpl);
  const { cpu, ram } = bench;
  if (long) putLongTables(bench, 0x67);
  const sizes = long ? [0xa, 0xa, 0xa, 0xc, 0xe] : [0xc, 0xc, 0xc, 0x4, 0xa];
  const put = (selector: number, access: number, flags: number, base = 0): void => putDescriptor(bench, selector, base, 0xf_ffff, access, flags);
  put(0x08, 0x9b, sizes[0] as number);
  put(0x10, 0x93, 0xc);
  put(0x18, 0xfb, sizes[0] as number);
  put(0x20, 0xf3, 0xc);
  put(0x28, random(256), oneOf(random, sizes), oneOf(random, [0, 0, 0x1000, 0x1234_5678]));
  put(0x30, oneOf(random, [0xfb, 0xf9, 0xfa, 0xff, 0x9b, 0x7b]), oneOf(random, sizes));
  if (!often(random)) setWord(cpu, WORD.gdtLimit, random(0x40));
  if (random(20) === 0) setSignedField(cpu, WORD.gdtBase, GDT + 4);
  if (long) setWords(cpu, WORD.cr4, CR4.PAE | (random(2) * CR4.SMAP), 0);
  if (long && random(2) === 0) setWords(cpu, WORD.cr0, word(cpu, WORD.cr0) | CR0.AM, 0);
  const stack = often(random) ? STACK - 8 * random(32) : STACK - 4 * random(20);
  setSignedField(cpu, WORD.gpr + 2 * RSP, stack);
  if (long && random(30) === 0) setWords(cpu, WORD.gpr + 2 * RSP, stack, 0x1_0000);
  if (!often(random)) setWord(cpu, WORD.nmiBlocked, random(2));
  if (!often(random)) setWord(cpu, WORD.dr + 14, 0x400 | random(4));
  for (const segment of [ES, DS, FS, GS]) {
    const kind = random(4);
    if (kind === 0) setNull(cpu, segment, random(4));
    else if (long || segment >= FS) setSegment(cpu, segment, 0x20 | random(4), 0, 0xffff_ffff, often(random) ? 0xc0f3 : oneOf(random, [0xc093, 0xc09f]));
    else setSegment(cpu, segment, 0x23, 0, 0xffff_ffff, often(random) ? 0xc0f3 : 0xc093);
  }
  if (!often(random) && cpl === 0) setSegment(cpu, SS, 0x11, 0, 0xffff_ffff, 0xc0b3);
  const code = often(random) ? oneOf(random, [0x08, 0x1b, 0x1b]) : selectorOf(random);
  const data = often(random) ? ((code & 3) === 3 ? 0x23 : oneOf(random, [0x10, 0])) : selectorOf(random);
  const size = long ? 8 : 4;
  [0x4000 + random(0x1000), code, flagsOf(random), 0x6000 + random(0x800), data].forEach((value, i) => {
    ram.setUint32(stack + size * i, value, true);
    if (long) ram.setUint32(stack + size * i + 4, i === 0 && random(20) === 0 ? random(0x1_0000) : 0, true);
  });
  setEflags(cpu, flagsOf(random) & ~(EFLAG.VM | (often(random) ? EFLAG.TF : 0)) & (often(random) ? ~EFLAG.NT : -1));
  setWords(cpu, WORD.star, random(0x1_0000), (oneOf(random, [0x10, 0x13, random(0x1_0000)]) << 16) | oneOf(random, [0x08, random(0x1_0000)]));
  setWords(cpu, WORD.lstar, 0x8000_1000, 0xffff_ffff);
  setWords(cpu, WORD.sfmask, oneOf(random, [0x4_7700, random(0x40_0000)]), 0);
  setWords(cpu, WORD.sysenterCs, oneOf(random, [0, 0x08, 0x0b, random(0x1_0000)]), 0);
  setWords(cpu, WORD.sysenterEsp, 0x6100, 0);
  setWords(cpu, WORD.sysenterEip, 0x4321, 0);
  setWords(cpu, WORD.gpr + 2 * RCX, random(0x1000_0000), often(random) ? 0 : random(0x1_0000));
  setWords(cpu, WORD.gpr + 2 * RDX, random(0x1000_0000), random(2));
  setWords(cpu, WORD.gpr + 2 * 11, flagsOf(random), random(2));
  if (long && random(10) === 0) ram.setUint32(PML4 + 0x3000 + 8, 0, true);
  syncMode(cpu);
  return bench;
}

/** The same with something recorded that has trapped, gates for it and a TSS. */
function trappedBench(which: 0 | 1, seed: number, long: boolean, cpl: 0 | 3): Bench {
  const bench = randomBench(which, seed, long, cpl);
  const { cpu, ram } = bench;
  const random = randomFrom(seed + 1000);
  const vector = often(random) ? oneOf(random, [0, 3, 4, 6, 7, 13, 14, 17, 0x80]) : random(40);
  const code = often(random) ? 0x08 : selectorOf(random);
  const access = often(random) ? oneOf(random, [0x8e, 0x8f, 0xee, 0xef]) : random(256);
  if (long) putLongGate(bench, vector, code, (BigInt(random(20) === 0 ? random(0x1_0000_0000) : 0) << 32n) | BigInt(random(0x1_0000_0000)), access, often(random) ? 0 : random(8));
  else putGate(bench, vector, code, random(0x1_0000_0000), access);
  ram.setUint32(TSS + 4, often(random) ? 0x8000 - 4 * random(8) : random(0x10_0000), true);
  ram.setUint32(TSS + 8, long ? (random(20) === 0 ? random(0x1_0000) : 0) : often(random) ? 0x10 : selectorOf(random), true);
  if (!often(random)) setWord(cpu, WORD.idtLimit, random(0x400));
  setSignedField(cpu, WORD.pc, 0x5000 + random(0x1000));
  const kind = random(3);
  if (kind === 0) {
    const code = oneOf(random, [TRAP.DE, TRAP.UD, TRAP.NM, TRAP.GP0, TRAP.SS0, TRAP.AC0]);
    if (long) putLongGate(bench, code & 0xff, 0x08, 0x1234_5678n, access);
    else putGate(bench, code & 0xff, 0x08, 0x1234_5678, access);
    setWord(cpu, WORD.trapCode, code);
  } else raise(cpu, vector, kind === 1 ? random(0x100) : -1);
  setWord(cpu, WORD.trapped, 1);
  if (kind === 2) {
    setWord(cpu, WORD.faultSoftware, often(random) ? 1 : 2);
    setWord(cpu, WORD.faultInsnBytes, 2);
  }
  setWord(cpu, WORD.trapAt, random(64));
  for (const field of ['gathered', 'pendingDr6', 'faultInNewTask'] as const) setWord(cpu, WORD[field], random(40) === 0 ? 1 : 0);
  return bench;
}

/** What the evaluator reaches: memory through the page walk, with the rights of the TLB in force. `hits`: of 16 look-ups in the TLB. */
function worldOf({ cpu }: Bench, random: Random, hits: number): EvaluatorWorld {
  const into = { gpa: 0, grants: 0, pageBytes: 4096, isGlobal: false };
  return {
    state: new DataView(cpu.bytes.buffer, 0, X86State.bytes),
    memory: new DataView(cpu.bytes.buffer),
    load: (va, byteCount) => {
      const value = readLinear(cpu, Number(BigInt.asIntN(64, va)), byteCount as 1, word(cpu, WORD.tlb));
      return value < 0 ? undefined : BigInt(value);
    },
    store: () => assert.fail('these routines store nothing at linear addresses'),
    probe: () => assert.fail(),
    call: (name, [va]) => {
      const linear = Number(BigInt.asIntN(64, va as bigint));
      const found = random(16) < hits && Math.abs(linear) < 2 ** 47 && walk(cpu, linear, name === 'tlb.write' ? ACCESS.WRITE : ACCESS.READ, word(cpu, WORD.tlb), into) < 0;
      return found && into.gpa < RAM_BYTES ? BigInt(cpu.ports.ramAt(into.gpa, 1, false)) : 0xffff_ffffn;
    },
  };
}

/** State but for what the walks and the recording of faults use, and the RAM that holds anything. */
function imageOf({ cpu }: Bench): Buffer {
  const copy = Buffer.from(cpu.bytes.subarray(0, IMAGE_BYTES));
  const { accessAddress, accessData, x, trapped, trapCode, trapAt, stepFlags } = X86State.offset;
  for (const [at, byteCount] of [[accessAddress, 8], [accessData, 16], [x, 64], [trapped, 4], [trapCode, 4], [trapAt, 4], [stepFlags, 4]] as const) copy.fill(0, at, at + byteCount);
  return copy;
}

interface Case {
  readonly routine: Routine;
  readonly args: (bench: Bench) => (bigint | number)[];
  readonly helper: (bench: Bench) => number;
  readonly long: boolean;
  readonly cpl: 0 | 3;
  readonly bench?: typeof randomBench;
}

const helper = (name: string): HelperFunction => ({ ...SYSTEM_CALL_HELPERS, ...INTERRUPT_RETURN_HELPERS })[name] as HelperFunction;
const modeOf = ({ cpu }: Bench): number => word(cpu, WORD.mode);

const CASES: Case[] = [
  { routine: SYSCALL64, long: true, cpl: 3, args: (x) => [BigInt(signedField(x.cpu, WORD.pc) + 2), getEflags(x.cpu), modeAtLevel0(modeOf(x))], helper: (x) => helper('syscall')(x.cpu, 2) },
  { routine: SYSRET64, long: true, cpl: 0, args: (x) => [modeAtLevel3(modeOf(x))], helper: (x) => helper('sysret')(x.cpu, 64) },
  { routine: SYSENTER32, long: false, cpl: 3, args: (x) => [getEflags(x.cpu), modeAtLevel0(modeOf(x))], helper: (x) => helper('sysenter')(x.cpu) },
  { routine: SYSEXIT32, long: false, cpl: 0, args: (x) => [modeAtLevel3(modeOf(x))], helper: (x) => helper('sysexit')(x.cpu, 32) },
  { routine: IRET64, long: true, cpl: 0, args: (x) => [modeAtLevel0(modeOf(x))], helper: (x) => helper('iret')(x.cpu, 64, 2) },
  { routine: IRET32, long: false, cpl: 0, args: (x) => [modeAtLevel0(modeOf(x))], helper: (x) => helper('iret')(x.cpu, 32, 2) },
];

for (const long of [true, false]) {
  for (const cpl of [0, 3] as const) CASES.push({ routine: DELIVER, long, cpl, bench: trappedBench, args: () => [], helper: (x) => (deliver(x.cpu) ? 0 : 1) });
}

const SEEDS = 160;
for (const [long, loads] of [[true, SEGMENT_LOADS_64], [false, SEGMENT_LOADS_32]] as const) {
  for (const [segment, r] of loads) {
    const selectorIn = (x: Bench): number => (word(x.cpu, WORD.gpr + 2 * RCX) % 11 === 0 ? 0 : oneOf(randomFrom(word(x.cpu, WORD.gpr + 2 * RCX)), [0x10, 0x20, 0x23, 0x12, 0x33, 0x2b, 0x08, 3]));
    CASES.push({ routine: r, long, cpl: 0, args: (x) => [selectorIn(x)], helper: (x) => loadSegment(x.cpu, segment, selectorIn(x)) });
  }
}

const FLAT32 = MODE.FLAT | MODE.STACK32 | 1;
/** Does lifted code call the routine in this mode? */
const isUsed = ({ long }: Case, mode: number): boolean => (mode & MODE.STEP) === 0 && (long || (mode & FLAT32) === FLAT32);

for (const c of CASES) {
  test(`${c.routine.name} agrees with its helper${c.bench ? ` (level ${c.cpl}, ${c.long ? 64 : 32} bits)` : ''}`, () => {
    let done = 0;
    let left = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const [bench, reference] = ([0, 1] as const).map((which) => (c.bench ?? randomBench)(which, seed, c.long, c.cpl)) as [Bench, Bench];
      if (!isUsed(c, modeOf(bench))) continue;
      const before = imageOf(bench);
      const args = c.args(bench).map((value) => BigInt.asUintN(64, BigInt(value)));
      const outcome = evaluateRoutine(c.routine, args, worldOf(bench, randomFrom(seed), 15));
      if (outcome === 'trap') {
        assert.equal(c.helper(reference), 1, `seed ${seed}`);
        assert.ok(imageOf(bench).equals(imageOf(reference)), `seed ${seed}: fault`);
      } else if (outcome === 0n) {
        assert.ok(imageOf(bench).equals(before), `seed ${seed}: changed something without doing it`);
        left++;
      } else {
        assert.equal(c.helper(reference), 0, `seed ${seed}: the helper faults`);
        const [x, y] = [imageOf(bench), imageOf(reference)];
        assert.ok(x.equals(y), `seed ${seed}: differs at ${x.findIndex((byte, i) => byte !== y[i])}`);
        done++;
      }
    }
    assert.ok(done > 25 && (c.routine.result === undefined || left > 5), `${done} done, ${left} left to the helper`);
  });
}
