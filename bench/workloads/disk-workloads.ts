// Workloads of fio on virtio disks: /dev/vda is a raw image, /dev/vdb a qcow2 one, both in files of the host and with room for all of their content. fio tells when it begins
// and ends, for its own start takes longer under translation than what it does.

import type { Workload } from './workload.ts';

export const DISK_MIB = 256;
const DEVICES = { raw: '/dev/vda', qcow2: '/dev/vdb' } as const;

/** By name: what fio calls it, the block, and how much of it at queue depth 1 and 32. Sequential writes come first: they make what later ones leave the same for all. */
const PATTERNS = {
  'seq-write': ['write', '1m', 256, 256],
  'seq-read': ['read', '1m', 256, 256],
  'rand-write': ['randwrite', '4k', 16, 64],
  'rand-read': ['randread', '4k', 16, 64],
} as const;

const OPTIONS = [
  ...['--name=job', '--thread', '--ioengine=libaio', '--direct=1', '--invalidate=0', '--gtod_reduce=1', `--size=${DISK_MIB}m`],
  ...['--randrepeat=1', '--buffer_pattern=0xa5c3', '--output-format=terse', '--terse-version=3', '--output=fio.out'],
].join(' ');

function workload(format: keyof typeof DEVICES, name: keyof typeof PATTERNS, depth: 1 | 32): Workload {
  const [kind, block, once, deep] = PATTERNS[name];
  const mib = depth === 1 ? once : deep;
  const device = DEVICES[format];
  const marks = `"--exec_prerun=echo $mark begin >&3;:" "--exec_postrun=echo $mark - >&3;:"`;
  const content = kind.endsWith('write') ? `-$(head -c 8388608 ${device} | md5sum)` : '';
  return {
    title: `${format}, ${name}, ${block} blocks, depth ${depth}, ${mib} MiB`,
    group: 'disk',
    marksItself: true,
    shell: `fio ${OPTIONS} ${marks} --filename=${device} --rw=${kind} --bs=${block} --iodepth=${depth} --io_size=${mib}m`,
    // Error, KiB read, KiB written, what is there.
    verify: `check=$(awk -F';' '{ print $5 "/" $6 "/" $47 }' fio.out)${content}`,
  };
}

export const DISK_WORKLOADS: Readonly<Record<string, Workload>> = Object.fromEntries(
  (['raw', 'qcow2'] as const).flatMap((format) =>
    (Object.keys(PATTERNS) as (keyof typeof PATTERNS)[]).flatMap((name) =>
      ([1, 32] as const).map((depth) => [`fio-${format}-${name}-${depth}`, workload(format, name, depth)]),
    ),
  ),
);
