// What apps/cli/bin/launch runs: the snapshot only while nothing that it was made from has changed. The launcher is the real one, in a small tree of its
// own where "Node" is a shell script that tells what it was given.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const FILE_TICK_MS = 20;
const BIN = join(import.meta.dirname, '../apps/cli/bin');

/** Stands in for Node and for the builder that it would run. */
const NODE = `#!/bin/sh
case $1 in
  */build-start.ts)
    build=\${1%/tools/*}/build
    start=$build/start
    [ ! -e "$build/broken" ] || exit 1
    echo made >>"$build/log"
    mkdir -p "$start"
    echo script >"$start/anillo.cjs"
    echo script >"$start/processor-thread.cjs"
    cat "$build/blob" >"$start/snapshot.blob"
    sleep 0.02
    : >"$start/stamp.new"
    mv "$start/stamp.new" "$start/stamp" ;;
  *) echo "$@" ;;
esac
`;

describe('the launcher', () => {
  let root = '';
  const at = (path: string): string => join(root, path);
  const put = (path: string, text: string): void => {
    mkdirSync(join(at(path), '..'), { recursive: true });
    writeFileSync(at(path), text);
  };
  const launch = (name = 'anillo', env: Readonly<Record<string, string>> = {}): string =>
    spawnSync(at(`apps/cli/bin/${name}`), ['run', 'a b'], { encoding: 'utf8', env: { ...process.env, ...env } })
      .stdout.trim()
      .replaceAll(`${root}/`, '');
  const made = (): number => readFileSync(at('build/log'), 'utf8').split('\n').length - 1;

  const SNAPSHOT = '--snapshot-blob build/start/snapshot.blob build/start/anillo.cjs anillo run a b';

  beforeEach(async (t) => {
    root = mkdtempSync(join(tmpdir(), 'anillo-launch-'));
    (t as TestContext).after(() => rmSync(root, { recursive: true }));
    put('package-lock.json', '{}');
    put('packages/a/src/a.ts', 'one');
    put('packages/a/src/a.test.ts', 'test');
    put('tools/build-start.ts', '');
    put('tools/setup.mjs', '');
    put('build/blob', 'blob');
    put('build/log', '');
    cpSync(BIN, at('apps/cli/bin'), { recursive: true });
    put('node_modules/node-test/bin/node', NODE);
    chmodSync(at('node_modules/node-test/bin/node'), 0o755);
    await sleep(FILE_TICK_MS);
    put('node_modules/.package-lock.json', '{}');
  });

  test('makes the snapshot once, also by way of a link, and for both commands', () => {
    symlinkSync('apps/cli/bin/anillo', at('link'));
    assert.equal(launch(), SNAPSHOT);
    assert.equal(launch(), SNAPSHOT);
    assert.equal(spawnSync(at('link'), ['run', 'a b'], { encoding: 'utf8' }).stdout.trim().replaceAll(`${root}/`, ''), SNAPSHOT);
    assert.equal(launch('anillo-qemu'), SNAPSHOT.replace('anillo run', 'anillo-qemu run'));
    assert.equal(made(), 1);
  });

  test('never runs a stale one', async () => {
    const { mtime } = statSync(at('packages/a/src/a.ts'));
    const changes: Readonly<Record<string, () => void>> = {
      'a source': () => put('packages/a/src/a.ts', 'two'),
      'a source whose time is set back': () => {
        put('packages/a/src/a.ts', 'six');
        utimesSync(at('packages/a/src/a.ts'), mtime, mtime);
      },
      'a new source': () => put('packages/a/src/b.ts', ''),
      'a source that is gone': () => rmSync(at('packages/a/src/b.ts')),
      'an older source in its place': () => {
        put('old.ts', 'old');
        utimesSync(at('old.ts'), mtime, mtime);
        renameSync(at('old.ts'), at('packages/a/src/a.ts'));
      },
      'the command': () => put('apps/cli/src/main.ts', ''),
      'the builder': () => appendFileSync(at('tools/build-start.ts'), '//'),
      'another Node': () => {
        put('node', NODE);
        chmodSync(at('node'), 0o755);
        renameSync(at('node'), at('node_modules/node-test/bin/node'));
      },
      'a damaged snapshot': () => truncateSync(at('build/start/snapshot.blob'), 2),
      'no snapshot': () => rmSync(at('build/start/snapshot.blob')),
      'a damaged script': () => appendFileSync(at('build/start/anillo.cjs'), '}'),
      'a clock that was set back': () => utimesSync(at('build/start/stamp'), Date.now() / 1000 + 60, Date.now() / 1000 + 60),
      'no stamp': () => rmSync(at('build/start/stamp')),
    };
    assert.equal(launch(), SNAPSHOT);
    for (const [index, [name, change]] of Object.entries(changes).entries()) {
      await sleep(FILE_TICK_MS);
      change();
      await sleep(FILE_TICK_MS);
      assert.equal(launch(), SNAPSHOT, name);
      assert.equal(made(), index + 2, name);
      assert.equal(launch(), SNAPSHOT, name);
      assert.equal(made(), index + 2, `${name}, once`);
    }
  });

  test('a test is no part of it', async () => {
    launch();
    await sleep(FILE_TICK_MS);
    put('packages/a/src/a.test.ts', 'another test');
    assert.equal(launch(), SNAPSHOT);
    assert.equal(made(), 1);
  });

  test('without a snapshot the script, without a script the sources', async () => {
    put('build/blob', '');
    assert.equal(launch(), 'build/start/anillo.cjs anillo run a b');
    put('build/broken', '');
    await sleep(FILE_TICK_MS);
    put('packages/a/src/a.ts', 'two');
    assert.equal(launch(), 'apps/cli/src/main.ts run a b');
    assert.equal(launch('anillo-qemu'), 'apps/cli/src/qemu/main.ts run a b');
    assert.equal(made(), 1);
  });

  test('dependencies that are missing or older than the lock file are set up first', async () => {
    put('bin/node', '#!/bin/sh\necho set-up "$@"\n');
    chmodSync(at('bin/node'), 0o755);
    const env = { PATH: `${at('bin')}:${process.env.PATH}` };
    const setUp = 'set-up tools/setup.mjs apps/cli/bin/anillo run a b';
    assert.equal(launch('anillo', env), SNAPSHOT);
    await sleep(FILE_TICK_MS);
    put('package-lock.json', '{ }');
    assert.equal(launch('anillo', env), setUp);
    assert.equal(launch('anillo', { ...env, ANILLO_SET_UP: 'done' }), SNAPSHOT);
    rmSync(at('node_modules'), { recursive: true });
    assert.equal(launch('anillo', env), setUp);
  });
});
