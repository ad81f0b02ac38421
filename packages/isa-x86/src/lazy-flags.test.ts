// Flags come out alike whether instructions stand in one block, where the lifter knows what set them, or each in a block of its own, where only the
// state tells. That they are right is for the vectors and the comparison with the host's CPU.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateBlock, type EvaluatorWorld } from '@anillo/ir/evaluate';
import { optimize } from '@anillo/ir/optimize';
import { verifyBlock } from '@anillo/ir/verify';
import { cpuModel } from './cpu-model.ts';
import { buildOpcodeTable } from './decode.ts';
import { readFlags, writeFlags } from './flags.ts';
import { ROWS } from './instruction-set.ts';
import { BlockLifter } from './lift-block.ts';
import { MODE } from './mode.ts';
import { ARITHMETIC_FLAGS, X86State } from './state.ts';

const MODE_64 = 2 | MODE.FLAT | MODE.PROTECTED | MODE.X87 | MODE.SSE | MODE.CPL3 | MODE.LONG;
const lifter = new BlockLifter(buildOpcodeTable(ROWS, cpuModel('max')));

/** Numbers from 0 to n - 1, the same in each run. */
function makeRandom(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 0x41c6_4e6d) + 0x3039) >>> 0;
    return (state >>> 8) % n;
  };
}

/** Register forms with eax, ebx; shifts and rotates by 1, by an immediate, by CL. */
const ALU = [0x01, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39, 0x85];
const shiftBy = (random: (n: number) => number, wide: number): number[] => {
  const modrm = 0xc0 | (random(8) << 3);
  return [[0xd0 | wide, modrm], [0xc0 | wide, modrm, random(33)], [0xd2 | wide, modrm]][random(3)];
};
/** One instruction without memory operands. */
function instruction(random: (n: number) => number): number[] {
  const wide = random(2);
  const prefix = wide === 0 ? [] : [[], [0x66], [0x48]][random(3)];
  switch (random(9)) {
    case 0:
      return [...prefix, ALU[random(ALU.length)] & (wide === 0 ? 0xfe : 0xff), 0xd8];
    case 1:
    case 2:
      return [...prefix, 0xfe | wide, 0xc0 | (random(2) << 3)];
    case 3:
    case 4:
      return [...prefix, ...shiftBy(random, wide)];
    case 5:
      return [[0xf5], [0xf8], [0xf9], [0x9e]][random(4)];
    case 6:
      return [0x0f, 0xba, 0xe0 | (random(4) << 3), random(32)];
    case 7:
      // ADCX, ADOX, IMUL
      return [[0x66, 0x0f, 0x38, 0xf6, 0xc3], [0xf3, 0x0f, 0x38, 0xf6, 0xc3], [...prefix, 0x0f, 0xaf, 0xc3]][random(3)];
    default:
      // setcc r8b..r15b
      return [0x41, 0x0f, 0x90 | random(16), 0xc0 | random(8)];
  }
}

/** Sets rax..rbx and the flags, runs the code in blocks of at most `maxInsns`, and gives all registers and EFLAGS. */
function run(code: readonly number[], registers: readonly bigint[], flags: number, maxInsns: number): string {
  const memory = new ArrayBuffer(X86State.bytes);
  const view = X86State.view(memory, 0);
  registers.forEach((value, i) => {
    view.gpr[i] = value;
  });
  writeFlags(view, flags);
  const world: EvaluatorWorld = {
    state: new DataView(memory),
    memory: new DataView(memory),
    load: () => undefined,
    store: () => false,
    probe: () => false,
    call: () => undefined,
  };
  const page = new Uint8Array(4096);
  page.set(code);
  for (let at = 0; at < code.length; at = Number(view.pc)) {
    const source = { bytes: page, start: at, mode: MODE_64, maxInsns, nextPage: () => undefined, endsBefore: (n: number) => at + n >= code.length };
    const block = lifter.lift(source);
    assert.ok(block);
    verifyBlock(block);
    const ready = maxInsns > 1 ? optimize(block) : block;
    verifyBlock(ready);
    assert.equal(evaluateBlock(ready, world), 0);
  }
  return `${[...view.gpr].map((v) => v.toString(16)).join(' ')} ${(readFlags(view) & ARITHMETIC_FLAGS).toString(16)}`;
}

test('flags do not depend on where blocks end', () => {
  const random = makeRandom(1);
  const edges = [0n, 1n, 0x7fn, 0x80n, 0xffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn];
  for (let n = 0; n < 300; n++) {
    const code = Array.from({ length: 2 + random(7) }, () => instruction(random)).flat();
    const registers = [edges[random(edges.length)], BigInt([0, 1, 7, 8, 33][random(5)]), 0n, edges[random(edges.length)]];
    const flags = (random(4096) & ARITHMETIC_FLAGS) | 2;
    const text = Buffer.from(code).toString('hex');
    const apart = run(code, registers, flags, 1);
    assert.equal(run(code, registers, flags, 50), apart, text);
    assert.equal(run(code, registers, flags, 2), apart, `${text} in pairs`);
  }
});
