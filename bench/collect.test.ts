import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANILLO } from './anillo.ts';
import { collect } from './collect.ts';
import type { Contender } from './contender.ts';
import { MEASURES } from './measures.ts';

/** A contender that says these lines and ends with this status. */
const contender = (name: string, lines: readonly string[], status = 0): Contender => ({
  ...{ name, version: '1' },
  command: () => [process.execPath, '-e', `console.log(${JSON.stringify(lines.join('\n'))}); process.exitCode = ${status}`],
});
const marks = (name: string, cold: string, warm: string): readonly string[] => [
  ...['begin', '0.010000', `check ${cold}`].map((rest) => `ANILLO-BENCH ${name}:cold ${rest}`),
  ...['begin', '0.020000', `check ${warm}`].map((rest) => `ANILLO-BENCH ${name}:warm ${rest}`),
];
const measures = MEASURES.filter(({ name }) => ['nbody', 'x87', 'loop'].includes(name));
const jobs = new Map(
  (['fp', 'busybox'] as const).map((name) => [name, { image: { kind: 'firmware', path: '' }, accel: 'auto', status: 0 } as const]),
);

async function collected(contenders: readonly Contender[], runs = 1) {
  const { samples, ...rest } = await collect({ measures, runs, jobs, contenders, clock: 'wall', say: () => {} });
  const figures = samples.map(({ measure, anillo, peers }) => [`${measure.name} ${measure.phase}`, [anillo, ...peers.values()]]);
  return { figures: Object.fromEntries(figures) as Readonly<Record<string, unknown>>, ...rest };
}

test('samples of each round; all who agree count', async () => {
  const lines = [...marks('nbody', 'aa', 'aa'), ...marks('x87', 'bb', 'bb'), ...marks('loop', '40000', '40000')];
  const { figures, failures, proofs, resources } = await collected([contender(ANILLO, lines), contender('peer', lines)], 2);
  assert.deepEqual(failures, []);
  assert.deepEqual(figures['nbody cold'], [
    [0.01, 0.01],
    [0.01, 0.01],
  ]);
  assert.deepEqual(figures['loop warm'], [
    [0.02, 0.02],
    [0.02, 0.02],
  ]);
  assert.deepEqual([proofs.get('nbody'), proofs.get('loop')], ['aa', '40000']);
  assert.equal(resources.length, 4);
});

test('a wrong answer, a missing mark and a crash have no figure and are told; the others go on', async () => {
  const right = [...marks('nbody', 'aa', 'aa'), ...marks('x87', 'bb', 'bb'), ...marks('loop', '40000', '40000')];
  const wrong = [...marks('nbody', 'aa', 'ab'), ...marks('x87', 'WRONG:', 'not-supported'), ...marks('loop', '40000', '39999').slice(0, 3)];
  const { figures, failures } = await collected([
    contender('peer', right),
    contender(ANILLO, wrong),
    contender('crashed', right.slice(0, 6), 3),
  ]);
  assert.deepEqual(figures['nbody cold'], [[0.01], [0.01], [0.01]]);
  assert.deepEqual(figures['nbody warm'], [[], [0.02], [0.02]]);
  assert.deepEqual(figures['x87 cold'], [[], [0.01], []]);
  assert.deepEqual(figures['x87 warm'], [[], [0.02], []]);
  assert.deepEqual(figures['loop warm'], [[], [0.02], []]);
  const told = failures.map((failure) => failure.split('\n')[0]).toSorted();
  assert.equal(told.length, 5);
  assert.match(told[0], /^Anillo, loop \(warm\): The guest ended without its mark/);
  assert.match(told[1], /^Anillo, nbody \(warm\): it says "ab" where peer said "aa"/);
  assert.match(told[2], /^Anillo, x87 \(cold\): the work was done wrongly: "WRONG:"/);
  assert.match(told[3], /^crashed, busybox: .* ended with 3/);
});
