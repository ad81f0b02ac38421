// A hostile client of a shared folder: every way out that we know, each refused, and a canary outside that nobody touches. With openat2 and as without it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ERRNO } from '@anillo/devices/virtio/9p/file-tree';
import { NinePClient } from '@anillo/devices/testing/nine-p-client';
import { HostFolder } from './host-folder.ts';
import { fuzzNineP } from './testing/fuzz-9p.ts';

const skip = process.platform === 'linux' ? false : 'needs Linux';
const outside = skip === false ? mkdtempSync(join(tmpdir(), 'anillo-9p-')) : '';
after(() => skip === false && rmSync(outside, { recursive: true }));
const canary = join(outside, 'canary');
let count = 0;

/** A share with a canary beside it. */
function share(usesOpenat2: boolean, isReadOnly = false) {
  const path = join(outside, `share-${count++}`);
  writeFileSync(canary, 'untouched', { mode: 0o600 });
  mkdirSync(join(path, 'folder', 'deep'), { recursive: true });
  writeFileSync(join(path, 'file'), 'hello');
  const folder = new HostFolder({ path, usesOpenat2, isReadOnly });
  return { path, folder, client: new NinePClient(folder) };
}

const { EINVAL, ELOOP, ENOENT, ENOTDIR, EACCES, EROFS, EBADF, EOPNOTSUPP, EPERM } = ERRNO;

test('rubbish is answered, and nothing outside changes', { skip }, async () => {
  const place = mkdtempSync(join(tmpdir(), 'anillo-9p-fuzz-'));
  try {
    const { answered, refused } = await fuzzNineP({ place, caseCount: 3000, seed: 11 });
    assert.ok(answered > 500 && refused > 500);
  } finally {
    rmSync(place, { recursive: true });
  }
});

for (const usesOpenat2 of [true, false]) {
  const how = usesOpenat2 ? 'openat2' : 'name by name';

  test(`escapes are refused (${how})`, { skip }, async () => {
    const { path, folder, client: c } = share(usesOpenat2);
    using _ = folder;
    await c.mount();
    const refused = async (what: string, errno: readonly number[], work: () => Promise<unknown>): Promise<void> => {
      const error = await work().then(
        () => 'was let through',
        (thrown: unknown) => Number((thrown as { errno?: number }).errno),
      );
      assert.ok(errno.includes(error as number), `${what}: ${error}`);
      assert.equal(readFileSync(canary, 'latin1'), 'untouched', what);
    };
    const top = await c.walk(0, []);
    await c.symlink(top, 'out', '..');
    await c.symlink(top, 'abs', outside);
    await c.symlink(top, 'leaf', canary);
    await c.symlink(top, 'self', '/proc/self/root');
    execFileSync('mkfifo', [join(path, 'fifo')]);
    symlinkSync(canary, join(path, 'folder', 'hostmade'));

    await refused('1 walk to an absolute name', [EINVAL], () => c.walk(0, [canary]));
    await refused('2 a slash in a name', [EINVAL], () => c.walk(0, ['../canary']));
    await refused('3 NUL in a name', [EINVAL], () => c.walk(0, ['file\0']));
    await refused('4 "." as a name', [EINVAL], () => c.walk(0, ['.']));
    assert.equal((await c.getattr(await c.walk(0, ['..', '..', '..']))).id, (await c.getattr(top)).id, '5 ".." at the root stays there');
    await refused('6 walk through a relative link', [ELOOP, ENOTDIR, ENOENT], async () => c.getattr(await c.walk(0, ['out', 'canary'])));
    await refused('7 walk through an absolute link', [ELOOP, ENOTDIR, ENOENT], async () => c.getattr(await c.walk(0, ['abs', 'canary'])));
    await refused('8 walk through a magic link', [ELOOP, ENOTDIR, ENOENT], async () => c.getattr(await c.walk(0, ['self', 'etc'])));
    await refused('9 open a link', [ELOOP], async () => c.open(await c.walk(0, ['leaf']), 0));
    await refused('10 open a link to write', [ELOOP], async () => c.open(await c.walk(0, ['leaf']), 0o1002));
    await refused("11 open the host's own link", [ELOOP], async () => c.open(await c.walk(0, ['folder', 'hostmade']), 2));
    await refused('12 create through a link', [ELOOP], async () => c.create(await c.walk(0, []), 'leaf', 0o1102, 0o644));
    await refused('13 create below a link', [ELOOP, ENOTDIR], async () => c.create(await c.walk(0, ['abs']), 'new', 2, 0o644));
    await refused('14 create "..": its name', [EINVAL], async () => c.create(await c.walk(0, []), '..', 2, 0o644));
    await refused('15 make a folder outside', [EINVAL], () => c.mkdir(top, '../new', 0o755));
    await refused('16 make a folder below a link', [ELOOP, ENOTDIR], async () => c.mkdir(await c.walk(0, ['abs']), 'new', 0o755));
    await refused('17 rename to outside', [EINVAL], () => c.renameat(top, 'file', top, '../stolen'));
    await refused('18 rename into a linked folder', [ELOOP, ENOTDIR], async () => c.renameat(top, 'file', await c.walk(0, ['abs']), 'in'));
    await refused('19 rename from outside', [EINVAL], () => c.renameat(top, '../canary', top, 'got'));
    await refused('20 remove outside', [EINVAL], () => c.unlinkat(top, '../canary', 0));
    await refused('21 remove below a link', [ELOOP, ENOTDIR], async () => c.unlinkat(await c.walk(0, ['abs']), 'canary', 0));
    await refused('22 hard link to a name outside', [EINVAL], async () => c.link(top, await c.walk(0, ['file']), '../new'));
    await refused('23 truncate through a link', [EINVAL], async () => c.truncate(await c.walk(0, ['leaf']), 0));
    await refused('24 change the mode through a link', [EOPNOTSUPP], async () => c.chmod(await c.walk(0, ['leaf']), 0o777));
    await refused('25 open a fifo', [EACCES], async () => c.open(await c.walk(0, ['fifo']), 0));
    await refused('26 change a fifo', [EPERM], async () => c.chmod(await c.walk(0, ['fifo']), 0o777));
    await refused('27 a foreign attach', [ENOENT], () => c.attach(99, '/etc'));
    await refused('28 attributes through a link', [EOPNOTSUPP], async () => c.xattr(await c.walk(0, ['leaf']), 'user.x'));
    await refused('29 the attribute by which owners are kept', [EOPNOTSUPP], () => c.xattr(top, 'user.anillo.owner'));
    await refused('30 a fid that is none', [EBADF], () => c.getattr(12345));

    // A hard link of a link is a link still.
    await c.link(top, await c.walk(0, ['leaf']), 'leaf2');
    await refused('31 a hard link of a link', [ELOOP], async () => c.open(await c.walk(0, ['leaf2']), 0));
    // A folder that becomes a link between two requests.
    const deep = await c.walk(0, ['folder', 'deep']);
    renameSync(join(path, 'folder'), join(path, 'moved'));
    symlinkSync(outside, join(path, 'folder'));
    mkdirSync(join(outside, 'deep'), { recursive: true });
    await refused('32 a folder swapped for a link', [ELOOP, ENOTDIR], () => c.mkdir(deep, 'new', 0o755));
    // A device is an empty file on the host.
    await c.mknod(top, 'null', 0o020666, 1, 3);
    assert.ok(!execFileSync('stat', ['-c', '%F', join(path, 'null')], { encoding: 'utf8' }).includes('device'));
    await refused('33 open a device that the guest made', [EACCES, EPERM], async () => {
      const fid = await c.walk(0, ['null']);
      if (((await c.getattr(fid)).mode & 0o170000) !== 0o020000) throw Object.assign(new Error(), { errno: EPERM });
      await c.open(fid, 0);
    });
    assert.equal(await c.readlink(await c.walk(0, ['self'])), '/proc/self/root');
    await c.end();
  });

  test(`files are written, read, renamed and listed (${how})`, { skip }, async () => {
    const { path, folder, client: c } = share(usesOpenat2);
    using _ = folder;
    await c.mount();
    const fid = await c.walk(0, []);
    await c.create(fid, 'a b\xff', 0o102, 0o4755);
    const data = Uint8Array.from({ length: 50_000 }, (_, i) => i * 7);
    assert.equal(await c.write(fid, 3, data), data.length);
    assert.deepEqual(await c.read(fid, 3, 60_000), data);
    assert.equal((await c.getattr(fid)).byteCount, 50_003);
    const top = await c.walk(0, []);
    // A fid follows its file when the folder's name changes.
    const below = await c.walk(0, ['folder', 'deep']);
    await c.mkdir(below, 'x', 0o700);
    await c.renameat(top, 'folder', top, 'renamed');
    const dir = await c.walk(below, []);
    await c.open(dir, 0);
    assert.deepEqual(await c.list(dir), ['x']);
    // What was removed is not what has its name later.
    const old = await c.walk(0, ['file']);
    await c.unlinkat(top, 'file', 0);
    writeFileSync(join(path, 'file'), 'another');
    await assert.rejects(c.getattr(old), { errno: ENOENT });
    for (let i = 0; i < 300; i++) linkSync(join(path, 'file'), join(path, 'renamed', `entry ${i}`));
    const many = await c.walk(0, ['renamed']);
    await c.open(many, 0);
    assert.equal((await c.list(many, 1000)).length, 301);
    await c.end();
  });

  test(`read-only is read-only (${how})`, { skip }, async () => {
    const { path, folder, client: c } = share(usesOpenat2, true);
    using _ = folder;
    await c.mount();
    const top = await c.walk(0, []);
    const file = await c.walk(0, ['file']);
    const all = [
      () => c.open(file, 1),
      () => c.open(file, 0o1000),
      () => c.create(top, 'n', 2, 0o644),
      () => c.mkdir(top, 'n', 0o755),
      () => c.symlink(top, 'n', 'x'),
      () => c.mknod(top, 'n', 0o100644, 0, 0),
      () => c.link(top, file, 'n'),
      () => c.renameat(top, 'file', top, 'n'),
      () => c.unlinkat(top, 'file', 0),
      () => c.chmod(file, 0o777),
      () => c.truncate(file, 0),
    ];
    for (const one of all) await assert.rejects(one(), { errno: EROFS });
    assert.equal(readFileSync(join(path, 'file'), 'latin1'), 'hello');
    await c.end();
  });
}
