import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuModel } from './cpu-model.ts';
import { buildOpcodeTable } from './decode.ts';
import { ROWS } from './instruction-set.ts';
import { BlockLifter } from './lift-block.ts';
import { MODE } from './mode.ts';
import { raise } from './helper-map.ts';
import { beginStep, settleGather, SINGLE_STEP_HELPERS } from './single-step.ts';
import { EFLAG, VECTOR } from './state.ts';
import { setWord, setWords, word, WORD } from './state-words.ts';
import { enterProtected, makeBench, type Bench } from './ram-bench.test.ts';

/** A breakpoint at the present pc. */
function armed(bench: Bench): Bench {
  enterProtected(bench);
  setWords(bench.cpu, WORD.dr, 0x5000, 0);
  setWords(bench.cpu, WORD.dr + 14, 0x402, 0);
  return bench;
}
const check = ({ cpu }: Bench): number => SINGLE_STEP_HELPERS.checkBreakpoint?.(cpu) ?? -1;

test('an instruction breakpoint right after MOV SS is lost, once, and not on AMD processors', () => {
  const bench = armed(makeBench());
  assert.equal(check(bench), 1);
  setWord(bench.cpu, WORD.stackShadow, 1);
  assert.equal(check(bench), 0);
  assert.equal(check(bench), 1);
  const amd = armed(makeBench({ model: { ...cpuModel('max'), vendor: 'AuthenticAMD' } }));
  setWord(amd.cpu, WORD.stackShadow, 1);
  assert.equal(check(amd), 1);
});

test('stepping keeps the shadow of MOV SS for the next instruction and no longer', () => {
  const bench = armed(makeBench());
  setWord(bench.cpu, WORD.flags, word(bench.cpu, WORD.flags) | 0x100);
  setWord(bench.cpu, WORD.stackShadow, 1);
  assert.equal(beginStep(bench.cpu), true);
  assert.equal(check(bench), 0);
  assert.equal(beginStep(bench.cpu), true);
  assert.equal(check(bench), 1);
});

test('HLT under EFLAGS.TF does not halt: its trap comes at once', () => {
  const lifter = new BlockLifter(buildOpcodeTable(ROWS, cpuModel('max')));
  const kind = (mode: number): string | undefined =>
    lifter.lift({ bytes: Uint8Array.of(0xf4, 0x90), start: 0, mode: mode | 2 | MODE.FLAT | MODE.PROTECTED | MODE.LONG, maxInsns: 8, nextPage: () => undefined })?.terminal.kind;
  assert.equal(kind(0), 'exit');
  assert.equal(kind(MODE.STEP), 'jump');
});

test("a gather's fault gives way to a trap that is due once an element has been loaded", () => {
  const { cpu } = armed(makeBench());
  const settled = (gathered: number, pendingDr6: number): number[] => {
    setWord(cpu, WORD.flags, word(cpu, WORD.flags) & ~EFLAG.RF);
    setWord(cpu, WORD.gathered, gathered);
    setWord(cpu, WORD.pendingDr6, pendingDr6);
    raise(cpu, VECTOR.PF, 4);
    settleGather(cpu);
    return [word(cpu, WORD.faultVector), word(cpu, WORD.faultDr6), word(cpu, WORD.flags) & EFLAG.RF];
  };
  assert.deepEqual(settled(0, 2), [VECTOR.PF, 0, 0]);
  assert.deepEqual(settled(1, 0), [VECTOR.PF, 0, 0]);
  assert.deepEqual(settled(1, 2), [VECTOR.DB, 2, EFLAG.RF]);
});
