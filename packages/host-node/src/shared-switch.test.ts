import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createCable } from '@anillo/net/cable';
import { SharedSwitch } from './shared-switch.ts';

/** A card on the switch: what it gets, and how it sends to all. */
class Member {
  readonly got: string[] = [];
  shared!: SharedSwitch;
  readonly #outer;
  readonly #inner;

  constructor() {
    [this.#outer, this.#inner] = createCable();
    this.#outer.receiver = {
      takesWork: true,
      send: (frame) => {
        this.got.push(Buffer.from(frame.subarray(14)).toString());
        return true;
      },
    };
  }

  async join(path: string, wanted: readonly number[] = [0x5254_0000_0001, 0x5254_0000_0002, 0x5254_0000_0003]): Promise<this> {
    this.shared = await SharedSwitch.join({ path, port: this.#inner, wanted });
    return this;
  }

  say(text: string): void {
    const source = Buffer.from([0x52, 0x54, 0, 0, 0, this.shared.mac & 0xff]);
    this.#outer.send(Buffer.concat([Buffer.alloc(6, 0xff), source, Buffer.from([0x88, 0xb5]), Buffer.from(text)]), undefined);
  }

  /** Resolves when this has come; what else has come is forgotten. */
  async hears(text: string, again: () => void): Promise<void> {
    for (let tries = 0; tries < 300; tries++) {
      if (this.got.includes(text)) return;
      if (tries % 5 === 0) again();
      await new Promise((then) => setTimeout(then, 10));
    }
    assert.fail(`"${text}" has not come`);
  }
}

function folderFor(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-switch-'));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test('the first serves, the others join, each with an address of its own; another serves when it ends', async (context) => {
  const path = join(folderFor(context), 'net');
  const [a, b, c] = [await new Member().join(path), await new Member().join(path), await new Member().join(path)];
  assert.deepEqual(
    [a, b, c].map(({ shared }) => shared.mac & 0xff),
    [1, 2, 3],
  );
  assert.deepEqual(
    [a, b, c].map(({ shared }) => shared.isServing),
    [true, false, false],
  );
  await c.hears('from b', () => b.say('from b'));
  assert.ok(a.got.includes('from b') && !b.got.includes('from b'));
  a.shared.close();
  await c.hears('b again', () => b.say('b again'));
  assert.deepEqual(
    [b, c].map(({ shared }) => shared.mac & 0xff),
    [2, 3],
  );
  // Somebody's `rm` takes the name away, and both find to each other again.
  rmSync(path);
  const d = await new Member().join(path);
  assert.equal(d.shared.mac & 0xff, 1);
  await d.hears('c to d', () => c.say('c to d'));
  await b.hears('d to b', () => d.say('d to b'));
  for (const member of [b, c, d]) member.shared.close();
  assert.deepEqual(readdirSync(join(path, '..')), []);
});

test('many at once find one switch', async (context) => {
  const path = join(folderFor(context), 'net');
  const wanted = Array.from({ length: 12 }, (_, i) => 0x5254_0000_0000 + i + 1);
  const members = await Promise.all(wanted.map(() => new Member().join(path, wanted)));
  for (const member of members) await member.hears('all', () => members[0 === members.indexOf(member) ? 1 : 0].say('all'));
  assert.equal(members.filter(({ shared }) => shared.isServing).length, 1);
  for (const { shared } of members) shared.close();
});

const SERVER = `
import { createCable } from '@anillo/net/cable';
import { SharedSwitch } from '${join(import.meta.dirname, 'shared-switch.ts')}';
await SharedSwitch.join({ path: process.argv[1], port: createCable()[0], wanted: [1] });
console.log('there');
setInterval(() => {}, 1000);`;

test('a process that is killed is replaced, and what it left behind too', async (context) => {
  const path = join(folderFor(context), 'net');
  const child = spawn(process.execPath, ['--input-type=module', '-e', SERVER, path], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  context.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const [a, b] = [await new Member().join(path), await new Member().join(path)];
  assert.ok(!a.shared.isServing);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await b.hears('still here', () => a.say('still here'));
  a.shared.close();
  b.shared.close();
  assert.equal(existsSync(path), false);
});

test('what cannot be a switch is told', async (context) => {
  const folder = folderFor(context);
  writeFileSync(join(folder, 'file'), 'precious');
  await assert.rejects(new Member().join(join(folder, 'file')), { code: 'FILE', message: /is no socket/ });
  await assert.rejects(new Member().join(join(folder, 'no', 'net')), { code: 'NETWORK', message: /cannot be joined/ });
});
