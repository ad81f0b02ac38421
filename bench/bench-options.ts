// The command line of `npm run bench`.

import { AnilloError } from '@anillo/base/anillo-error';
import { optionHelp, parseOptions } from '@anillo/cli/option-table';
import { MEASURE_NAMES } from './measures.ts';

const OPTIONS = {
  only: { argument: 'NAMES', help: `Some of ${MEASURE_NAMES.join(',')}.` },
  runs: { argument: 'N', help: 'Rounds; each runs everything once. Default: 5.' },
  guest: { argument: 'NAME', help: "amd64 or i386: Debian's cloud kernel or its 686 kernel. Default: amd64.", choices: ['amd64', 'i386'] },
  json: { argument: 'FILE', help: 'Writes every sample there.' },
  svg: { argument: 'FILE', help: 'Draws the chart there. Default: docs/bench.svg when all of the amd64 guest is measured.' },
  help: { short: '-h', help: 'This text.' },
} as const;

export const BENCH_HELP = `Usage: npm run bench -- [OPTION...]

Measures Anillo beside QEMU TCG with the same guest on this machine, in turns, and prints minima and medians.
Close other programs: the processors should have nothing else to do.

${optionHelp(OPTIONS)}
`;

export interface BenchOptions {
  readonly help: boolean;
  readonly names: readonly string[];
  readonly runs: number;
  readonly guest: 'amd64' | 'i386';
  readonly json: string | undefined;
  readonly svg: string | undefined;
}

/** AnilloError BAD_OPTION for what does not fit. */
export function benchOptions(args: readonly string[]): BenchOptions {
  const values = parseOptions('npm run bench --', OPTIONS, args);
  const names = values.only === undefined ? MEASURE_NAMES : [...new Set(values.only.split(','))];
  const strange = names.find((name) => !MEASURE_NAMES.includes(name));
  if (strange !== undefined)
    throw new AnilloError('BAD_OPTION', `--only does not know "${strange}"; choose among ${MEASURE_NAMES.join(', ')}.`);
  const { runs: runsText = '5', guest = 'amd64' } = values;
  const runs = /^\d{1,4}$/.test(runsText) ? Number(runsText) : 0;
  if (runs === 0) throw new AnilloError('BAD_OPTION', `--runs takes a number from 1 to 9999, not "${runsText}".`);
  const isWhole = values.only === undefined && guest === 'amd64';
  return {
    ...{ names, runs, json: values.json, help: values.help === true },
    guest: guest as 'amd64' | 'i386',
    svg: values.svg ?? (isWhole ? 'docs/bench.svg' : undefined),
  };
}
