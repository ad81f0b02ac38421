// The guest images of the jobs. Linux's are the default guest with another /init: a second archive after the first, whose files replace the first's.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpio } from '@anillo/cli/default-guest/cpio';
import type { DefaultGuest } from '@anillo/cli/default-guest/fetch-guest';
import type { GuestImage } from './contender.ts';
import { BOOT_SCRIPT, workScript } from './init-scripts.ts';
import type { JobName } from './measures.ts';
import { spinFirmware } from './spin-firmware.ts';
import type { WorkloadName } from './workloads.ts';

export interface Job {
  readonly image: GuestImage;
  readonly accel: 'auto' | 'interp';
  /** Of a process that did it. */
  readonly status: number;
}

/** Some 200 million instructions. */
const SPIN_TURNS = 300_000;

/** Writes the images into `folder`, which the caller removes. */
export function makeJobs(guest: DefaultGuest, workloads: readonly WorkloadName[], folder: string): Readonly<Record<JobName, Job>> {
  const linux = (name: string, script: string): GuestImage => {
    const initrdPath = join(folder, `${name}.cpio`);
    writeFileSync(initrdPath, Buffer.concat([guest.initrd, cpio([{ kind: 'file', path: 'init', mode: 0o755, content: script }])]));
    return { kind: 'linux', kernelPath: guest.kernelPath, initrdPath };
  };
  const firmware = (name: string, turns: number): GuestImage => {
    const path = join(folder, `${name}.bin`);
    writeFileSync(path, spinFirmware(turns));
    return { kind: 'firmware', path };
  };
  const boot = linux('boot', BOOT_SCRIPT);
  return {
    boot: { image: boot, accel: 'auto', status: 0 },
    work: { image: linux('work', workScript(workloads)), accel: 'auto', status: 0 },
    start: { image: firmware('start', 1), accel: 'auto', status: 1 },
    spin: { image: firmware('spin', SPIN_TURNS), accel: 'interp', status: 1 },
    'interpreted-boot': { image: boot, accel: 'interp', status: 0 },
  };
}
