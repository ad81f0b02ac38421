import assert from 'node:assert/strict';
import { test } from 'node:test';
import { optionHelp, parseOptions } from './option-table.ts';
import { RUN_OPTIONS } from './run-command.ts';

const parse = (...args: string[]): unknown => parseOptions('anillo run', RUN_OPTIONS, args);
const refused = (message: RegExp, ...args: string[]): void => {
  assert.throws(() => parse(...args), { name: 'AnilloError', code: 'BAD_OPTION', message });
};

test('values, switches, repeated options and both spellings', () => {
  assert.deepEqual(parse('--kernel', 'k', '--memory=1G', '--stats', '--', '--serial', 'none', '--serial=stdio', '-h'), {
    kernel: 'k',
    memory: '1G',
    stats: true,
    serial: ['none', 'stdio'],
    help: true,
  });
  assert.deepEqual(parse('--append', '--not-an-option a=b'), { append: '--not-an-option a=b' });
  assert.deepEqual(parse('--append=a=b'), { append: 'a=b' });
});

test('each mistake has its sentence', () => {
  refused(/no option --kernal; did you mean --kernel\?/, '--kernal', 'x');
  refused(/no option --mem; did you mean --memory\?/, '--mem=1');
  refused(/no option --xyzzy-plugh; 'anillo run --help' lists/, '--xyzzy-plugh');
  refused(/--kernel needs a value: --kernel FILE/, '--kernel');
  refused(/--kernel is given twice/, '--kernel', 'a', '--kernel', 'b');
  refused(/--stats takes no value/, '--stats=1');
  refused(/--accel does not take "jitt"; did you mean jit\?/, '--accel', 'jitt');
  refused(/"vmlinuz" stands alone/, 'vmlinuz');
});

test('the help names every option', () => {
  const help = optionHelp(RUN_OPTIONS);
  for (const name of Object.keys(RUN_OPTIONS)) assert.match(help, new RegExp(`--${name}\\b`));
  assert.ok(help.split('\n').every((line) => line.length <= 100));
});
