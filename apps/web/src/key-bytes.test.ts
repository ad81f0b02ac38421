import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyBytes, type PressedKey } from './key-bytes.ts';

const press = (key: string, held: Partial<PressedKey> = {}): string | undefined =>
  keyBytes({ key, ctrlKey: false, altKey: false, metaKey: false, ...held });

test('keys become what a terminal sends for them', () => {
  assert.equal(press('a'), 'a');
  assert.equal(press('€'), '€');
  assert.equal(press('Enter'), '\r');
  assert.equal(press('Backspace'), '\u007f');
  assert.equal(press('ArrowUp'), '\u001b[A');
  assert.equal(press('c', { ctrlKey: true }), '\u0003');
  assert.equal(press('[', { ctrlKey: true }), '\u001b');
  assert.equal(press(' ', { ctrlKey: true }), '\0');
  assert.equal(press('b', { altKey: true }), '\u001bb');
  assert.equal(press('@', { ctrlKey: true, altKey: true }), '\u001b@');
});

test('others are left to the browser', () => {
  assert.equal(press('Shift'), undefined);
  assert.equal(press('F5'), undefined);
  assert.equal(press('1', { ctrlKey: true }), undefined);
  assert.equal(press('v', { metaKey: true }), undefined);
});
