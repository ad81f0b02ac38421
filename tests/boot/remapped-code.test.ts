// A guest that maps other code at the address of a function again and again: INVLPG and loads of CR3 must reach what compiled code knows of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine } from 'anillo';
import { tinyElf } from '@anillo/machine/boot/tiny-images';

const TURNS = 20_000;
const PROGRAM_AT = 0x10_0000;
const DIRECTORY_AT = 0x11_0000;
const IDENTITY_AT = 0x11_1000;
const TABLE_AT = 0x11_2000;
const FUNCTIONS_AT = 0x12_0000;
const PAGE = 4096;
/** Where the functions are mapped. */
const LINEAR = 0x80_0000;
const WRITABLE = 3;
const RESULTS = [1, 7] as const;

const dword = (value: number): readonly number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
const tableOf = (entries: readonly number[]): Uint8Array => Uint8Array.from(entries.flatMap(dword));

const CALL = [0xff, 0xd7, 0x01, 0xc3] as const; // call edi; add ebx, eax
/** xor dword [TABLE_AT], PAGE: maps the other function. */
const CHANGE = [0x81, 0x35, ...dword(TABLE_AT), ...dword(PAGE)] as const;
/** Most calls come from compiled code, which knows the function that was there. */
const LOOP = [
  ...[0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8], // mov eax, cr3; mov cr3, eax
  ...CALL,
  ...CHANGE,
  ...[0x0f, 0x01, 0x3f], // invlpg [edi]
  ...CALL,
  ...CHANGE,
  0x4e, // dec esi
] as const;
const EXPECTED = TURNS * (RESULTS[0] + RESULTS[1]);
const program = [
  ...[0xbc, ...dword(0x13_0000)], // mov esp
  ...[0xb8, ...dword(DIRECTORY_AT), 0x0f, 0x22, 0xd8], // mov eax, DIRECTORY_AT; mov cr3, eax
  ...[0x0f, 0x20, 0xc0, 0x0d, ...dword(0x8000_0000), 0x0f, 0x22, 0xc0], // CR0.PG
  ...[0x31, 0xdb, 0xbe, ...dword(TURNS), 0xbf, ...dword(LINEAR)], // xor ebx, ebx; mov esi; mov edi
  ...LOOP,
  ...[0x75, -(LOOP.length + 2) & 0xff], // jnz
  ...[0x81, 0xfb, ...dword(EXPECTED), 0x0f, 0x95, 0xc0, 0xe6, 0xf4, 0xf4], // cmp ebx; setne al; out 0xf4, al; hlt
];
const kernel = tinyElf({
  bits: 32,
  entry: PROGRAM_AT,
  pvhEntry: PROGRAM_AT,
  segments: [
    { address: PROGRAM_AT, bytes: Uint8Array.from(program) },
    { address: DIRECTORY_AT, bytes: tableOf([IDENTITY_AT | WRITABLE, 0, TABLE_AT | WRITABLE]), byteCount: PAGE },
    { address: IDENTITY_AT, bytes: tableOf(Array.from({ length: 1024 }, (_, page) => (page * PAGE) | WRITABLE)) },
    { address: TABLE_AT, bytes: tableOf([FUNCTIONS_AT | WRITABLE]), byteCount: PAGE },
    // mov eax, result; ret
    ...RESULTS.map((result, i) => ({ address: FUNCTIONS_AT + i * PAGE, bytes: Uint8Array.of(0xb8, ...dword(result), 0xc3) })),
  ],
});

for (const accel of ['jit', 'interp'] as const) {
  test(`code that is mapped anew is executed at once (${accel})`, { timeout: 300_000 }, async () => {
    await using machine = await Machine.create({
      kernel,
      accel,
      memory: 32,
      translationCache: false,
      devices: [{ model: 'isa-debug-exit', iobase: 0xf4, iosize: 4 }],
    });
    machine.start();
    const { reason, status } = await machine.waitForExit();
    assert.deepEqual([reason, status], ['debug-exit', 1]);
  });
}
