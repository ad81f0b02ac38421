import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { earlyScript, setupScript } from './setup-script.ts';
import { parseUserData } from './user-data.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@here';
const WHOLE = `#cloud-config
hostname: web
users:
  - default
  - name: alice
    gecos: Alice's
    groups: sudo, games
    sudo: ALL=(ALL) NOPASSWD:ALL
    plain_text_passwd: it's
    lock_passwd: false
    ssh_authorized_keys: [${KEY}]
  - bob
password: secret
chpasswd: {expire: false}
ssh_pwauth: true
packages: [curl, git]
package_update: true
write_files:
  - path: /etc/x y
    content: aGk=
    encoding: b64
    permissions: '0600'
    owner: alice:alice
runcmd:
  - [touch, "/a b"]
  - echo done
timezone: Europe/Zurich
`;

test('what is supported', () => {
  const data = parseUserData(WHOLE);
  assert.equal(data.hostname, 'web');
  assert.deepEqual(data.users?.map((user) => (user === 'default' ? user : user.name)), ['default', 'alice', 'bob']);
  const [, alice] = data.users ?? [];
  assert.deepEqual(alice, {
    ...{ name: 'alice', fullName: "Alice's", groups: ['sudo', 'games'], sudo: ['ALL=(ALL) NOPASSWD:ALL'], shell: '/bin/bash' },
    ...{ sshKeys: [KEY], password: { text: "it's", isHashed: false }, isLocked: false },
  });
  assert.deepEqual([data.password, data.sshPasswords, data.timezone], ['secret', true, 'Europe/Zurich']);
  assert.deepEqual(data.packages, ['curl', 'git']);
  assert.equal(Buffer.from(data.files[0].content).toString(), 'hi');
  assert.deepEqual(data.firstBoot, ["'touch' '/a b'", 'echo done']);
});

test('a script runs at the first start', () => {
  const { firstBoot } = parseUserData('#!/usr/bin/env sh\necho "made by $0"\n');
  const { stdout } = spawnSync('sh', ['-c', firstBoot.join('\n')], { encoding: 'utf8' });
  assert.match(stdout, /^made by \//);
});

test('what is not supported is refused with what is', () => {
  const refused = (text: string, says: RegExp): void => {
    assert.throws(() => parseUserData(text), (error: unknown) => error instanceof AnilloError && error.code === 'BAD_OPTION' && says.test(error.message));
  };
  refused('hostname: x', /neither "#cloud-config" nor "#!"/);
  refused('#cloud-config\nbootcmd: [ls]', /"bootcmd" in its whole, which is not supported here.*Supported: hostname, users/);
  refused('#cloud-config\nusers: [{name: a, expiredate: x}]', /"expiredate" in a user/);
  refused('#cloud-config\nusers: [{name: "a b"}]', /"a b" as a name of a user/);
  refused('#cloud-config\nusers: x', /else than a list as users/);
  refused('#cloud-config\nhostname: [x]', /else than a text as hostname/);
  refused('#cloud-config\nhostname: a;b', /"a;b" as a hostname/);
  refused('#cloud-config\npackages: [--download]', /as a package/);
  refused('#cloud-config\nwrite_files: [{path: /a/../b}]', /as a path/);
  refused('#cloud-config\nwrite_files: [{content: x}]', /without a path/);
  refused('#cloud-config\nssh_authorized_keys: [nonsense]', /as an SSH key/);
  refused('#cloud-config\n- a', /something else than keys with values/);
});

test('the scripts are shell scripts whatever stands in the user data', () => {
  const data = parseUserData(WHOLE);
  const users = (data.users ?? []).filter((user) => user !== 'default');
  for (const script of [setupScript({ data, users, isRootOpen: true }), earlyScript('UUID=1 / ext4 rw 0 1\n')]) {
    const { status, stderr } = spawnSync('sh', ['-n'], { input: script, encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
  }
  const words = setupScript({ data, users, isRootOpen: false });
  assert.match(words, /useradd -m -s '\/bin\/bash' -c 'Alice'\\''s' alice/);
  assert.match(words, /echo 'alice:it'\\''s' \| chpasswd/);
  assert.match(words, /chown alice:alice '\/etc\/x y'/);
});
