// What the workloads work on: the files of bench/inputs, and larger ones made from a seed, the same everywhere.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const INPUTS = join(import.meta.dirname, '../inputs');
const WORDS_BYTES = 2_000_000;
const PROGRAM_LINES = 2_000;
const ROWS = 50_000;
const SYLLABLES = 'ba ce di fo gu ka le mi no pu ra se ti vo xu an er is ou th'.split(' ');

/** Mulberry32: numbers from 0 up to `below`. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) % below;
  };
}

/** Lines of words of which some are frequent, as in a language, and here and there a number. */
function words(): string {
  const below = randomNumbers(1);
  const vocabulary = Array.from({ length: 4000 }, () => Array.from({ length: 1 + below(4) }, () => SYLLABLES[below(20)]).join(''));
  const lines: string[] = [];
  for (let length = 0; length < WORDS_BYTES; ) {
    const line = Array.from({ length: 4 + below(10) }, () =>
      below(25) === 0 ? String(below(10_000)) : vocabulary[below(1 + below(4000))],
    );
    length += lines.push(line.join(' ')) && lines.at(-1)!.length + 1;
  }
  return `${lines.join('\n')}\n`;
}

/** Functions of ten lines each, with loops, branches, tables and calls of the one before; includes nothing. */
function program(): string {
  const below = randomNumbers(2);
  const functions = Array.from({ length: PROGRAM_LINES / 10 }, (_, index) => {
    const previous = index === 0 ? 'a ^ b' : `f${index - 1}(b, a & ${1 + below(7)})`;
    return `static const int t${index}[4] = {${below(100)}, ${below(100)}, ${below(100)}, ${below(100)}};
int f${index}(int a, int b) {
  int sum = ${below(1000)};
  for (int i = 0; i < (b & 15); i++) {
    sum += t${index}[i & 3] * a + (i << ${1 + below(5)});
    if (sum % ${2 + below(30)} == ${below(2)}) a -= i; else b ^= sum >> ${1 + below(6)};
    while (a > ${1000 + below(9000)}) a /= ${2 + below(5)};
  }
  return a > b ? sum - b : sum + ${previous};
}
`;
  });
  return functions.join('');
}

function insertSql(): string {
  const below = randomNumbers(3);
  const rows = Array.from(
    { length: ROWS },
    (_, id) => `INSERT INTO rows VALUES(${id},${below(1000)},'name ${below(5000)}',${below(1e6) / 8});`,
  );
  return `CREATE TABLE rows(id INTEGER PRIMARY KEY, number INT, name TEXT, ratio REAL);
CREATE INDEX by_name ON rows(name);
BEGIN;
${rows.join('\n')}
COMMIT;
`;
}

const SELECT_SQL = `SELECT number, count(*), sum(ratio), max(name) FROM rows GROUP BY number ORDER BY 3 DESC LIMIT 50;
SELECT count(*), sum(a.id) FROM rows a JOIN rows b ON a.name = b.name WHERE b.number < 300;
SELECT name, ratio FROM rows WHERE name LIKE '%77%' ORDER BY ratio, name LIMIT 100;
SELECT avg(length(name) * ratio), total(abs(number - 500)) FROM rows WHERE id % 3 <> 0;
`;

/** Content by file name. */
export function inputFiles(): ReadonlyMap<string, string> {
  const fixed = readdirSync(INPUTS).map((name): [string, string] => [name, readFileSync(join(INPUTS, name), 'utf8')]);
  const made: [string, string][] = [
    ['words.txt', words()],
    ['program.c', program()],
    ['insert.sql', insertSql()],
    ['select.sql', SELECT_SQL],
  ];
  return new Map([...fixed, ...made]);
}
