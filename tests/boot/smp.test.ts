// Several CPUs, by guests of a few instructions in real mode: start-up IPIs, code that another CPU changes, locked accesses, and what is done to the machine
// meanwhile.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Machine } from 'anillo';
import { SAY_A, tinyFirmware } from './tiny-firmware.ts';

const TIMEOUT_MS = 300_000;
/** Where a start-up IPI lets the other CPUs begin, and what they count down to tell that they are there. */
const OTHERS_AT = 0x8000;
const ARRIVED_AT = 0x8100;

const word = (value: number): number[] => [value & 0xff, value >> 8];
const dword = (value: number): number[] => [...word(value & 0xffff), ...word(value >>> 16)];
/** mov byte [at], value for each: DS is 0. */
const write = (at: number, bytes: readonly number[]): number[] => bytes.flatMap((byte, i) => [0xc6, 0x06, ...word(at + i), byte]);
/** wrmsr with EDX 0 */
const writeMsr = (index: number, value: number): number[] => [
  0x66,
  0xb9,
  ...dword(index),
  0x66,
  0xb8,
  ...dword(value),
  0x66,
  0x31,
  0xd2,
  0x0f,
  0x30,
];
/** xor ax, ax; mov ds, ax */
const ZERO_DS = [0x31, 0xc0, 0x8e, 0xd8];
/** lock inc word [ARRIVED_AT] */
const ARRIVE = [0xf0, 0xff, 0x06, ...word(ARRIVED_AT)];
/** cmp word [at], value; jne to the cmp */
const waitFor = (at: number, value: number): number[] => [0x81, 0x3e, ...word(at), ...word(value), 0x75, 0xf8];
/** cli; hlt; jmp to the hlt */
const STAY = [0xfa, 0xf4, 0xeb, 0xfd];
const SAY_B: readonly number[] = [...SAY_A.slice(0, 4), 0x42, ...SAY_A.slice(5)];

/** x2APIC on, then INIT and SIPI to all others, which run `others`. */
const startOthers = (others: readonly number[]): number[] => [
  ...ZERO_DS,
  ...write(ARRIVED_AT, [0, 0]),
  ...write(OTHERS_AT, [...ZERO_DS, ...others]),
  ...writeMsr(0x1b, 0xfee0_0d00),
  ...writeMsr(0x80f, 0x1ff),
  ...writeMsr(0x830, 0xc4500),
  ...writeMsr(0x830, 0xc4600 | (OTHERS_AT >> 12)),
];

const create = (cpus: number, code: readonly number[]): Promise<Machine> =>
  Machine.create({ bios: tinyFirmware(code), cpus, cpu: 'max', memory: 16 });

function readWord(machine: Machine, at: number, byteCount: 2 | 4): number {
  const bytes = machine.debug.cpu.readMemory(BigInt(at), byteCount) as Uint8Array;
  return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
}

describe('several CPUs', { timeout: TIMEOUT_MS }, () => {
  for (const cpus of [2, 4]) {
    test(`${cpus} CPUs start, and reach devices`, async () => {
      const code = [...startOthers([...SAY_B, ...ARRIVE, ...STAY]), ...waitFor(ARRIVED_AT, cpus - 1), ...SAY_A, ...STAY];
      await using machine = await create(cpus, code);
      machine.start();
      assert.equal(await machine.serial.waitForOutput('A'), `${'B'.repeat(cpus - 1)}A`);
    });
  }

  test('code that another CPU changes is executed as it is then', async () => {
    const FUNCTION_AT = 0x8200;
    const SEEN_AT = 0x8104;
    const last = 60;
    // The function: mov ax, 0; ret. Called in a loop, its result stored.
    const call = [0xe8, ...word((FUNCTION_AT - (OTHERS_AT + 4 + 3)) & 0xffff), 0xa3, ...word(SEEN_AT), 0xeb, 0xf8];
    const change = [
      ...[0xb9, 1, 0], // mov cx, 1
      ...[0x89, 0x0e, ...word(FUNCTION_AT + 1)], // mov [the immediate], cx
      ...[0x39, 0x0e, ...word(SEEN_AT), 0x75, 0xfa], // cmp [seen], cx; jne to the cmp
      ...[0x41, 0x81, 0xf9, ...word(last + 1), 0x75, 0xef], // inc cx; cmp cx, last + 1; jne to the mov
    ];
    const code = [...ZERO_DS, ...write(FUNCTION_AT, [0xb8, 0, 0, 0xc3]), ...startOthers(call), ...change, ...SAY_A, ...STAY];
    await using machine = await create(2, code);
    machine.start();
    assert.equal(await machine.serial.waitForOutput('A'), 'A');
  });

  test('locked increments are lost nowhere: aligned or not, across pages, beside code', async () => {
    const turns = 10_000;
    const places = [0x9000, 0x9101, 0x9ffe, 0x8300, 0x8341];
    const increments = places.flatMap((at) => [0x66, 0xf0, 0xff, 0x06, ...word(at)]); // lock inc dword [at]
    const count = [0xb9, ...word(turns), ...increments, 0x49, 0x75, -(increments.length + 3) & 0xff]; // mov cx; ...; dec cx; jnz
    const code = [...startOthers([...count, ...ARRIVE, ...STAY]), ...count, ...waitFor(ARRIVED_AT, 2), ...SAY_A, ...STAY];
    await using machine = await create(3, code);
    machine.start();
    await machine.serial.waitForOutput('A');
    await machine.pause();
    assert.deepEqual(
      places.map((at) => readWord(machine, at, 4)),
      places.map(() => 3 * turns),
    );
  });

  test('a kick by hypercall ends a HLT with interrupts off, or the next one', async () => {
    /** mov eax, 5; mov ecx, 1; vmcall: KVM's KICK_CPU for the second CPU */
    const kick = [0x66, 0xb8, ...dword(5), 0x66, 0xb9, ...dword(1), 0x0f, 0x01, 0xc1];
    const others = [0xfa, ...ARRIVE, 0xf4, ...SAY_B, ...ARRIVE, ...waitFor(ARRIVED_AT, 3), 0xf4, ...SAY_A, ...STAY];
    const code = [...startOthers(others), ...waitFor(ARRIVED_AT, 1), ...kick, ...waitFor(ARRIVED_AT, 2), ...kick, ...ARRIVE, ...STAY];
    await using machine = await create(2, code);
    machine.start();
    assert.equal(await machine.serial.waitForOutput('A'), 'BA');
  });

  test('a debugger sees all CPUs: breakpoints, registers and steps of one that has a thread of its own', async () => {
    const COUNTER_AT = 0x9000;
    const LOOP_AT = OTHERS_AT + ZERO_DS.length + ARRIVE.length;
    const others = [...ARRIVE, 0x66, 0xff, 0x06, ...word(COUNTER_AT), 0xeb, 0xf9]; // inc dword [counter]; jmp
    await using machine = await create(3, [...startOthers(others), ...waitFor(ARRIVED_AT, 2), ...SAY_A, ...STAY]);
    const { debug } = machine;
    assert.throws(() => debug.cpus[1].readRegister('rip'), { code: 'STATE' });
    machine.start();
    await machine.serial.waitForOutput('A');
    await machine.pause();
    const stops: [number, bigint | undefined][] = [];
    let stopped = Promise.withResolvers<void>();
    debug.onPause = (exit, cpu) => {
      stops.push([cpu, exit?.address]);
      stopped.resolve();
    };
    const numberIn = (cpu: number, name: string): number => Buffer.from(debug.cpus[cpu].readRegister(name) ?? []).readUInt32LE();
    debug.cpus[2].setBreakpoint(BigInt(LOOP_AT));
    machine.resume();
    await stopped.promise;
    assert.deepEqual(stops, [[2, BigInt(LOOP_AT)]]);
    assert.equal(numberIn(2, 'rip') + (numberIn(2, 'cs') << 4), LOOP_AT);
    assert.equal(debug.cpus[2].architecture, debug.cpu.architecture);
    const counter = readWord(machine, COUNTER_AT, 4);
    assert.deepEqual(debug.cpus[1].readMemory(BigInt(COUNTER_AT), 2), debug.cpu.readMemory(BigInt(COUNTER_AT), 2));
    assert.equal(debug.cpus[1].writeMemory(0x9100n, new Uint8Array(6000).fill(7)), true);
    assert.deepEqual(debug.cpu.readMemory(0x9100n, 6000), new Uint8Array(6000).fill(7));
    assert.deepEqual(debug.step(2), { kind: 'debug', reason: 'step', address: BigInt(LOOP_AT + 5) });
    assert.equal(readWord(machine, COUNTER_AT, 4), counter + 1);
    assert.equal(debug.cpus[2].writeRegister('rdx', Uint8Array.of(9, 8, 7, 6, 5, 4, 3, 2)), true);
    assert.deepEqual(debug.cpus[2].readRegister('rdx'), Uint8Array.of(9, 8, 7, 6, 5, 4, 3, 2));
    // Both others come to it, and both are told, one after the other.
    debug.cpus[1].setBreakpoint(BigInt(LOOP_AT));
    while (!stops.some(([cpu]) => cpu === 1)) {
      stopped = Promise.withResolvers();
      machine.resume();
      await stopped.promise;
    }
    for (const cpu of debug.cpus) cpu.clearBreakpoint(BigInt(LOOP_AT));
    // Nobody stops any more, whoever may have come to it meanwhile.
    const stopCount = stops.length;
    const before = readWord(machine, COUNTER_AT, 4);
    do {
      machine.resume();
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(stops.length, stopCount);
      debug.onPause = undefined;
      await machine.pause();
    } while (readWord(machine, COUNTER_AT, 4) === before);
    await machine.stop();
    assert.throws(() => debug.cpus[1].readRegister('rip'), { code: 'STATE' });
  });

  test('pause stops all CPUs, resume lets them go on, reset begins anew', async () => {
    const COUNTER_AT = 0x9000;
    const others = [...ARRIVE, 0x66, 0xff, 0x06, ...word(COUNTER_AT), 0xeb, 0xf9]; // inc dword [counter]; jmp
    await using machine = await create(2, [...startOthers(others), ...waitFor(ARRIVED_AT, 1), ...SAY_A, ...STAY]);
    machine.start();
    const passes = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
    for (let turn = 0; turn < 3; turn++) {
      await machine.serial.waitForOutput('A');
      await machine.pause();
      const first = readWord(machine, COUNTER_AT, 4);
      await passes();
      assert.equal(readWord(machine, COUNTER_AT, 4), first);
      do {
        machine.resume();
        await passes();
        await machine.pause();
      } while (readWord(machine, COUNTER_AT, 4) === first);
      machine.resume();
      machine.reset();
    }
    assert.equal((await machine.stop()).reason, 'stopped');
  });
});
