// The command line of `npm run bench`.

import { AnilloError } from '@anillo/base/anillo-error';
import { optionHelp, parseOptions } from '@anillo/cli/option-table';
import type { Architecture } from './contender.ts';
import { type Clock, MEASURE_NAMES, MEASURES } from './measures.ts';
import { GROUPS } from './workloads/workload.ts';
import { GROUP_NAMES } from './workloads/workloads.ts';

const OPTIONS = {
  only: { argument: 'NAMES', help: `What --list names, with commas; ${GROUP_NAMES.join(', ')} stand for all of their kind.` },
  runs: { argument: 'N', help: 'Rounds; each runs everything once. Default: 3.' },
  guest: { argument: 'NAME', help: "amd64 or i386: Debian's cloud kernel or its 686 kernel. Default: amd64.", choices: ['amd64', 'i386'] },
  cpus: { argument: 'N', help: 'CPUs of the guest, for Anillo and QEMU. Default: 1.' },
  beside: { argument: 'NAMES', help: 'Some of qemu,v86,native, or none. Default: all that can run the guest.' },
  clock: {
    argument: 'NAME',
    help: 'wall: what passes. cpu: what each process uses, for a machine with other work to do. Default: wall.',
    choices: ['wall', 'cpu'],
  },
  json: { argument: 'FILE', help: 'Writes every sample there.' },
  svg: { argument: 'FILE', help: 'Draws the chart there. Default: docs/bench.svg when all of the amd64 guest is measured.' },
  list: { help: 'Tells what can be measured.' },
  help: { short: '-h', help: 'This text.' },
} as const;

export const BENCH_HELP = `Usage: npm run bench -- [OPTION...]

Measures Anillo beside QEMU TCG with the same guest on this machine, in turns, and prints minima and medians; a 32-bit guest
beside v86 too, and what is no guest's matter on the host's CPU itself. Each workload runs twice in a boot: cold, then warm.
Close other programs: the processors should have nothing else to do.

${optionHelp(OPTIONS)}
`;

const BESIDE = ['qemu', 'v86', 'native'] as const;
export type Beside = (typeof BESIDE)[number];

export interface BenchOptions {
  readonly help: boolean;
  readonly list: boolean;
  readonly names: readonly string[];
  readonly runs: number;
  readonly guest: Architecture;
  readonly cpus: number | undefined;
  readonly beside: readonly Beside[];
  readonly clock: Clock;
  readonly json: string | undefined;
  readonly svg: string | undefined;
}

function namesOf(only: string | undefined): readonly string[] {
  if (only === undefined) return MEASURE_NAMES;
  return [
    ...new Set(
      only.split(',').flatMap((name) => {
        const found = MEASURES.filter((measure) => measure.name === name || measure.group === name).map((measure) => measure.name);
        if (found.length > 0) return found;
        throw new AnilloError(
          'BAD_OPTION',
          `--only does not know "${name}"; choose among ${[...GROUP_NAMES, ...MEASURE_NAMES].join(', ')}.`,
        );
      }),
    ),
  ];
}

function besideOf(text: string | undefined): readonly Beside[] {
  if (text === undefined) return BESIDE;
  const names = text === 'none' ? [] : text.split(',');
  const strange = names.find((name) => !BESIDE.some((known) => known === name));
  if (strange !== undefined)
    throw new AnilloError('BAD_OPTION', `--beside does not know "${strange}"; choose among ${BESIDE.join(', ')}, none.`);
  return BESIDE.filter((name) => names.includes(name));
}

function wholeNumber(option: string, text: string, most: number): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (value === 0 || value > most) throw new AnilloError('BAD_OPTION', `${option} takes a number from 1 to ${most}, not "${text}".`);
  return value;
}

/** AnilloError BAD_OPTION for what does not fit. */
export function benchOptions(args: readonly string[]): BenchOptions {
  const values = parseOptions('npm run bench --', OPTIONS, args);
  const { only, runs = '3', guest = 'amd64', clock = 'wall', cpus, json } = values;
  const isWhole = only === undefined && guest === 'amd64' && clock === 'wall' && cpus === undefined;
  return {
    ...{ names: namesOf(only), runs: wholeNumber('--runs', runs, 9999), beside: besideOf(values.beside) },
    ...{ json, help: values.help === true, list: values.list === true },
    cpus: cpus === undefined ? undefined : wholeNumber('--cpus', cpus, 255),
    guest: guest as Architecture,
    clock: clock as Clock,
    svg: values.svg ?? (isWhole ? 'docs/bench.svg' : undefined),
  };
}

/** What `--only` takes, a line each. */
export function benchList(): string {
  const width = Math.max(...MEASURE_NAMES.map((name) => name.length));
  const row = (name: string, title: string): string => `  ${name.padEnd(width)}  ${title}\n`;
  const distinct = new Map(MEASURES.toReversed().map((measure) => [measure.name, measure]));
  const rows = (group: string | undefined): string =>
    MEASURE_NAMES.flatMap((name) => distinct.get(name) ?? [])
      .filter((measure) => measure.group === group)
      .map(({ name, title }) => row(name, title.replace(`${name}: `, '')))
      .join('');
  return `Machine\n${rows(undefined)}${GROUP_NAMES.map((group) => `${group}: ${GROUPS[group]}\n${rows(group)}`).join('')}`;
}
