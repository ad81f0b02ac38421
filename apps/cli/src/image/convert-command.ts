// `anillo image convert` and `compare`.

import type { Disk } from '@anillo/disk/disk';
import { requireFormat } from '@anillo/disk/open-image';
import { parseByteCount } from '@anillo/disk/qcow2/create';
import { copyDisk, isZero, progressLine } from './copy-disk.ts';
import { createNamed } from './create-command.ts';
import { openNamed, parseCreateOptions, parseImageArguments, refuse } from './image-arguments.ts';

export async function convertCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseImageArguments(
    'convert',
    args,
    {
      format: { type: 'string', short: 'f' },
      target: { type: 'string', short: 'O' },
      options: { type: 'string', short: 'o', multiple: true },
      compress: { type: 'boolean', short: 'c' },
      sparse: { type: 'string', short: 'S' },
      'no-create': { type: 'boolean', short: 'n' },
      snapshot: { type: 'string', short: 'l' },
      progress: { type: 'boolean', short: 'p' },
      quiet: { type: 'boolean', short: 'q' },
      cache: { type: 'string', short: 't' },
      'source-cache': { type: 'string', short: 'T' },
      coroutines: { type: 'string', short: 'm' },
      'out-of-order': { type: 'boolean', short: 'W' },
      'force-share': { type: 'boolean', short: 'U' },
    },
    [2, 2],
  );
  const [source, target] = positionals;
  const format = requireFormat(values.target ?? 'raw');
  const isNew = values['no-create'] !== true;
  const options = parseCreateOptions(values.options);
  if (!isNew && values.options !== undefined)
    throw refuse('-n writes into an image that is there, which -o cannot change; leave one of them out.');
  if (options.backing_file !== undefined)
    throw refuse("A target with a backing file is not supported here; use 'anillo image create -b' and 'rebase'.");
  const snapshot = values.snapshot?.replace(/^snapshot\.(name|id)=/, '');
  const from = await openNamed(source, { isReadOnly: true, format: values.format, snapshot }, values['force-share']);
  let to: Disk | undefined;
  try {
    if (isNew) await createNamed(format, target, from.byteCount, options);
    to = await openNamed(target, { isReadOnly: false, format: isNew || values.target !== undefined ? format.name : undefined });
    if (to.byteCount < from.byteCount)
      throw refuse(`${target} has ${to.byteCount} bytes and ${source} ${from.byteCount}; resize it first.`);
    if (values.compress === true && to.writeCompressed === undefined)
      throw refuse(`Images of format ${to.format} are not written compressed; leave -c out.`);
    const onProgress = progressLine(values.progress === true && values.quiet !== true);
    onProgress(0);
    const sparseBytes = values.sparse === undefined ? 4096 : parseByteCount(values.sparse);
    await copyDisk(from, to, {
      isEmpty: isNew && (options.preallocation ?? 'off') === 'off',
      sparseBytes,
      isCompressed: values.compress === true,
      onProgress,
    });
    onProgress(1);
    if (values.progress === true) process.stdout.write('\n');
  } finally {
    await from.close();
    await to?.close();
  }
  return 0;
}

const STEP = 2 << 20;

/** The first sector of a range in which they differ; undefined where they do not. */
async function firstDifference(
  a: Disk,
  b: Disk,
  start: number,
  end: number,
  onProgress: (part: number) => void,
): Promise<number | undefined> {
  const readPart = async (disk: Disk, offset: number, count: number): Promise<Uint8Array | undefined> => {
    const here = Math.min(count, disk.byteCount - offset);
    if (here <= 0) return undefined;
    const extents = await disk.extents(offset, here);
    if (extents.every(({ kind }) => kind !== 'data') && extents.reduce((sum, { byteCount }) => sum + byteCount, 0) >= here)
      return undefined;
    const bytes = new Uint8Array(count);
    await disk.read(offset, [bytes.subarray(0, here)]);
    return isZero(bytes) ? undefined : bytes;
  };
  for (let at = start; at < end; at += STEP) {
    onProgress(at / end);
    const count = Math.min(STEP, end - at);
    const [left, right] = await Promise.all([readPart(a, at, count), readPart(b, at, count)]);
    if (left === undefined && right === undefined) continue;
    const [x, y] = [left ?? new Uint8Array(count), right ?? new Uint8Array(count)];
    if (Buffer.compare(x, y) === 0) continue;
    // qemu-img tells the sector.
    for (let sector = 0; sector < count; sector += 512)
      if (Buffer.compare(x.subarray(sector, sector + 512), y.subarray(sector, sector + 512)) !== 0) return at + sector;
  }
  return undefined;
}

export async function compareCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseImageArguments(
    'compare',
    args,
    {
      format: { type: 'string', short: 'f' },
      'second-format': { type: 'string', short: 'F' },
      strict: { type: 'boolean', short: 's' },
      progress: { type: 'boolean', short: 'p' },
      quiet: { type: 'boolean', short: 'q' },
      cache: { type: 'string', short: 'T' },
      'force-share': { type: 'boolean', short: 'U' },
    },
    [2, 2],
  );
  const say = (line: string): void => {
    if (values.quiet !== true) process.stdout.write(`${line}\n`);
  };
  const a = await openNamed(positionals[0], { isReadOnly: true, format: values.format }, values['force-share']);
  try {
    const b = await openNamed(positionals[1], { isReadOnly: true, format: values['second-format'] }, values['force-share']);
    try {
      const [shorter, longer] = [a.byteCount, b.byteCount].sort((x, y) => x - y);
      if (shorter !== longer && values.strict === true) {
        say('Strict mode: Image size mismatch!');
        return 1;
      }
      const onProgress = progressLine(values.progress === true);
      let difference = await firstDifference(a, b, 0, shorter, onProgress);
      if (difference === undefined && shorter !== longer) {
        say('Warning: Image size mismatch!');
        difference = await firstDifference(a, b, shorter, longer, onProgress);
      }
      if (difference !== undefined) {
        say(`Content mismatch at offset ${difference}!`);
        return 1;
      }
      say('Images are identical.');
      return 0;
    } finally {
      await b.close();
    }
  } finally {
    await a.close();
  }
}
