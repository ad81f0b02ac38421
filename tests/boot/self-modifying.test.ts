// A guest that rewrites its own code: the instruction after the one that stores, a function in another page, and data beside code, thousands of times.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine } from 'anillo';
import { tinyFirmware } from './tiny-firmware.ts';

const TURNS = 6_000;
const low = (value: number): number => value & 0xff;
const word = (value: number): readonly [number, number] => [low(value), low(value >> 8)];

const PROGRAM_AT = 0x1000;
const COUNTER_AT = 0x1f00;
const FUNCTION_AT = 0x3000;

/** Adds the turns up three times: in BL by an immediate that it increments, in BH by what a function returns that is written anew, in memory beside the code. */
const LOOP_AT = 5;
const program = [
  ...[0xb9, ...word(TURNS)], // mov cx, TURNS
  ...[0x31, 0xdb], // xor bx, bx
  ...[0xfe, 0x06, ...word(PROGRAM_AT + LOOP_AT + 6)], // loop: inc byte [its immediate]
  ...[0x80, 0xc3, 0x00], // add bl, 0
  ...[0x88, 0x0e, ...word(FUNCTION_AT + 1)], // mov [FUNCTION_AT + 1], cl
  ...[0xe8, ...word(FUNCTION_AT - (PROGRAM_AT + LOOP_AT + 14))], // call FUNCTION_AT
  ...[0x00, 0xc7], // add bh, al
  ...[0x01, 0x0e, ...word(COUNTER_AT)], // add [COUNTER_AT], cx
  ...[0xe2, low(-22)], // loop
  ...[0x33, 0x1e, ...word(COUNTER_AT)], // xor bx, [COUNTER_AT]
  ...[0x30, 0xfb, 0x88, 0xd8, 0xe6, 0xf4, 0xf4], // xor bl, bh; mov al, bl; out 0xf4, al; hlt
];

const SOURCE_AT = 0xf080;
const copyOf = (program: readonly number[]): readonly number[] => [
  ...[0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0], // ds = es = ss = 0
  ...[0xbc, ...word(0x800)], // mov sp, 0x800
  ...[0xbe, ...word(SOURCE_AT), 0xbf, ...word(PROGRAM_AT), 0xb9, ...word(program.length)], // si, di, cx
  ...[0xf3, 0x2e, 0xa4], // rep movs byte es:[di], cs:[si]
  ...[0xc6, 0x06, ...word(FUNCTION_AT), 0xb0], // mov al, ...
  ...[0xc6, 0x06, ...word(FUNCTION_AT + 2), 0xc3], // ret
  ...[0xc7, 0x06, ...word(COUNTER_AT), 0, 0], // mov word [COUNTER_AT], 0
  ...[0xea, ...word(PROGRAM_AT), 0, 0], // jmp 0:PROGRAM_AT
];
/** Copies the program to RAM, for ROM is not written, and jumps there. */
function firmwareOf(program: readonly number[]): Uint8Array {
  const copy = copyOf(program);
  const padding = new Array<number>(SOURCE_AT - 0xf000 - copy.length).fill(0x90);
  return tinyFirmware([...copy, ...padding, ...program]);
}
const DEVICES = [{ model: 'isa-debug-exit', iobase: 0xf4, iosize: 4 }];

const SUM = (TURNS * (TURNS + 1)) / 2;
/** The low bytes of BX and of the counter are the same. */
const EXPECTED = low(SUM) ^ low(SUM >> 8);

for (const accel of ['jit', 'interp'] as const) {
  test(`new code is executed at once (${accel})`, { timeout: 300_000 }, async () => {
    await using machine = await Machine.create({ bios: firmwareOf(program), accel, devices: DEVICES });
    machine.start();
    const { reason, status } = await machine.waitForExit();
    assert.deepEqual([reason, status], ['debug-exit', low((EXPECTED << 1) | 1)]);
  });
}

test('what one instruction overwrites in two places is executed anew in both', { timeout: 300_000 }, async () => {
  // PUSHA puts SI and BP at FIRST_AT, and BX and DX 6 bytes on, in the next 64 bytes.
  const FIRST_AT = PROGRAM_AT + 0x13a;
  const SECOND_AT = FIRST_AT + 6;
  const loop = [
    ...[0x88, 0xcf, 0xb3, 0xb0, 0xba, 0xc3, 0x00], // mov bh, cl; mov bl, 0xb0; mov dx, 0xc3: mov al, cl; ret
    ...[0x89, 0xde, 0x83, 0xc6, 0x04, 0xbd, 0xc3, 0x90], // mov si, bx; add si, 4; mov bp, 0x90c3: mov ah, cl; ret
    ...[0xbc, ...word(SECOND_AT + 8), 0x60, 0xbc, ...word(0x800)], // mov sp, SECOND_AT + 8; pusha; mov sp, 0x800
  ];
  const callsAt = PROGRAM_AT + LOOP_AT + loop.length;
  const writing = [
    ...[0xb9, ...word(TURNS), 0x31, 0xff], // mov cx, TURNS; xor di, di
    ...loop,
    ...[0xe8, ...word(FIRST_AT - callsAt - 3), 0xe8, ...word(SECOND_AT - callsAt - 6)], // call FIRST_AT; call SECOND_AT
    ...[0x01, 0xc7, 0xe2, low(-(loop.length + 10))], // add di, ax; loop
    ...[0x89, 0xf8, 0x30, 0xe0, 0xe6, 0xf4, 0xf4], // mov ax, di; xor al, ah; out 0xf4, al; hlt
  ];
  await using machine = await Machine.create({ bios: firmwareOf(writing), devices: DEVICES });
  machine.start();
  const sum = Array.from({ length: TURNS }, (_, i) => 0x101 * low(i + 1)).reduce((a, b) => a + b);
  assert.equal((await machine.waitForExit()).status, low(((low(sum) ^ low(sum >> 8)) << 1) | 1));
});

test('a store that begins beside code and ends in it is seen', { timeout: 300_000 }, async () => {
  const CHANGING_AT = FUNCTION_AT + 0x40;
  const loop = [
    ...[0x88, 0x0e, ...word(FUNCTION_AT + 0x100)], // mov [FUNCTION_AT + 0x100], cl
    ...[0x88, 0xcc, 0x80, 0xe4, 0x04, 0x80, 0xcc, 0xb0], // mov ah, cl; and ah, 4; or ah, 0xb0: mov al, 5 or mov ah, 5
    ...[0xa3, ...word(CHANGING_AT - 1), 0x31, 0xc0], // mov [CHANGING_AT - 1], ax; xor ax, ax
  ];
  const start = [0xc7, 0x06, ...word(CHANGING_AT + 1), 0x05, 0xc3, 0xb9, ...word(TURNS), 0x31, 0xdb]; // mov word, 5; ret; mov cx, TURNS; xor bx, bx
  const changing = [
    ...start,
    ...loop,
    ...[0xe8, ...word(CHANGING_AT - (PROGRAM_AT + start.length + loop.length + 3))], // call CHANGING_AT
    ...[0x01, 0xc3, 0xe2, low(-(loop.length + 7))], // add bx, ax; loop
    ...[0x89, 0xd8, 0x30, 0xe0, 0xe6, 0xf4, 0xf4], // mov ax, bx; xor al, ah; out 0xf4, al; hlt
  ];
  await using machine = await Machine.create({ bios: firmwareOf(changing), devices: DEVICES });
  machine.start();
  const sum = Array.from({ length: TURNS }, (_, i): number => ((i + 1) & 4 ? 0x500 : 5)).reduce((a, b) => a + b);
  assert.equal((await machine.waitForExit()).status, low(((low(sum) ^ low(sum >> 8)) << 1) | 1));
});

test('stores beside code are done without the host', { timeout: 300_000 }, async () => {
  const adding = [
    ...[0xb9, ...word(TURNS)], // mov cx, TURNS
    ...[0x89, 0x0e, ...word(COUNTER_AT)], // loop: mov [COUNTER_AT], cx
    ...[0x01, 0x0e, ...word(COUNTER_AT)], // add [COUNTER_AT], cx
    ...[0xe2, low(-10)], // loop
    ...[0xa0, ...word(COUNTER_AT), 0xe6, 0xf4, 0xf4], // mov al, [COUNTER_AT]; out 0xf4, al; hlt
  ];
  await using machine = await Machine.create({ bios: firmwareOf(adding), devices: DEVICES });
  machine.start();
  assert.deepEqual(await machine.waitForExit().then(({ status }) => status), (2 << 1) | 1);
  assert.ok((machine.stats().exits.slowAccess ?? 0) < 100, JSON.stringify(machine.stats()));
});
