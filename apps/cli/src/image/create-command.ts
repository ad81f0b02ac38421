// `anillo image create` and `measure`.

import { statSync } from 'node:fs';
import type { Disk } from '@anillo/disk/disk';
import type { CreateOptions, DiskFormat } from '@anillo/disk/disk-format';
import { requireFormat } from '@anillo/disk/open-image';
import { parseByteCount, planHeader } from '@anillo/disk/qcow2/create';
import { geometryOf } from '@anillo/disk/qcow2/geometry';
import { createFileStore, imageFiles, imagePath } from '@anillo/host-node/image-files';
import { isJson, openNamed, parseCreateOptions, parseImageArguments, printJson, refuse } from './image-arguments.ts';
import { extentsOf } from './copy-disk.ts';

/** Writes an empty image into a new file. AnilloError BAD_OPTION, FILE. */
export async function createNamed(format: DiskFormat, name: string, byteCount: number, options: CreateOptions): Promise<void> {
  if (format.create === undefined) throw refuse(`Images of format ${format.name} are only read; give another format.`);
  if (format.name === 'qcow2') planHeader(byteCount, options);
  const store = await createFileStore(imagePath(name, ''));
  try {
    await format.create(store, byteCount, options, imageFiles());
  } finally {
    await store.close();
  }
}

/** The options as QEMU tells them. */
function optionLine(format: DiskFormat, byteCount: number, options: CreateOptions): string {
  if (format.name !== 'qcow2')
    return [`size=${byteCount}`, ...Object.entries(options).map(([name, value]) => `${name}=${value}`)].join(' ');
  const all: Record<string, string | number | undefined> = {
    cluster_size: parseByteCount(options.cluster_size ?? '65536'),
    extended_l2: options.extended_l2 ?? 'off',
    preallocation: options.preallocation,
    compression_type: options.compression_type ?? 'zlib',
    size: byteCount,
    compat: options.compat,
    backing_file: options.backing_file,
    backing_fmt: options.backing_fmt,
    lazy_refcounts: options.lazy_refcounts ?? 'off',
    refcount_bits: options.refcount_bits ?? '16',
  };
  return Object.entries(all)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

async function backingByteCount(options: CreateOptions, beside: string): Promise<number> {
  const disk: Disk = await openNamed(options.backing_file, { isReadOnly: true, format: options.backing_fmt, beside });
  const { byteCount } = disk;
  await disk.close();
  return byteCount;
}

export async function createCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseImageArguments(
    'create',
    args,
    {
      format: { type: 'string', short: 'f' },
      options: { type: 'string', short: 'o', multiple: true },
      backing: { type: 'string', short: 'b' },
      'backing-format': { type: 'string', short: 'F' },
      unsafe: { type: 'boolean', short: 'u' },
      quiet: { type: 'boolean', short: 'q' },
    },
    [1, 2],
  );
  const [name, sizeText] = positionals;
  const format = requireFormat(values.format ?? 'raw');
  const { size = sizeText, ...given } = parseCreateOptions(values.options);
  const options: Record<string, string> = { ...given };
  if (values.backing !== undefined) options.backing_file = values.backing;
  if (values['backing-format'] !== undefined) options.backing_fmt = values['backing-format'];
  if (options.backing_file !== undefined && options.backing_fmt === undefined)
    throw refuse(`The format of the backing file ${options.backing_file} is not given, and guessing it is not safe; give it with -F.`);
  if (options.backing_file !== undefined && format.createOptions?.backing_file === undefined)
    throw refuse(`Images of format ${format.name} have no backing file; leave -b out.`);
  if (options.backing_fmt !== undefined) requireFormat(options.backing_fmt);
  let byteCount = size === undefined ? undefined : parseByteCount(size);
  if (options.backing_file !== undefined && (byteCount === undefined || values.unsafe !== true)) {
    const behind = await backingByteCount(options, name);
    byteCount ??= behind;
  }
  if (byteCount === undefined) throw refuse(`The size of ${name} is not given; give it behind the name, such as 10G.`);
  await createNamed(format, name, byteCount, options);
  if (values.quiet !== true)
    process.stdout.write(`Formatting '${name}', fmt=${format.name} ${optionLine(format, Math.ceil(byteCount / 512) * 512, options)}\n`);
  return 0;
}

async function allocatedClusters(disk: Disk, clusterBytes: number): Promise<number> {
  let clusters = 0;
  let end = 0;
  for await (const extent of extentsOf(disk)) {
    if (extent.kind !== 'data') continue;
    const first = Math.max(Math.floor(extent.offset / clusterBytes), end);
    end = Math.ceil((extent.offset + extent.byteCount) / clusterBytes);
    clusters += Math.max(end - first, 0);
  }
  return clusters;
}

export async function measureCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseImageArguments(
    'measure',
    args,
    {
      format: { type: 'string', short: 'f' },
      target: { type: 'string', short: 'O' },
      options: { type: 'string', short: 'o', multiple: true },
      snapshot: { type: 'string', short: 'l' },
      size: { type: 'string' },
      output: { type: 'string' },
      'force-share': { type: 'boolean', short: 'U' },
    },
    [0, 1],
  );
  const [name] = positionals;
  if ((name === undefined) === (values.size === undefined)) throw refuse("'image measure' takes an image or --size; give one of them.");
  const target = requireFormat(values.target ?? 'raw');
  const disk =
    name === undefined
      ? undefined
      : await openNamed(name, { isReadOnly: true, format: values.format, snapshot: values.snapshot }, values['force-share']);
  const byteCount = disk?.byteCount ?? Math.ceil(parseByteCount(values.size!) / 512) * 512;
  let [required, full] = [byteCount, byteCount];
  if (target.name === 'qcow2') {
    const geometry = geometryOf(planHeader(byteCount, parseCreateOptions(values.options)));
    const { clusterBytes, refcountsPerBlock } = geometry;
    const clusters = Math.ceil(byteCount / clusterBytes);
    const tables = Math.ceil(clusters / geometry.l2Entries);
    const fixed = 1 + tables + Math.ceil((tables * 8) / clusterBytes);
    let counts = 0;
    for (let last = -1; last !== counts; ) {
      last = counts;
      const blocks = Math.ceil((clusters + fixed + counts) / refcountsPerBlock);
      counts = blocks + Math.ceil((blocks * 8) / clusterBytes);
    }
    const metadata = (fixed + counts) * clusterBytes;
    full = clusters * clusterBytes + metadata;
    required = metadata + (disk === undefined ? 0 : (await allocatedClusters(disk, clusterBytes)) * clusterBytes);
  } else if (target.name !== 'raw') throw refuse(`The size of images of format ${target.name} cannot be told before; give raw or qcow2.`);
  await disk?.close();
  const hasBitmaps = disk?.format === 'qcow2' && target.name === 'qcow2' && disk.facts?.compat === '1.1';
  if (isJson(values.output)) printJson({ ...(hasBitmaps ? { bitmaps: 0 } : {}), required, 'fully-allocated': full });
  else process.stdout.write(`required size: ${required}\nfully allocated size: ${full}\n${hasBitmaps ? 'bitmaps size: 0\n' : ''}`);
  return 0;
}

/** Bytes that a file takes on the host. */
export function hostByteCount(path: string): number {
  return statSync(path).blocks * 512;
}
