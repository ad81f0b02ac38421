// `anillo image` beside qemu-img on the same images: the same words and statuses. What needs no peer runs without.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { imageCommand } from './image-command.ts';

const folder = mkdtempSync(join(tmpdir(), 'anillo-image-'));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);
const skip = spawnSync('qemu-img', ['--version']).status === 0 ? false : 'qemu-img is not installed';

interface Outcome {
  readonly status: number;
  readonly text: string;
  readonly errors: string;
}

async function anilloImage(...args: string[]): Promise<Outcome> {
  const { write: out } = process.stdout;
  const { write: err } = process.stderr;
  let [text, errors] = ['', ''];
  // What the test runner reports is no string.
  const caught =
    (write: typeof out, keep: (part: string) => void): typeof out =>
    (part: string | Uint8Array, ...rest: never[]) => {
      if (typeof part !== 'string') return write.call(process.stdout, part, ...rest);
      keep(part);
      return true;
    };
  process.stdout.write = caught(out, (part) => {
    text += part;
  });
  process.stderr.write = caught(err, (part) => {
    errors += part;
  });
  try {
    const status = await imageCommand(args);
    return { status, text, errors };
  } finally {
    process.stdout.write = out;
    process.stderr.write = err;
  }
}

async function done(...args: string[]): Promise<string> {
  const { status, text, errors } = await anilloImage(...args);
  assert.equal(status, 0, `image ${args.join(' ')}: ${errors}`);
  return text;
}

/** Both say the same. */
async function same(...args: string[]): Promise<void> {
  const theirs = spawnSync('qemu-img', args, { encoding: 'utf8' });
  const ours = await anilloImage(...args);
  const isJson = args.includes('--output=json') && args[0] !== 'map';
  const read = (text: string): unknown => (isJson ? JSON.parse(text) : text);
  assert.deepEqual([ours.status, read(ours.text)], [theirs.status, read(theirs.stdout)], `image ${args.join(' ')}: ${ours.errors}`);
}

/** A raw file with some data, zeros and holes. */
function makeRaw(name: string): Uint8Array {
  const bytes = new Uint8Array(3 << 20);
  for (let i = 0; i < 100_000; i++) bytes[500_000 + i] = i * 7;
  bytes.fill(5, 2 << 20, (2 << 20) + 70_000);
  writeFileSync(at(name), bytes);
  return bytes;
}

test('an image goes through every command', async () => {
  const bytes = makeRaw('a.raw');
  await done('convert', '-f', 'raw', '-O', 'qcow2', '-c', '-o', 'compression_type=zstd', at('a.raw'), at('a.qcow2'));
  assert.equal(await done('compare', at('a.raw'), at('a.qcow2'), '-f', 'raw'), 'Images are identical.\n');
  await done('snapshot', '-c', 'first', at('a.qcow2'));
  await done('create', '-f', 'qcow2', '-b', at('a.qcow2'), '-F', 'qcow2', at('b.qcow2'));
  await done('resize', at('b.qcow2'), '+1M');
  assert.match(await done('info', '--backing-chain', at('b.qcow2')), /virtual size: 4 MiB \(4194304 bytes\)[\s\S]*ID {8}TAG/);
  await done('convert', '-O', 'raw', at('b.qcow2'), at('b.raw'));
  assert.deepEqual(new Uint8Array(readFileSync(at('b.raw'))).subarray(0, bytes.length), bytes);
  await done('rebase', '-b', '', at('b.qcow2'));
  assert.equal((await anilloImage('compare', at('a.qcow2'), at('b.qcow2'))).text, 'Warning: Image size mismatch!\nImages are identical.\n');
  await done('rebase', '-u', '-b', at('a.qcow2'), '-F', 'qcow2', at('b.qcow2'));
  assert.equal(await done('commit', at('b.qcow2')), 'Image committed.\n');
  await done('snapshot', '-a', 'first', at('a.qcow2'));
  await done('snapshot', '-d', 'first', at('a.qcow2'));
  for (const name of ['a.qcow2', 'b.qcow2']) assert.match(await done('check', at(name)), /^No errors were found/);
  assert.equal((await anilloImage('compare', '-F', 'raw', at('a.qcow2'), at('a.raw'))).status, 0);
});

test('what is wrong is one sentence', async () => {
  makeRaw('e.raw');
  const cases: readonly [args: string[], status: number, sentence: RegExp][] = [
    [['info', at('none')], 1, /none does not exist; check the path/],
    [['inof', at('e.raw')], 1, /did you mean info\?/],
    [['create', '-f', 'qcow2', at('x')], 1, /size of .* is not given/],
    [['create', '-f', 'qcow2', '-b', at('e.raw'), at('x')], 1, /guessing it is not safe; give it with -F/],
    [['create', '-f', 'qcow2', '-o', 'cluster_size=3000', at('x'), '1M'], 1, /not a power of two/],
    [['create', '-f', 'qcow2', '-o', 'encryption=on', at('x'), '1M'], 1, /not supported/],
    [['resize', '-f', 'raw', at('e.raw'), '1M'], 1, /--shrink/],
    [['check', at('e.raw')], 63, /does not support checks/],
    [['compare', at('e.raw'), at('none')], 2, /does not exist/],
    [['convert', '-Z', at('e.raw'), at('x')], 1, /no option -Z/],
  ];
  for (const [args, status, sentence] of cases) {
    const outcome = await anilloImage(...args);
    assert.equal(outcome.status, status, args.join(' '));
    assert.match(outcome.errors, sentence);
    assert.equal(outcome.errors.trimEnd().split('\n').length, 1);
  }
});

test('qemu-img says the same', { skip }, async () => {
  makeRaw('q.raw');
  await same('create', '-f', 'qcow2', '-o', 'cluster_size=4k,lazy_refcounts=on,compression_type=zstd', at('n.qcow2'), '10M');
  await same('create', '-f', 'qcow2', '-o', 'preallocation=metadata,compat=0.10', at('p.qcow2'), '20M');
  await done('convert', '-f', 'raw', '-O', 'qcow2', at('q.raw'), at('q.qcow2'));
  await done('snapshot', '-c', 'kept', at('q.qcow2'));
  await same('create', '-f', 'qcow2', '-b', at('q.qcow2'), '-F', 'qcow2', at('t.qcow2'));
  for (const name of ['n.qcow2', 'p.qcow2', 'q.qcow2', 't.qcow2', 'q.raw'].map(at)) {
    await same('info', name);
    await same('info', '--output=json', name);
    await same('check', name);
    // QEMU looks for holes of the file below what an image keeps; here that is data.
    if (name.endsWith('n.qcow2')) for (const output of ['human', 'json']) await same('map', `--output=${output}`, name);
    if (!name.endsWith('p.qcow2')) await same('measure', '-O', 'qcow2', name);
  }
  await same('info', '--backing-chain', '--output=json', at('t.qcow2'));
  await same('check', '--output=json', at('q.qcow2'));
  await same('snapshot', '-l', at('q.qcow2'));
  await same('compare', at('q.qcow2'), at('t.qcow2'));
  await same('compare', at('q.qcow2'), at('n.qcow2'));
  await same('measure', '--size', '100G', '-O', 'qcow2', '-o', 'cluster_size=4k', '--output=json');
  await same('resize', at('t.qcow2'), '20M');
  assert.equal(spawnSync('qemu-img', ['check', at('t.qcow2')]).status, 0);
});

test('what was left behind is mended', { skip }, async () => {
  await done('create', '-f', 'qcow2', at('leak.qcow2'), '10M');
  const bytes = readFileSync(at('leak.qcow2'));
  // A count for a cluster that nothing refers to, and none for the L1 table.
  bytes.writeUInt16BE(1, 0x20000 + 2 * 9);
  bytes.writeUInt16BE(0, 0x20000 + 2 * 3);
  writeFileSync(at('leak.qcow2'), bytes);
  await same('check', at('leak.qcow2'));
  assert.equal((await anilloImage('check', at('leak.qcow2'))).status, 2);
  await done('check', '-r', 'all', at('leak.qcow2'));
  await same('check', at('leak.qcow2'));
});
