import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VcpuExit } from '@anillo/accel/accelerator';
import { AnilloError } from '@anillo/base/anillo-error';
import { gpa } from '@anillo/base/gpa';
import type { CharBackend } from '@anillo/devices/device';
import { tinyBzImage } from './boot/tiny-images.ts';
import { PC } from './boards/pc.ts';
import { memoryTypeRegisters } from './firmware/memory-types.ts';
import { Machine } from './machine.ts';
import type { BootImages, MachineSpec } from './machine-spec.ts';
import type { MachineHost } from './machine-host.ts';
import { type Script, scriptedAccelerator } from './scripted-accelerator.ts';

const MIB = 1024 * 1024;
const SLICE: VcpuExit = { kind: 'slice' };
const HALTED: VcpuExit = { kind: 'halted' };

/** The host: Node's loop. */
function host(): MachineHost & { sleeps: number[] } {
  let wakeSleeper: (() => void) | undefined;
  const sleeps: number[] = [];
  return {
    sleeps,
    nowNs: () => performance.now() * 1e6,
    wallMs: () => Date.now(),
    yieldToHost: () => new Promise((resolve) => setImmediate(resolve)),
    sleep: (timeoutMs) => {
      sleeps.push(timeoutMs);
      return new Promise((resolve) => {
        const timer = setTimeout(() => wakeSleeper?.(), Math.min(timeoutMs, 0x7fffffff));
        wakeSleeper = () => {
          clearTimeout(timer);
          wakeSleeper = undefined;
          resolve();
        };
      });
    },
    wake: () => wakeSleeper?.(),
  };
}

function machine(
  script: Script,
  { kernel, readAgain, ...more }: Partial<MachineSpec & BootImages> = {},
  on: MachineHost = host(),
): Machine {
  const spec: MachineSpec = {
    board: PC,
    memoryBytes: 32 * MIB,
    cpuModel: 'x86-64-v3',
    longMode: true,
    tscHz: 1e9,
    tier: 'jit',
    serial: [undefined],
    ...more,
  };
  const made = new Machine(spec, scriptedAccelerator(script), on);
  made.load({ kernel: kernel ?? (more.bios === undefined ? { bytes: tinyBzImage(), name: 'vmlinuz' } : undefined), readAgain });
  return made;
}

const powerOff: Script = ({ ports }) => {
  ports.writePort(0x604, 2, 1 << 13);
  return SLICE;
};

test('a guest that switches itself off ends the machine with status 0', async () => {
  const m = machine(powerOff);
  assert.equal(m.state, 'created');
  m.start();
  assert.equal(m.state, 'running');
  assert.deepEqual(await m.waitForExit(), { reason: 'powered-off', status: 0, detail: 'The guest powered the machine off.' });
  assert.equal(m.state, 'stopped');
});

test('a guest that suspends itself runs no further, and wakes in real mode with its memory', { timeout: 120_000 }, async () => {
  let slicesAsleep = 0;
  let asleep = false;
  const m = machine((guest) => {
    const { ports, memory, start } = guest;
    if (start?.mode === 'real16') {
      assert.deepEqual([start.pc, memory.read(gpa(0x5000), 1)[0]], [0x1230, 0x77]);
      assert.equal(ports.readPort(0x600, 2) & 0x8000, 0x8000, 'WAK_STS');
      return powerOff(guest);
    }
    if (asleep) slicesAsleep++;
    asleep = true;
    memory.write(gpa(0x5000), Uint8Array.of(0x77));
    memory.write(gpa(0xe000c), Uint8Array.of(0x30, 0x12));
    ports.writePort(0x604, 2, (1 << 13) | (1 << 10));
    return SLICE;
  });
  m.start();
  setTimeout(() => m.board.pressPowerButton(), 30);
  assert.equal((await m.waitForExit()).reason, 'powered-off');
  assert.equal(slicesAsleep, 0);
});

test('a guest that halts right after it switched itself off, or reset, is not waited for', { timeout: 120_000 }, async () => {
  const m = machine((guest) => {
    if (guest.resetCount === 1) guest.ports.writePort(0xcf9, 1, 6);
    else powerOff(guest);
    return HALTED;
  });
  m.start();
  assert.equal((await m.waitForExit()).reason, 'powered-off');
});

test('a request makes the guest leave at once', async () => {
  let kicked = false;
  const m = machine((guest) => {
    powerOff(guest);
    kicked = guest.kicked;
    return SLICE;
  });
  m.start();
  await m.waitForExit();
  assert.ok(kicked);
});

test('the CPU starts as the boot protocol says, with the image and the tables in memory', async () => {
  let seen: unknown;
  const m = machine((guest) => {
    const { memory, start } = guest;
    seen = [start?.mode, start?.pc, memory.read8(gpa(0x1000000)), memory.read32(gpa(0xf0000)), memory.read32(gpa(0xe0000))];
    assert.deepEqual(start?.modelRegisters, memoryTypeRegisters(0xc0000000));
    return powerOff(guest);
  });
  m.start();
  await m.waitForExit();
  assert.deepEqual(seen, ['long64', 0x1000200, 0x90, 0x20445352, 0x53434146]);
});

test('a reset starts the boot image again; with noReboot it ends the machine', async () => {
  const seen: number[] = [];
  const script: Script = (guest) => {
    seen.push(guest.memory.read8(gpa(0x1000000)));
    if (guest.resetCount === 3) return powerOff(guest);
    guest.memory.write8(gpa(0x1000000), 0x11);
    guest.ports.writePort(0xcf9, 1, 6);
    return SLICE;
  };
  const m = machine(script);
  m.start();
  assert.equal((await m.waitForExit()).reason, 'powered-off');
  assert.deepEqual(seen, [0x90, 0x90, 0x90]);
  assert.equal(m.resetCount, 2);

  const once = machine(script, { noReboot: true });
  once.start();
  const exit = await once.waitForExit();
  assert.deepEqual([exit.reason, exit.status], ['reset', 0]);
});

test('a reset reads images again that need not be kept', async () => {
  const seen: number[] = [];
  const script: Script = (guest) => {
    seen.push(guest.memory.read8(gpa(0x1000000)));
    if (guest.resetCount === 3) return powerOff(guest);
    guest.ports.writePort(0xcf9, 1, 6);
    return SLICE;
  };
  let reads = 0;
  const readAgain = (): BootImages => {
    const bytes = tinyBzImage();
    bytes.fill(++reads, 1536);
    return { kernel: { bytes, name: 'vmlinuz' } };
  };
  const m = machine(script, { readAgain });
  m.start();
  await m.waitForExit();
  assert.deepEqual(seen, [0x90, 1, 2]);
  assert.match(m.bootDescription, /Linux/);
});

test('images that are read from a disk come later, with a command line of their own', async () => {
  const seen: string[] = [];
  const script: Script = (guest) => {
    const zeroPage = guest.start?.registers.rsi ?? 0;
    const line = guest.memory.read(gpa(guest.memory.read32(gpa(zeroPage + 0x228))), 64);
    seen.push(Buffer.from(line).toString('latin1').split('\0')[0]);
    if (guest.resetCount === 2) return powerOff(guest);
    guest.ports.writePort(0xcf9, 1, 6);
    return SLICE;
  };
  let reads = 0;
  const readAgain = async (): Promise<BootImages> => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return { kernel: { bytes: tinyBzImage(), name: 'vmlinuz' }, append: `root=${++reads}` };
  };
  const m = machine(script, { readAgain, append: 'quiet' });
  m.start();
  await m.waitForExit();
  assert.deepEqual(seen, ['quiet', 'root=1 quiet']);
});

test('a reset for which the disk has no kernel any more ends the machine with the reason', async () => {
  const script: Script = (guest) => {
    guest.ports.writePort(0xcf9, 1, 6);
    return SLICE;
  };
  const m = machine(script, { readAgain: () => Promise.reject(new AnilloError('BAD_IMAGE', 'It is gone.')) });
  m.start();
  await assert.rejects(m.waitForExit(), /It is gone/);
});

test('a triple fault tells the registers', async () => {
  const m = machine(() => ({ kind: 'shutdown', state: 'rax=1' }));
  m.start();
  const exit = await m.waitForExit();
  assert.deepEqual([exit.reason, exit.status], ['triple-fault', 1]);
  assert.match(exit.detail, /\nrax=1$/);
});

test('debug exit and panic', async () => {
  const debug = machine(
    ({ ports }) => {
      ports.writePort(0xf4, 4, 5);
      return SLICE;
    },
    { devices: [{ model: 'isa-debug-exit', iobase: 0xf4, iosize: 4 }] },
  );
  debug.start();
  const exit = await debug.waitForExit();
  assert.deepEqual([exit.reason, exit.status], ['debug-exit', 11]);
  const panic = machine(({ ports }) => {
    ports.writePort(0x505, 1, 1);
    return SLICE;
  });
  panic.start();
  assert.equal((await panic.waitForExit()).reason, 'panicked');
});

test('stop works while the guest runs for ever, while it halts for ever, while paused, and before the start', {
  timeout: 120_000,
}, async () => {
  for (const forever of [SLICE, HALTED]) {
    const m = machine(() => forever);
    m.start();
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal((await m.stop()).reason, 'stopped');
  }
  const paused = machine(() => SLICE);
  paused.start();
  await paused.pause();
  await paused.stop();
  assert.equal(paused.state, 'stopped');
  const fresh = machine(() => SLICE);
  await fresh.stop();
  assert.throws(
    () => fresh.start(),
    (e) => e instanceof AnilloError && e.code === 'STATE',
  );
});

test('a halted guest sleeps until its timer, and is woken by it', { timeout: 120_000 }, async () => {
  const on = host();
  const m = machine(
    (guest) => {
      const { ports } = guest;
      if (guest.sliceCount === 1) {
        // The 8254's counter 0 fires after 1193 * 20 ticks, that is 20 ms, and the 8259 lets IRQ 0 through.
        for (const [port, value] of [
          [0x20, 0x11],
          [0x21, 0x20],
          [0x21, 0x04],
          [0x21, 0x01],
          [0x21, 0xfe],
          [0x43, 0x30],
          [0x40, 23860 & 0xff],
          [0x40, 23860 >> 8],
        ])
          ports.writePort(port, 1, value);
        return HALTED;
      }
      ports.poll();
      if (!ports.interrupts(0).isPending()) return HALTED;
      assert.equal(ports.interrupts(0).acknowledge(), 0x20);
      return powerOff(guest);
    },
    {},
    on,
  );
  m.start();
  await m.waitForExit();
  assert.ok(m.clock.nowNs() >= 19e6, String(m.clock.nowNs()));
  assert.ok(on.sleeps.length >= 1 && on.sleeps.length < 10, String(on.sleeps));
});

test('a timer that is armed while the guest sleeps is kept', { timeout: 120_000 }, async () => {
  const m = machine(() => HALTED);
  m.start();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await new Promise<void>((fired) => m.clock.createTimer(fired).arm(m.clock.nowNs() + 5e6));
  await m.stop();
});

test('input wakes a halted guest at once', { timeout: 120_000 }, async () => {
  let arrived = 0;
  const keyboard: CharBackend = {
    write: () => true,
    onDrain: undefined,
    get available() {
      return arrived;
    },
    read: () => {
      arrived--;
      return 0x71;
    },
    onInput: undefined,
  };
  const m = machine(
    (guest) => {
      const { ports } = guest;
      if (guest.sliceCount === 1) {
        for (const [port, value] of [
          [0x20, 0x11],
          [0x21, 0x20],
          [0x21, 0x04],
          [0x21, 0x01],
          [0x21, 0xef],
          [0x3fc, 0x08],
          [0x3f9, 0x01],
        ])
          ports.writePort(port, 1, value);
        return HALTED;
      }
      if (!ports.interrupts(0).isPending()) return HALTED;
      assert.equal(ports.interrupts(0).acknowledge(), 0x24);
      assert.equal(ports.readPort(0x3f8, 1), 0x71);
      return powerOff(guest);
    },
    { serial: [keyboard] },
  );
  m.start();
  setTimeout(() => {
    arrived = 1;
    keyboard.onInput?.();
  }, 20);
  assert.equal((await m.waitForExit()).reason, 'powered-off');
});

test('guest time stands still while paused; the event loop is served while the guest runs', { timeout: 120_000 }, async () => {
  let slices = 0;
  const m = machine(() => {
    slices++;
    return SLICE;
  });
  m.start();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await m.pause();
  assert.equal(m.state, 'paused');
  const [then, count] = [m.clock.nowNs(), slices];
  assert.ok(count > 1);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual([m.clock.nowNs(), slices], [then, count]);
  m.resume();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(slices > count);
  await m.stop();
});

test('a held start pauses before the first instruction', { timeout: 120_000 }, async () => {
  let ran = false;
  const m = machine((guest) => {
    ran = true;
    return powerOff(guest);
  });
  const held = new Promise((resolve) => {
    m.debug.onPause = resolve;
  });
  m.start({ held: true });
  assert.equal(await held, undefined);
  assert.deepEqual([m.state, ran], ['paused', false]);
  m.resume();
  assert.equal((await m.waitForExit()).reason, 'powered-off');
});

test('pauses and resumptions in one turn', { timeout: 120_000 }, async () => {
  const m = machine(() => HALTED);
  m.start();
  const calledOff = m.pause();
  m.resume();
  await calledOff;
  assert.equal(m.state, 'running');
  await m.pause();
  m.resume();
  await m.pause();
  assert.equal(m.state, 'paused');
  m.resume();
  await m.stop();
});

test('a breakpoint pauses, step runs one instruction, resume goes on', { timeout: 120_000 }, async () => {
  let at = 0;
  const m = machine((guest) => {
    at++;
    if (at === 1) return { kind: 'debug', reason: 'breakpoint', address: 0x1000n };
    if (at === 2) return { kind: 'debug', reason: 'step', address: 0x1001n };
    return powerOff(guest);
  });
  const stopped = new Promise((resolve) => {
    m.debug.onPause = resolve;
  });
  m.start();
  assert.deepEqual(await stopped, { kind: 'debug', reason: 'breakpoint', address: 0x1000n });
  assert.equal(m.state, 'paused');
  assert.equal(m.debug.step().kind, 'debug');
  m.debug.resume();
  assert.equal((await m.waitForExit()).reason, 'powered-off');
});

test('a defect in the engine reaches who waits, and nobody else', async () => {
  const m = machine(() => {
    throw new Error('defect');
  });
  m.start();
  await assert.rejects(m.waitForExit(), /defect/);
  assert.equal(m.state, 'stopped');
});

test('there must be exactly one thing to boot', () => {
  const says = (make: () => unknown, expected: RegExp): void => {
    assert.throws(make, (e) => e instanceof AnilloError && expected.test(e.message));
  };
  const kernel = { bytes: tinyBzImage(), name: 'vmlinuz' };
  says(() => machine(() => SLICE).load({}), /nothing to boot/);
  says(() => machine(() => SLICE, { kernel, bios: new Uint8Array(0x20000) }), /one of them/);
  says(() => machine(() => SLICE, { bios: new Uint8Array(100) }), /64 KiB/);
});

test('firmware is mapped at the reset vector and below 1 MiB', async () => {
  const bios = new Uint8Array(0x40000);
  bios[0x3fff0] = 0xea;
  bios[0x20000] = 0x55;
  let seen: unknown;
  const m = machine(
    (guest) => {
      const { memory, start } = guest;
      seen = [start, memory.read8(gpa(0xfffffff0)), memory.read8(gpa(0xffff0)), memory.read8(gpa(0xe0000)), memory.read8(gpa(0xfffc0000))];
      guest.ports.writePort(0xcf9, 1, 6);
      return SLICE;
    },
    { bios, noReboot: true },
  );
  m.start();
  await m.waitForExit();
  assert.deepEqual(seen, [undefined, 0xea, 0xea, 0x55, 0]);
});
