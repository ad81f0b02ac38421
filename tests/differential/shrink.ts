// Makes a failing case smaller while it keeps failing: fewer instructions, then zeros for registers, memory and control words.

import { DATA_BYTES } from './memory-map.ts';
import { emptyImage, FLAG, IMAGE, setU32, u32, type Instruction, type TestCase, undefinedBits } from './test-case.ts';

const NO_EFFECT = { read: 0, written: 0, undefined: 0 };
const NOP = 0x90;
const ALIGNED_FIELDS = [
  ...Array.from({ length: 16 }, (_, i) => [IMAGE.gpr + 8 * i, 8]),
  ...Array.from({ length: 16 }, (_, i) => [IMAGE.ymmHigh + 16 * i, 16]),
  ...Array.from({ length: 16 }, (_, i) => [IMAGE.xmm + 16 * i, 16]),
  ...Array.from({ length: 8 }, (_, i) => [IMAGE.st + 16 * i, 10]),
  [IMAGE.rflags, 4],
  [IMAGE.mxcsr, 4],
  [IMAGE.fcw, 2],
  [IMAGE.fsw, 2],
  [IMAGE.ftw, 1],
] as const;

/** A case in which an instruction reads a flag that is undefined there proves nothing. */
export function readsUndefined(instructions: readonly Instruction[]): boolean {
  return instructions.some(
    (instruction, i) =>
      (instruction.flags.read & undefinedBits(instructions, i, 'flags')) !== 0 ||
      (instruction.fsw.read & undefinedBits(instructions, i, 'fsw')) !== 0,
  );
}

function withInstructions(c: TestCase, instructions: readonly Instruction[], codeAddress: number): TestCase {
  const code = Uint8Array.from(instructions.flatMap((instruction) => [...instruction.bytes]));
  return { ...c, instructions, code, codeAddress };
}

const isNop = (instruction: Instruction): boolean => instruction.bytes.every((byte) => byte === NOP);

/** Drops the last, the first (what follows stays at its address), or turns one in the middle into NOPs. */
function* fewerInstructions(c: TestCase): Generator<TestCase> {
  const list = c.instructions;
  if (list.length > 1) {
    yield withInstructions(c, list.slice(0, -1), c.codeAddress);
    yield withInstructions(c, list.slice(1), c.codeAddress + list[0].bytes.length);
  }
  for (let i = 1; i < list.length - 1; i++) {
    if (isNop(list[i])) continue;
    const nops: Instruction = { name: 'nop', bytes: new Uint8Array(list[i].bytes.length).fill(NOP), flags: NO_EFFECT, fsw: NO_EFFECT };
    yield withInstructions(c, [...list.slice(0, i), nops, ...list.slice(i + 1)], c.codeAddress);
  }
}

function* simplerState(c: TestCase): Generator<TestCase> {
  const plain = emptyImage();
  for (const [at, count] of ALIGNED_FIELDS) {
    const wanted = plain.subarray(at, at + count);
    if (Buffer.compare(c.state.subarray(at, at + count), wanted) === 0) continue;
    const state = c.state.slice();
    state.set(wanted, at);
    // Single-stepping is what the case is about, or ends it.
    if (at === IMAGE.rflags) setU32(state, at, u32(state, at) | (u32(c.state, at) & FLAG.tf));
    yield { ...c, state };
  }
}

/** Halves of the data area, then smaller pieces, as far as they are not zero yet. */
function* simplerData(c: TestCase): Generator<TestCase> {
  for (let piece = DATA_BYTES; piece >= 16; piece >>= 1) {
    for (let at = 0; at < DATA_BYTES; at += piece) {
      if (c.data.subarray(at, at + piece).every((byte) => byte === 0)) continue;
      const data = c.data.slice();
      data.fill(0, at, at + piece);
      yield { ...c, data };
    }
  }
}

function repeat(
  c: TestCase,
  candidates: (c: TestCase) => Iterable<TestCase>,
  fails: (c: TestCase) => boolean,
  budget: { left: number },
): TestCase {
  let best = c;
  for (let progress = true; progress; ) {
    progress = false;
    for (const candidate of candidates(best)) {
      if (budget.left-- <= 0) return best;
      if (readsUndefined(candidate.instructions) || !fails(candidate)) continue;
      best = candidate;
      progress = true;
      break;
    }
  }
  return best;
}

/** `fails` runs a candidate in both executors. It is asked at most `attempts` times. */
export function shrink(c: TestCase, fails: (c: TestCase) => boolean, attempts = 4000): TestCase {
  const budget = { left: attempts };
  const fewer = repeat(c, fewerInstructions, fails, budget);
  return repeat(repeat(fewer, simplerState, fails, budget), simplerData, fails, budget);
}
