// `anillo image check`, with qemu-img's statuses: 0 sound, 2 damaged, 3 leaks, 63 the format has no check.

import { type CheckResult, checkImage, type Repair } from '@anillo/disk/qcow2/check';
import { readHeader } from '@anillo/disk/qcow2/header';
import { probeFormat, formatNamed } from '@anillo/disk/formats';
import { imageFiles } from '@anillo/host-node/image-files';
import { isJson, parseImageArguments, printJson, refuse } from './image-arguments.ts';

const percent = (part: number, whole: number): string => `${((whole === 0 ? 0 : part / whole) * 100).toFixed(2)}%`;

function foundText(result: CheckResult): string {
  if (result.corruptions + result.leaks + result.checkErrors === 0) return 'No errors were found on the image.\n';
  return [
    result.corruptions > 0
      ? `\n${result.corruptions} errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt it.\n`
      : '',
    result.leaks > 0
      ? `\n${result.leaks} leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n`
      : '',
    result.checkErrors > 0 ? `\n${result.checkErrors} internal errors have occurred during the check.\n` : '',
  ].join('');
}

function statisticsText(result: CheckResult): string {
  const { allocatedClusters, totalClusters, fragmentedClusters, compressedClusters } = result;
  const clusters =
    totalClusters > 0 && allocatedClusters > 0
      ? `${allocatedClusters}/${totalClusters} = ${percent(allocatedClusters, totalClusters)} allocated, ${percent(fragmentedClusters, allocatedClusters)} fragmented, ${percent(compressedClusters, allocatedClusters)} compressed clusters\n`
      : '';
  return `${clusters}Image end offset: ${result.imageEndOffset}\n`;
}

function resultJson(result: CheckResult, filename: string): Record<string, unknown> {
  const optional = {
    corruptions: result.corruptions,
    leaks: result.leaks,
    'corruptions-fixed': result.corruptionsFixed,
    'leaks-fixed': result.leaksFixed,
    'allocated-clusters': result.allocatedClusters,
    'fragmented-clusters': result.fragmentedClusters,
    'compressed-clusters': result.compressedClusters,
  };
  return {
    'image-end-offset': result.imageEndOffset,
    'total-clusters': result.totalClusters,
    'check-errors': result.checkErrors,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value > 0)),
    filename,
    format: 'qcow2',
  };
}

export async function checkCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseImageArguments(
    'check',
    args,
    {
      format: { type: 'string', short: 'f' },
      repair: { type: 'string', short: 'r' },
      output: { type: 'string' },
      quiet: { type: 'boolean', short: 'q' },
      'force-share': { type: 'boolean', short: 'U' },
    },
    [1, 1],
  );
  const [name] = positionals;
  const repair = (values.repair ?? 'none') as Repair;
  if (values.repair !== undefined && values.repair !== 'leaks' && values.repair !== 'all')
    throw refuse(`-r ${values.repair} is not known; give leaks or all.`);
  const json = isJson(values.output);
  const store = await imageFiles({ isUnlocked: values['force-share'] }).openStore(name, '', repair === 'none');
  try {
    const head = new Uint8Array(4096);
    await store.read(0, [head]);
    const format = values.format === undefined ? probeFormat(head) : formatNamed(values.format);
    if (format?.name !== 'qcow2') {
      process.stderr.write('anillo image: This image format does not support checks\n');
      return 63;
    }
    const result = await checkImage(store, await readHeader(store), repair, (line) => {
      if (values.quiet !== true) process.stderr.write(`${line}\n`);
    });
    if (json) printJson(resultJson(result, name));
    else if (values.quiet !== true) {
      if (result.corruptionsFixed + result.leaksFixed > 0)
        process.stdout.write(
          `The following inconsistencies were found and repaired:\n\n    ${result.leaksFixed} leaked clusters\n    ${result.corruptionsFixed} corruptions\n\nDouble checking the fixed image now...\n`,
        );
      process.stdout.write(foundText(result) + statisticsText(result));
    }
    return result.corruptions > 0 ? 2 : result.leaks > 0 ? 3 : 0;
  } finally {
    await store.close();
  }
}
