// `anillo image resize`, `snapshot`, `commit` and `rebase`: changes of an image that is there.

import type { Disk } from '@anillo/disk/disk';
import { requireFormat } from '@anillo/disk/open-image';
import { parseByteCount } from '@anillo/disk/qcow2/create';
import { Qcow2Disk } from '@anillo/disk/qcow2/qcow2-disk';
import { imagePath } from '@anillo/host-node/image-files';
import { extentsOf, Pool, progressLine } from './copy-disk.ts';
import { openNamed, parseImageArguments, refuse } from './image-arguments.ts';
import { snapshotList } from './info-command.ts';

const CHUNK = 1 << 20;

function requireQcow2(disk: Disk, what: string): Qcow2Disk {
  if (disk instanceof Qcow2Disk) return disk;
  throw refuse(`Images of format ${disk.format} have no ${what}; convert it to qcow2.`);
}

export async function resizeCommand(args: readonly string[]): Promise<number> {
  // A size such as -1G looks like an option.
  const size = args.at(-1) ?? '';
  const { values, positionals } = parseImageArguments(
    'resize',
    /^-\d/.test(size) ? args.slice(0, -1) : args,
    {
      format: { type: 'string', short: 'f' },
      shrink: { type: 'boolean' },
      quiet: { type: 'boolean', short: 'q' },
      preallocation: { type: 'string' },
    },
    [1, 2],
  );
  if (args.length < 2 || (positionals.length < 2 && !/^-\d/.test(size)))
    throw refuse("'image resize' needs an image and its new size, such as 20G or +1G.");
  if ((values.preallocation ?? 'off') !== 'off') throw refuse('Only --preallocation=off is supported; leave it out.');
  const disk = await openNamed(positionals[0], { isReadOnly: false, format: values.format });
  try {
    const amount = parseByteCount(size.replace(/^[+-]/, ''));
    const wanted = size.startsWith('+') ? disk.byteCount + amount : size.startsWith('-') ? disk.byteCount - amount : amount;
    const byteCount = Math.ceil(wanted / 512) * 512;
    if (byteCount <= 0) throw refuse('The new image size must be positive; give another size.');
    if (disk.resize === undefined) throw refuse(`Images of format ${disk.format} have one size; convert to another.`);
    if (byteCount < disk.byteCount && values.shrink !== true)
      throw refuse(
        `${positionals[0]} would lose what lies behind ${byteCount} bytes; use the --shrink option to perform a shrink operation.`,
      );
    await disk.resize(byteCount);
    if (values.quiet !== true) process.stdout.write('Image resized.\n');
  } finally {
    await disk.close();
  }
  return 0;
}

export async function snapshotCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseImageArguments(
    'snapshot',
    args,
    {
      list: { type: 'boolean', short: 'l' },
      create: { type: 'string', short: 'c' },
      apply: { type: 'string', short: 'a' },
      delete: { type: 'string', short: 'd' },
      quiet: { type: 'boolean', short: 'q' },
      'force-share': { type: 'boolean', short: 'U' },
    },
    [1, 1],
  );
  const { create, apply, delete: remove } = values;
  if ([create, apply, remove].filter((name) => name !== undefined).length > 1)
    throw refuse('-c, -a and -d exclude each other; give one of them.');
  const isList = create === undefined && apply === undefined && remove === undefined;
  const disk = await openNamed(positionals[0], { isReadOnly: isList, backing: null }, values['force-share']);
  try {
    const image = requireQcow2(disk, 'snapshots');
    if (create !== undefined) await image.createSnapshot(create, new Date());
    else if (apply !== undefined) await image.applySnapshot(apply);
    else if (remove !== undefined) await image.deleteSnapshot(remove);
    else process.stdout.write(snapshotList(await image.snapshots()));
  } finally {
    await disk.close();
  }
  return 0;
}

/** Copies what `from` keeps itself (or shows at all) into `to`. */
async function copyExtents(from: Disk, to: Disk, isWanted: (depth: number) => boolean, onProgress: (part: number) => void): Promise<void> {
  const pool = new Pool();
  for await (const extent of extentsOf(from)) {
    if (!isWanted(extent.depth) || extent.kind === 'absent') continue;
    if (extent.kind === 'zero') {
      await pool.add(() => to.writeZeroes(extent.offset, extent.byteCount, true));
      continue;
    }
    for (let at = 0; at < extent.byteCount; at += CHUNK) {
      const offset = extent.offset + at;
      onProgress(offset / from.byteCount);
      await pool.add(async () => {
        const bytes = new Uint8Array(Math.min(CHUNK, extent.byteCount - at));
        await from.read(offset, [bytes]);
        await to.write(offset, [bytes]);
      });
    }
  }
  await pool.end();
}

export async function commitCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseImageArguments(
    'commit',
    args,
    {
      format: { type: 'string', short: 'f' },
      drop: { type: 'boolean', short: 'd' },
      progress: { type: 'boolean', short: 'p' },
      quiet: { type: 'boolean', short: 'q' },
      cache: { type: 'string', short: 't' },
    },
    [1, 1],
  );
  const [name] = positionals;
  const alone = await openNamed(name, { isReadOnly: false, format: values.format, backing: null });
  const { backing } = alone;
  if (backing === undefined) {
    await alone.close();
    throw refuse(`${name} has no backing file to commit to; nothing is to be done.`);
  }
  const onProgress = progressLine(values.progress === true && values.quiet !== true);
  try {
    const behind = await openNamed(backing.fileName, { isReadOnly: false, format: backing.format, beside: name });
    try {
      if (behind.byteCount < alone.byteCount) {
        if (behind.resize === undefined) throw refuse(`${backing.fileName} is smaller than ${name} and has one size; convert it.`);
        await behind.resize(alone.byteCount);
      }
      await copyExtents(alone, behind, (depth) => depth === 0, onProgress);
      await behind.flush();
    } finally {
      await behind.close();
    }
    // Only when it is all behind.
    if (values.drop !== true && alone instanceof Qcow2Disk) await alone.empty();
  } finally {
    await alone.close();
  }
  onProgress(1);
  if (values.quiet !== true) process.stdout.write('Image committed.\n');
  return 0;
}

/** Writes into the image what it shows of the old chain and would not show of the new one. */
async function keepDifferences(image: Qcow2Disk, next: Disk | undefined, onProgress: (part: number) => void): Promise<void> {
  const old = image.backing?.disk;
  if (old === undefined && next === undefined) return;
  const pool = new Pool();
  for await (const extent of extentsOf(image)) {
    if (extent.depth === 0 && extent.kind !== 'absent') continue;
    for (let at = extent.offset; at < extent.offset + extent.byteCount; at += CHUNK) {
      const offset = at;
      const count = Math.min(CHUNK, extent.offset + extent.byteCount - at);
      onProgress(offset / image.byteCount);
      await pool.add(() => keepDifference(image, next, offset, count));
    }
  }
  await pool.end();
}

async function keepDifference(image: Qcow2Disk, next: Disk | undefined, offset: number, count: number): Promise<void> {
  const [now, then] = [new Uint8Array(count), new Uint8Array(count)];
  await image.read(offset, [now]);
  const there = Math.min(count, (next?.byteCount ?? 0) - offset);
  if (there > 0) await next!.read(offset, [then.subarray(0, there)]);
  // By clusters, so that what is equal stays behind.
  for (let at = 0; at < count; at += image.clusterByteCount) {
    const [a, b] = [now.subarray(at, at + image.clusterByteCount), then.subarray(at, at + image.clusterByteCount)];
    if (Buffer.compare(a, b) !== 0) await image.write(offset + at, [a]);
  }
}

export async function rebaseCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseImageArguments(
    'rebase',
    args,
    {
      format: { type: 'string', short: 'f' },
      backing: { type: 'string', short: 'b' },
      'backing-format': { type: 'string', short: 'F' },
      unsafe: { type: 'boolean', short: 'u' },
      progress: { type: 'boolean', short: 'p' },
      quiet: { type: 'boolean', short: 'q' },
      cache: { type: 'string', short: 't' },
      'source-cache': { type: 'string', short: 'T' },
      'force-share': { type: 'boolean', short: 'U' },
    },
    [1, 1],
  );
  const [name] = positionals;
  if (values.backing === undefined) throw refuse("'image rebase' needs the new backing file: -b FILE, or -b '' for none.");
  const fileName = values.backing === '' ? undefined : values.backing;
  const format = values['backing-format'];
  if (fileName !== undefined && format === undefined)
    throw refuse(`The format of ${fileName} is not given, and guessing it is not safe; give it with -F.`);
  if (format !== undefined) requireFormat(format);
  const isUnsafe = values.unsafe === true;
  const disk = await openNamed(name, { isReadOnly: false, format: values.format, ...(isUnsafe ? { backing: null } : {}) });
  try {
    const image = requireQcow2(disk, 'backing file');
    if (!isUnsafe) {
      const next = fileName === undefined ? undefined : await openNamed(fileName, { isReadOnly: true, format, beside: name });
      try {
        await keepDifferences(image, next, progressLine(values.progress === true));
        await image.flush();
      } finally {
        await next?.close();
      }
    }
    if (fileName !== undefined && imagePath(fileName, name) === imagePath(name, ''))
      throw refuse(`${name} cannot be behind itself; give another file.`);
    await image.setBackingName(fileName, fileName === undefined ? undefined : format);
  } finally {
    await disk.close();
  }
  if (values.progress === true) process.stdout.write('\n');
  return 0;
}
