import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { parseYaml } from './yaml-subset.ts';

test('what user data looks like', () => {
  const text = `#cloud-config
hostname: web-1   # the name
users:
  - default
  - name: alice
    groups: [sudo, 'adm', "x y"]
    lock_passwd: false
    ssh_authorized_keys:
      - ssh-ed25519 AAAA# alice@example
      # another
      - "ssh-rsa B: B"
packages:
- curl
-   git
write_files:
  - path: /etc/motd
    permissions: 0644
    content: |
      Hello: #1

        indented
      end
  - content: >-
      one
      two

      three
    path: /x
runcmd:
  - [sh, -c, "echo \\"a\\tb\\" > /tmp/x"]
  - echo 'it''s' # not a comment sign: a#b
  -
    - touch
    - /tmp/y
empty:
flow: {a: 1, b: [x, {c: d}],
  e: "f, g"}
`;
  assert.deepEqual(parseYaml(text), {
    hostname: 'web-1',
    users: [
      'default',
      {
        name: 'alice',
        groups: ['sudo', 'adm', 'x y'],
        lock_passwd: false,
        ssh_authorized_keys: ['ssh-ed25519 AAAA# alice@example', 'ssh-rsa B: B'],
      },
    ],
    packages: ['curl', 'git'],
    write_files: [
      { path: '/etc/motd', permissions: '0644', content: 'Hello: #1\n\n  indented\nend\n' },
      { content: 'one two\nthree', path: '/x' },
    ],
    runcmd: [['sh', '-c', 'echo "a\tb" > /tmp/x'], "echo 'it''s'", ['touch', '/tmp/y']],
    empty: null,
    flow: { a: '1', b: ['x', { c: 'd' }], e: 'f, g' },
  });
});

test('JSON is YAML', () => {
  const value = { a: ['1', true, null, { b: 'c: d, [e]' }] };
  assert.deepEqual(parseYaml(JSON.stringify(value, undefined, 2)), value);
});

test('what is not supported is told by its line', () => {
  const refused = (text: string, says: RegExp): void => {
    assert.throws(() => parseYaml(text), (error: unknown) => error instanceof AnilloError && says.test(error.message));
  };
  refused('a: &x b', /line 1: "&"/);
  refused('a:\n  - !tag b', /line 2: "!"/);
  refused('a: b\n  c', /line 2: a value goes on/);
  refused('a: "b', /line 1: a quoted text does not end/);
  refused('a: b\na: c', /line 2: "a" is there twice/);
  refused('\ta: b', /line 1: .*tab/);
  refused('a: [b', /line 1: .*"\]" is missing/);
  refused('a: b\nc', /line 2: a key/);
  refused(`a: ${'['.repeat(1000)}${']'.repeat(1000)}`, /nested too deeply/);
});

test('rubbish is refused or read, and nothing else', () => {
  const letters = [...'a: -\n#[]{}"\',|>&*!~\t  \n'];
  let state = 1;
  for (let n = 0; n < 3000; n++) {
    let text = '';
    for (let i = 0; i < 40; i++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      text += letters[(state >>> 16) % letters.length];
    }
    try {
      parseYaml(text);
    } catch (error) {
      assert.ok(error instanceof AnilloError, `${JSON.stringify(text)}: ${error}`);
    }
  }
});
