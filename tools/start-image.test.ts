import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeStartImage, SCRIPT, SCRIPT_FILES } from './start-image.ts';

const PROGRAM = `const told = [];
const main = () => console.log('anillo', told.join());
const { startupSnapshot } = require('node:v8');
if (startupSnapshot.isBuildingSnapshot()) {
  told.push('prepared');
  startupSnapshot.setDeserializeMainFunction(main);
} else main();`;

function scene(t: TestContext): {
  readonly folder: string;
  readonly source: string;
  writer(text: string): (work: string) => Promise<readonly string[]>;
} {
  const place = mkdtempSync(join(tmpdir(), 'anillo-start-'));
  t.after(() => rmSync(place, { recursive: true }));
  const source = join(place, 'source.ts');
  writeFileSync(source, 'one');
  return {
    folder: join(place, 'start'),
    source,
    writer: (text) => async (work) => {
      for (const name of SCRIPT_FILES) writeFileSync(join(work, name), name === SCRIPT ? text : '{}');
      return [source];
    },
  };
}

test('a snapshot goes on where it was made; nothing else is left', async (t) => {
  const { folder, writer } = scene(t);
  await sleep(20);
  assert.equal(await makeStartImage(folder, writer(PROGRAM)), true);
  const { stdout } = spawnSync(process.execPath, ['--snapshot-blob', join(folder, 'snapshot.blob'), 'x'], { encoding: 'utf8' });
  assert.equal(stdout, 'anillo prepared\n');
  assert.deepEqual(readdirSync(folder).sort(), [...SCRIPT_FILES, 'snapshot.blob', 'stamp'].sort());
  assert.deepEqual(readdirSync(join(folder, '..')).sort(), ['source.ts', 'start']);
});

test('what a build that was cut off left is removed when it is old', async (t) => {
  const { folder, writer } = scene(t);
  mkdirSync(`${folder}-old`);
  mkdirSync(`${folder}-new`);
  utimesSync(`${folder}-old`, 0, 0);
  await makeStartImage(folder, writer("throw new Error('no');"));
  assert.deepEqual(readdirSync(join(folder, '..')).sort(), ['source.ts', 'start', 'start-new']);
});

test('where none can be made its file is empty', async (t) => {
  const { folder, writer } = scene(t);
  await sleep(20);
  assert.equal(await makeStartImage(folder, writer("throw new Error('no');")), true);
  assert.equal(readFileSync(join(folder, 'snapshot.blob')).length, 0);
});

test('no stamp when a source changes meanwhile', async (t) => {
  const { folder, source, writer } = scene(t);
  const made = await makeStartImage(folder, async (work) => {
    const sources = await writer(PROGRAM)(work);
    await sleep(20);
    writeFileSync(source, 'two');
    return sources;
  });
  assert.equal(made, false);
  assert.ok(!existsSync(join(folder, 'stamp')));
});
