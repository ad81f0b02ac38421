import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { gpa } from '@anillo/base/gpa';
import { multibootHeader, tinyBzImage, tinyElf } from '@anillo/machine/boot/tiny-images';
import { MemoryStore } from '@anillo/disk/memory-store';
import { RAW } from '@anillo/disk/raw';
import { OWN_FILE, tinyLinux } from '@anillo/disk/testing/tiny-linux';
import { type Script, scriptedAccelerator } from '@anillo/machine/scripted-accelerator';
import { whyNoBoot } from './disk-boot.ts';
import { Machine } from './machine.ts';

const folder = mkdtempSync(join(tmpdir(), 'anillo-runtime-'));
after(() => rmSync(folder, { recursive: true }));
const kernel = join(folder, 'vmlinuz');
writeFileSync(kernel, tinyBzImage());

/** A guest that greets, sends back each byte in upper case, and switches itself off at "!". */
const echo: Script = ({ ports, sliceCount }) => {
  const print = (text: string): void => {
    for (const c of Buffer.from(text)) ports.writePort(0x3f8, 1, c);
  };
  if (sliceCount === 1) {
    for (const [port, value] of [
      [0x3fc, 0x08],
      [0x3f9, 0x01],
    ])
      ports.writePort(port, 1, value);
    print('hello\r\n');
  }
  while ((ports.readPort(0x3fd, 1) & 1) !== 0) {
    const byte = ports.readPort(0x3f8, 1);
    if (byte === 0x21) {
      ports.writePort(0x604, 2, 0x2000);
      return { kind: 'slice' };
    }
    print(String.fromCharCode(byte).toUpperCase());
  }
  return { kind: 'halted' };
};

const isError =
  (code: string, says: RegExp) =>
  (e: unknown): boolean => {
    assert.ok(e instanceof AnilloError, String(e));
    assert.equal(e.code, code);
    assert.match(e.message, says);
    return true;
  };

test('a guest that resets gets the files as they are by then, or the reason why not', { timeout: 120_000 }, async () => {
  const [image, module] = [join(folder, 'changing'), join(folder, 'module')];
  writeFileSync(image, tinyBzImage());
  writeFileSync(module, 'first');
  const seen: string[] = [];
  const script: Script = ({ ports, memory, resetCount }) => {
    const at = 32 * 1024 * 1024 - 4096;
    seen.push(Buffer.from(memory.read(gpa(at), 6)).toString());
    writeFileSync(module, 'second');
    if (resetCount === 2) rmSync(image);
    ports.writePort(0xcf9, 1, 6);
    return { kind: 'slice' };
  };
  await using machine = await Machine.create({ kernel: image, initrd: module, memory: 32 }, scriptedAccelerator(script));
  machine.start();
  await assert.rejects(machine.waitForExit(), isError('FILE', /kernel .*changing does not exist/));
  assert.deepEqual(seen, ['first\0', 'second']);
});

test('talk to a guest over its serial port, and see it end', { timeout: 120_000 }, async () => {
  await using machine = await Machine.create({ kernel, memory: 32 }, scriptedAccelerator(echo));
  assert.match(machine.bootDescription, /Linux 6\.1\.0-tiny/);
  machine.start();
  assert.equal(await machine.serial.waitForOutput('hello'), 'hello');
  machine.serial.write('abc');
  assert.equal(await machine.serial.waitForOutput(/B./), '\r\nABC');
  machine.serial.write(Uint8Array.of(0x21));
  assert.deepEqual(await machine.waitForExit(), { reason: 'powered-off', status: 0, detail: 'The guest powered the machine off.' });
  await assert.rejects(machine.serial.waitForOutput('more'), isError('STATE', /before it ended/));
  assert.throws(() => machine.serial.write('x'), isError('STATE', /powered the machine off/));
});

test('two machines in one process do not disturb each other', { timeout: 120_000 }, async () => {
  const make = () => Machine.create({ kernel: tinyBzImage(), memory: '32M' }, scriptedAccelerator(echo));
  const [one, two] = await Promise.all([make(), make()]);
  one.start();
  two.start();
  one.serial.write('one!');
  assert.match(await one.serial.waitForOutput('ONE'), /hello/);
  assert.equal((await one.waitForExit()).reason, 'powered-off');
  two.serial.write('two');
  assert.match(await two.serial.waitForOutput('TWO'), /hello/);
  assert.equal(two.state, 'running');
  assert.equal((await two.stop()).reason, 'stopped');
});

test('output as a stream ends with the machine; a wait that fails tells the last output', { timeout: 120_000 }, async () => {
  await using machine = await Machine.create({ kernel, memory: 32 }, scriptedAccelerator(echo));
  machine.start();
  const all = (async () => {
    let text = '';
    for await (const chunk of machine.serial) text += chunk;
    return text;
  })();
  await assert.rejects(
    machine.serial.waitForOutput('login:', { timeoutMs: 50 }),
    isError('STATE', /"login:" within 50 ms; its last output is "hello/),
  );
  machine.serial.write('bye!');
  await machine.waitForExit();
  assert.equal(await all, 'hello\r\nBYE');
});

test('a reader that does not read holds the guest up, one that goes away does not', { timeout: 120_000 }, async () => {
  let sent = 0;
  await using machine = await Machine.create(
    { kernel, memory: 32 },
    scriptedAccelerator(({ ports }) => {
      for (let i = 0; i < 20_000 && (ports.readPort(0x3fd, 1) & 0x20) !== 0; i++, sent++) ports.writePort(0x3f8, 1, 0x61);
      return { kind: 'slice' };
    }),
  );
  const stream = machine.serial.output;
  machine.start();
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100));
  let held = -1;
  while (held !== sent) {
    held = sent;
    await pause();
  }
  assert.ok(held >= 1_000_000 && held < 1_200_000, String(held));
  await stream.cancel();
  await pause();
  assert.ok(sent > held);
});

test('without kernel and firmware the first disk is booted, and again as it is by then', { timeout: 120_000 }, async () => {
  const diskOf = async (version: string) => {
    const bytes = tinyBzImage();
    bytes.fill(version.charCodeAt(0), 1536);
    const image = await tinyLinux(4 << 20, async (writer) => {
      await writer.addFile({ ...OWN_FILE, path: 'boot/vmlinuz-1' }, bytes.length, [bytes]);
      await writer.addFile({ ...OWN_FILE, path: 'boot/initrd.img-1' }, 4, [Buffer.from('disk')]);
    });
    const store = new MemoryStore('disk', image);
    return RAW.open(store, { isReadOnly: true }, { codecs: {}, openStore: async () => store });
  };
  const [first, second] = await Promise.all(['1', '2'].map(diskOf));
  let now = first;
  const disk = {
    byteCount: first.byteCount,
    isReadOnly: true,
    read: (offset: number, into: readonly Uint8Array[]) => now.read(offset, into),
  };
  const seen: string[] = [];
  const script: Script = ({ memory, start, ports, resetCount }) => {
    const line = memory.read32(gpa((start?.registers.rsi ?? 0) + 0x228));
    const text = Buffer.from(memory.read(gpa(line), 100))
      .toString('latin1')
      .split('\0')[0];
    seen.push(`${String.fromCharCode(memory.read8(gpa(0x1000000)))} ${text}`);
    now = second;
    if (resetCount === 2) ports.writePort(0x604, 2, 0x2000);
    else ports.writePort(0xcf9, 1, 6);
    return { kind: 'slice' };
  };
  const options = { append: 'quiet', memory: 32 };
  const machine = await Machine.create({ ...options, disks: [disk as never] }, scriptedAccelerator(script));
  machine.start();
  await machine.waitForExit();
  const words = 'root=UUID=00112233-4455-6677-8899-aabbccddeeff ro console=ttyS0 quiet';
  assert.deepEqual(seen, [`1 ${words}`, `2 ${words}`]);
  const empty = { ...disk, read: async () => {} };
  await assert.rejects(
    Machine.create({ ...options, disks: [empty as never] }, scriptedAccelerator(script)),
    isError('BAD_IMAGE', /nothing to boot on disk0.*no ext4 file system/),
  );
  assert.match((await whyNoBoot(empty as never)) ?? '', /no ext4/);
  assert.equal(await whyNoBoot(disk as never), undefined);
});

test('options that are wrong are said in a sentence', async () => {
  const fails = async (options: Parameters<typeof Machine.create>[0], code: string, says: RegExp): Promise<void> => {
    await assert.rejects(Machine.create(options, scriptedAccelerator(echo)), isError(code, says));
  };
  await fails({}, 'BAD_OPTION', /nothing to boot/);
  await fails({ kernel: join(folder, 'none') }, 'FILE', /The kernel .* does not exist/);
  await fails({ kernel, initrd: join(folder, 'none') }, 'FILE', /The initrd .* does not exist/);
  await fails({ kernel, memory: 'lots' }, 'BAD_MEMORY', /"lots"/);
  await fails({ kernel, memory: '64G' }, 'BAD_MEMORY', /too large/);
  await fails({ kernel, memory: 1 }, 'BAD_MEMORY', /at least 17 MiB/);
  await fails({ kernel, cpu: 'pentium9' }, 'BAD_OPTION', /"pentium9"/);
  await fails({ kernel, cpu: 'x86-64-v3,avx2' }, 'BAD_OPTION', /"avx2" is no change/);
  await fails({ kernel, cpu: 'i686' }, 'BAD_IMAGE', /64-bit and the CPU model is not/);
  await fails({ kernel, accel: 'kvm' as 'jit' }, 'BAD_OPTION', /"kvm"/);
  await fails({ kernel, serial: ['none', 'stream'] }, 'BAD_OPTION', /first serial port/);
  await fails({ kernel: import.meta.filename }, 'BAD_IMAGE', /none that can be booted/);
});

test('the initrd of a multiboot kernel may be several files with arguments', { timeout: 120_000 }, async () => {
  const code = new Uint8Array(64);
  code.set(multibootHeader(0));
  const [a, b] = [join(folder, 'a'), join(folder, 'b,c')];
  writeFileSync(a, 'AAA');
  writeFileSync(b, 'BB');
  const flat = join(folder, 'test.flat');
  writeFileSync(flat, tinyElf({ bits: 32, segments: [{ address: 0x400000, bytes: code }], entry: 0x400000 }));
  let seen: unknown;
  const script: Script = ({ ports, memory, start }) => {
    const info = start?.registers.rbx ?? 0;
    const word = (at: number): number => memory.read32(gpa(at));
    const text = (at: number): string =>
      Buffer.from(memory.read(gpa(at), 100))
        .toString('latin1')
        .split('\0')[0];
    const list = word(info + 24);
    seen = [text(word(info + 16)), word(info + 20), text(word(list + 8)), text(word(list)), text(word(list + 24)), text(word(list + 16))];
    ports.writePort(0x604, 2, 0x2000);
    return { kind: 'slice' };
  };
  const machine = await Machine.create(
    { kernel: flat, append: 'x y', initrd: `${a} one=1,${b.replace(',', ',,')}`, memory: 32 },
    scriptedAccelerator(script),
  );
  machine.start();
  await machine.waitForExit();
  assert.deepEqual(seen, [`${flat} x y`, 2, `${a} one=1`, 'AAA', b, 'BB']);
});
