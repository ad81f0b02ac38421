// What the guest of a soak does again and again: each piece of work with the answer that it must give, known before from the host.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';

export interface SoakWork {
  readonly name: string;
  /** Shell text that leaves its answer in $answer; a blank ends it. */
  readonly shell: string;
  readonly expected: string;
}

/** Where the guest has the programs of bench/programs. */
export const PROGRAMS_PATH = '/soak/programs';

const MIB = 1 << 20;
const LOOP_TURNS = 2500;
const NUMBERS = 6000;
const SEVENTHS = 6000;
const SHA_MIB = 4;
const FORKS = 40;
const FILES = 50;
const LINES = 8000;
const SIGNALS = 60;

const digest = (algorithm: 'sha256' | 'md5', text: string | Uint8Array): string => createHash(algorithm).update(text).digest('hex');
const numbersUpTo = (count: number): string => Array.from({ length: count }, (_, i) => `${i + 1}\n`).join('');

function loopResult(): string {
  let s = 1;
  for (let i = 0; i < LOOP_TURNS; i++) s = (s * 31 + i) % 65_536;
  return String(s);
}

function seventhsResult(): string {
  let sum = 0;
  for (let i = 1; i <= SEVENTHS; i++) sum += i / 7;
  return sum.toFixed(6);
}

const SHELL_WORK: readonly SoakWork[] = [
  {
    name: 'shell-loop',
    shell: `s=1; i=0; while [ $i -lt ${LOOP_TURNS} ]; do s=$(((s * 31 + i) % 65536)); i=$((i + 1)); done; answer=$s`,
    expected: loopResult(),
  },
  {
    name: 'sha256',
    shell: `answer=$(dd if=/dev/zero bs=1M count=${SHA_MIB} 2>/dev/null | sha256sum)`,
    expected: digest('sha256', new Uint8Array(SHA_MIB * MIB)),
  },
  { name: 'gzip', shell: `answer=$(seq ${NUMBERS} | gzip -9 | gunzip | md5sum)`, expected: digest('md5', numbersUpTo(NUMBERS)) },
  {
    name: 'awk',
    shell: `answer=$(awk 'BEGIN { for (i = 1; i <= ${SEVENTHS}; i++) s += i / 7; printf "%.6f", s }')`,
    expected: seventhsResult(),
  },
  { name: 'fork', shell: `n=0; while [ $n -lt ${FORKS} ]; do n=$(echo $((n + 1))); done; answer=$n`, expected: String(FORKS) },
  {
    name: 'files',
    shell: `mkdir d; i=0; while [ $i -lt ${FILES} ]; do echo $i >d/$i; i=$((i + 1)); done; answer=$(cat d/* | sort -n | md5sum); rm -r d`,
    expected: digest('md5', Array.from({ length: FILES }, (_, i) => `${i}\n`).join('')),
  },
  { name: 'pipes', shell: `answer=$(yes | head -n ${LINES} | tr y n | grep -c n)`, expected: String(LINES) },
  {
    name: 'signals',
    shell: `n=0; trap 'n=$((n + 1))' USR1; i=0; while [ $i -lt ${SIGNALS} ]; do kill -USR1 $$; i=$((i + 1)); done; trap - USR1; answer=$n`,
    expected: String(SIGNALS),
  },
  {
    // Wakes from its timers not too early and not much too late.
    name: 'timers',
    shell: `a=$EPOCHREALTIME; usleep 30000; usleep 30000; usleep 30000; us=$((\${EPOCHREALTIME/./} - \${a/./})); answer=$us
[ $us -ge 90000 ] && [ $us -lt 3000000 ] && answer=slept`,
    expected: 'slept',
  },
];

/** Of bench/programs, with counts that are a fraction of the bench's: what a shell cannot do. */
const PROGRAMS: readonly (readonly [name: string, count: number])[] = [
  ['rewrite', 500],
  ['page-fault', 1],
  ['mprotect', 1],
  ['signal', 1],
  ['fork-only', 8],
  ['pipe', 60],
  ['nbody', 4000],
  ['sort', 2],
  ['sha256-c', 2],
];

/** `programs`: the compiled bench/programs on this host, which says what is right; undefined: without them. */
export function soakWork(programs: string | undefined): readonly SoakWork[] {
  if (programs === undefined) return SHELL_WORK;
  const own = PROGRAMS.map(([name, count]) => {
    const { stdout } = spawnSync(programs, [name, String(count)], { encoding: 'utf8' });
    return { name, shell: `answer=$(${PROGRAMS_PATH} ${name} ${count})`, expected: stdout.trim() };
  });
  return [...SHELL_WORK, ...own];
}
