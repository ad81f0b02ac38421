import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConsoleText } from './console-text.ts';

const ESC = '\u001b';

function printed(...pieces: string[]): ConsoleText {
  const text = new ConsoleText({ rows: 4, columns: 10 });
  for (const piece of pieces) text.write(new TextEncoder().encode(piece));
  return text;
}

test('lines, returns, backspaces and tabs', () => {
  assert.equal(printed('one\r\ntwo').text, 'one\ntwo');
  assert.equal(printed('abc\rX').text, 'Xbc');
  assert.equal(printed('abc\b\bX\u0007').text, 'aXc');
  assert.equal(printed('a\tb').text, 'a       b');
});

test('a full line goes on in the next, but only with the next character', () => {
  assert.equal(printed('0123456789').text, '0123456789');
  assert.equal(printed('0123456789\r\nx').text, '0123456789\nx');
  assert.equal(printed('0123456789x').text, '0123456789\nx');
});

test('the cursor moves within the screen, which is the last lines', () => {
  assert.equal(printed('1\r\n2\r\n3\r\n4\r\n5', `${ESC}[H`, 'X').text, '1\nX\n3\n4\n5');
  assert.equal(printed(`${ESC}[9;9Hx`).text, '\n\n\n        x');
  assert.equal(printed(`abc${ESC}[2Dx${ESC}[Cy${ESC}[1Gz`).text, 'zxcy');
  assert.deepEqual(printed('ab\r\nc').cursor, { line: 1, column: 1 });
});

test('erasing, deleting and inserting', () => {
  assert.equal(printed(`abcdef${ESC}[3D${ESC}[K`).text, 'abc');
  assert.equal(printed(`abcdef${ESC}[3D${ESC}[1K`).text, '    ef');
  assert.equal(printed(`a\r\nb\r\nc${ESC}[2;1H${ESC}[J`).text, 'a\n');
  assert.equal(printed(`a\r\nb${ESC}[2J`).text, '\n');
  assert.equal(printed(`abcdef\r${ESC}[2P`).text, 'cdef');
  assert.equal(printed(`abc\r${ESC}[2@`).text, '  abc');
});

test('colours, titles and modes leave no trace, also in pieces', () => {
  assert.equal(printed(`${ESC}[1;31mred${ESC}[0m`).text, 'red');
  assert.equal(printed(ESC, '[', '1;3', '1mred').text, 'red');
  assert.equal(printed(`${ESC}]0;title\u0007x`, `${ESC}]0;more`, `${ESC}\\y`).text, 'xy');
  assert.equal(printed(`${ESC}[?25l${ESC}(B${ESC}7${ESC}=x`).text, 'x');
  assert.equal(printed('caf', '\u00e9').text, 'café');
});

test('tells where the cursor is when it is asked', () => {
  const answers: string[] = [];
  const text = new ConsoleText({ rows: 4, columns: 10 });
  text.onAnswer = (answer) => answers.push(answer);
  text.write(new TextEncoder().encode(`ab\r\ncd${ESC}[6n`));
  assert.deepEqual(answers, [`${ESC}[2;3R`]);
});

test('old lines are forgotten, and nothing that a guest prints keeps text back for ever', () => {
  const text = printed(`${'x\r\n'.repeat(5000)}end`);
  const lines = text.text.split('\n');
  assert.equal(lines.length, 1000);
  assert.equal(lines[text.cursor.line], 'end');
  assert.match(printed(`${ESC}]0;${'x'.repeat(10_000)}`).text, /x{3}$/);
});
