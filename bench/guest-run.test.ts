import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseStats, runGuest } from './guest-run.ts';

test('rows of --stats', () => {
  const stats = parseStats('noise\nguest instructions, interpreted        23,222,165\nexits, poll  7\nfirst guest instruction, ms   -\n');
  assert.deepEqual(
    [...stats],
    [
      ['guest instructions, interpreted', 23_222_165],
      ['exits, poll', 7],
    ],
  );
});

test('lines come in order, however they are cut, with the time between start and end', async () => {
  const script = "process.stdout.write('one\\r\\r\\ntw'); process.stderr.write('a  5\\n'); setTimeout(() => console.log('o\\nlast'), 20);";
  const run = await runGuest([process.execPath, '-e', script], 0);
  assert.deepEqual(
    run.lines.map((line) => line.text),
    ['one', 'two', 'last'],
  );
  assert.ok(run.startedAtMs < run.lines[0].atMs && run.lines[0].atMs <= run.lines[1].atMs && run.lines[2].atMs <= run.endedAtMs);
  assert.equal(run.failure, undefined);
  assert.equal(run.stats.get('a'), 5);
  assert.ok(!(run.lines[2].cpuSeconds < run.lines[0].cpuSeconds));
});

test('another status, or a program that is not there, says what it said; the lines that came stay', async () => {
  const failed = await runGuest([process.execPath, '-e', "console.log('why'); process.exit(3)"], 0);
  assert.match(failed.failure ?? '', /ended with 3 instead of status 0[\s\S]*why/);
  assert.equal(failed.lines[0].text, 'why');
  assert.match((await runGuest(['/nonexistent/program'], 0)).failure ?? '', /ENOENT/);
});

test('memory and processor time are those of the program that a launcher starts', { skip: process.platform !== 'linux' }, async () => {
  // The launcher alone goes on for a while: what it takes is less.
  const script = 'while (process.cpuUsage().user < 2e5); console.log(1); setTimeout(() => {}, 300);';
  const run = await runGuest(['sh', '-c', `"$0" -e '${script}'; sleep 0.5`, process.execPath], 0);
  assert.ok(run.peakMib > 20, String(run.peakMib));
  assert.ok(run.lines[0].cpuSeconds >= 0.1);
});
