// Command-line options from one declaration: parsing, help text and error messages derive from the table.

import { AnilloError } from '@anillo/base/anillo-error';

export interface Option {
  /** Word for the argument in the help text; absent: a switch. */
  readonly argument?: string;
  readonly help: string;
  /** The only values allowed. */
  readonly choices?: readonly string[];
  /** May be given more than once. */
  readonly repeatable?: boolean;
  /** Another spelling, such as -h. */
  readonly short?: string;
}

export type OptionTable = Readonly<Record<string, Option>>;

export type OptionValues<T extends OptionTable> = {
  readonly [K in keyof T]?: T[K] extends { readonly repeatable: true }
    ? readonly string[]
    : T[K] extends { readonly argument: string }
      ? string
      : true;
};

/** Number of single-character edits between two words (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

/** The most similar of the known words; undefined when none is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((name) => ({ name, distance: name.startsWith(word) ? 1 : editDistance(word, name) }))
    .sort((a, b) => a.distance - b.distance);
  return ranked.length > 0 && ranked[0].distance <= Math.max(2, word.length / 3) ? ranked[0].name : undefined;
}

function unknown(program: string, word: string, table: OptionTable): AnilloError {
  const close = nearest(word.replace(/^-*/, '').replace(/=.*$/s, ''), Object.keys(table));
  const hint = close === undefined ? `'${program} --help' lists the options` : `did you mean --${close}?`;
  return new AnilloError('BAD_OPTION', `There is no option ${word.replace(/=.*$/s, '')}; ${hint}${close === undefined ? '.' : ''}`);
}

function checked(name: string, option: Option, value: string): string {
  if (option.choices === undefined || option.choices.includes(value)) return value;
  const close = nearest(value, option.choices);
  throw new AnilloError(
    'BAD_OPTION',
    `--${name} does not take "${value}"; ${close === undefined ? `choose one of ${option.choices.join(', ')}.` : `did you mean ${close}?`}`,
  );
}

/** `--name value` and `--name=value`; a bare `--` is skipped. AnilloError BAD_OPTION for what does not fit the table. */
export function parseOptions<const T extends OptionTable>(program: string, table: T, args: readonly string[]): OptionValues<T> {
  const values: Record<string, string | true | string[]> = {};
  for (let at = 0; at < args.length; at++) {
    const word = args[at];
    if (word === '--') continue;
    const equals = word.indexOf('=');
    const spelled = equals < 0 ? word : word.slice(0, equals);
    const name = Object.keys(table).find(
      (key) => spelled === `--${key}` || (table[key].short !== undefined && spelled === table[key].short),
    );
    if (name === undefined) {
      if (word.startsWith('-')) throw unknown(program, word, table);
      throw new AnilloError('BAD_OPTION', `"${word}" stands alone; every value needs its option, see '${program} --help'.`);
    }
    const option: Option = table[name];
    if (option.argument === undefined) {
      if (equals >= 0) throw new AnilloError('BAD_OPTION', `--${name} takes no value; leave out "${word.slice(equals)}".`);
      values[name] = true;
      continue;
    }
    const value = equals < 0 ? args[++at] : word.slice(equals + 1);
    if (value === undefined) throw new AnilloError('BAD_OPTION', `--${name} needs a value: --${name} ${option.argument}.`);
    const earlier = values[name];
    if (option.repeatable === true) values[name] = [...(Array.isArray(earlier) ? earlier : []), checked(name, option, value)];
    else if (earlier !== undefined) throw new AnilloError('BAD_OPTION', `--${name} is given twice; give it once.`);
    else values[name] = checked(name, option, value);
  }
  return values as OptionValues<T>;
}

const HELP_COLUMN = 24;

export function optionHelp(table: OptionTable): string {
  return Object.entries(table)
    .map(([name, { argument, help, short }]) => {
      const left = `  ${short === undefined ? '' : `${short}, `}--${name}${argument === undefined ? '' : ` ${argument}`}`;
      const lines = help.split('\n').map((line) => ' '.repeat(HELP_COLUMN) + line);
      return left.length < HELP_COLUMN ? left.padEnd(HELP_COLUMN) + lines.join('\n').slice(HELP_COLUMN) : `${left}\n${lines.join('\n')}`;
    })
    .join('\n');
}
