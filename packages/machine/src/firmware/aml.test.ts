import assert from 'node:assert/strict';
import { test } from 'node:test';
import { device, eisaId, integer, name, packageOf, scope, string } from './aml.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('integers take the shortest form', () => {
  assert.deepEqual(
    [0, 1, 2, 0x100, 0x10000, 0x1_0000_0000].map((n) => hex(integer(n))),
    ['00', '01', '0a02', '0b0001', '0c00000100', '0e0000000001000000'],
  );
});

test('EISA ids are compressed as the specification does', () => {
  assert.equal(hex(eisaId('PNP0A03')), '0c41d00a03');
});

test('names have one, two or more segments', () => {
  assert.equal(hex(name('\\_S5', integer(0))), '085c5f53355f00');
  assert.equal(hex(name('A.B', integer(0))), '082e415f5f5f425f5f5f00');
  assert.equal(hex(name('A.B.C', integer(0))), '082f03415f5f5f425f5f5f435f5f5f00');
});

test('package lengths count themselves, in one, two and three bytes', () => {
  assert.equal(hex(packageOf(integer(5))), '12040 10a05'.replace(' ', ''));
  const body = (count: number) => device('DEV0', string('x'.repeat(count)));
  const lead = (bytes: Uint8Array): number[] => [...bytes.subarray(2, 5)];
  const small = body(56); // 4 + 58 + 1 = 63
  assert.deepEqual([lead(small)[0], small.length], [0x3f, 65]);
  const medium = body(57); // 4 + 59 + 2 = 65
  assert.deepEqual([lead(medium).slice(0, 2), medium.length], [[0x41, 0x04], 67]);
  const large = scope('\\', string('x'.repeat(5000)));
  const total = large.length - 1;
  assert.deepEqual([...large.subarray(1, 4)], [0x80 | (total & 0xf), (total >> 4) & 0xff, total >> 12]);
});
