// The guest images of the jobs. Linux's are the default guest's archive and further ones after it, whose files replace the first's.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpio, type CpioEntry } from '@anillo/cli/default-guest/cpio';
import type { DefaultGuest } from '@anillo/cli/default-guest/fetch-guest';
import { folderEntries } from '@anillo/cli/default-guest/folder-entries';
import { kernelModules, type MODULES } from '@anillo/cli/default-guest/kernel-modules';
import type { Architecture, GuestDevices, GuestImage, Job } from './contender.ts';
import { debianTree, PROGRAMS, type TreeContent } from './guest/debian-tree.ts';
import { DISK_PROGRAMS, diskImages } from './guest/disk-images.ts';
import { BOOT_INIT, WORK_INIT, WORK_PATH, workScript } from './guest/guest-scripts.ts';
import { inputFiles } from './guest/input-files.ts';
import { ownPrograms } from './guest/own-programs.ts';
import { NETWORK_PROGRAMS } from './network-servers.ts';
import { spinFirmware } from './spin-firmware.ts';
import { BENCH_FOLDER, type GroupName, type Workload } from './workloads/workload.ts';

/** boot: Linux to init and off; boot-again: with what a boot before it has translated. start, spin: the firmware, brief and long. A group: Linux with the group's workloads. */
export type JobName = 'boot' | 'boot-again' | 'start' | 'spin' | 'interpreted-boot' | GroupName;

/** Some 200 million instructions. */
const SPIN_TURNS = 300_000;

/** What a group's guest has that the others have not. */
interface GroupNeeds {
  readonly programs?: TreeContent;
  readonly modules?: readonly (keyof typeof MODULES)[];
  /** What they lie in is made in the folder. */
  readonly devices?: (folder: string) => Promise<GuestDevices>;
}

const NEEDS: Partial<Record<GroupName, GroupNeeds>> = {
  crypto: { programs: PROGRAMS },
  compression: { programs: PROGRAMS },
  language: { programs: PROGRAMS },
  disk: {
    programs: DISK_PROGRAMS,
    modules: ['disk'],
    devices: async (folder) => ({ disks: await diskImages(folder), hasNetwork: false }),
  },
  network: { programs: NETWORK_PROGRAMS, modules: ['network'], devices: async () => ({ disks: [], hasNetwork: true }) },
};

export interface JobRequest {
  readonly names: readonly JobName[];
  readonly workloads: ReadonlyMap<string, Workload>;
  readonly architecture: Architecture;
  readonly guest: DefaultGuest;
  /** For the images; the caller removes it. */
  readonly folder: string;
  readonly say: (line: string) => void;
  /** For the groups' scripts: lines of shell. */
  readonly environment?: string;
}

const file = (path: string, mode: number, content: Uint8Array | string): CpioEntry => ({ kind: 'file', path, mode, content });

class ImageWriter {
  readonly #request: JobRequest;
  #common: Uint8Array | undefined;
  readonly #trees = new Map<TreeContent, Uint8Array>();

  constructor(request: JobRequest) {
    this.#request = request;
  }

  /** BusyBox and what follows. */
  linux(name: string, ...archives: readonly Uint8Array[]): GuestImage & { readonly kind: 'linux' } {
    const { guest, folder } = this.#request;
    const initrdPath = join(folder, `${name}.cpio`);
    writeFileSync(initrdPath, Buffer.concat([guest.initrd, ...archives]));
    return { kind: 'linux', kernelPath: guest.kernelPath, initrdPath };
  }

  firmware(name: string, turns: number): GuestImage {
    const path = join(this.#request.folder, `${name}.bin`);
    writeFileSync(path, spinFirmware(turns));
    return { kind: 'firmware', path };
  }

  async group(group: GroupName): Promise<GuestImage> {
    const { workloads, architecture, say, guest, folder, environment } = this.#request;
    this.#common ??= cpio([
      { kind: 'directory', path: BENCH_FOLDER, mode: 0o755 },
      ...Array.from(inputFiles(), ([name, content]) => file(`${BENCH_FOLDER}/${name}`, 0o644, content)),
      file(`${BENCH_FOLDER}/programs`, 0o755, ownPrograms(architecture, say)),
      file('init', 0o755, WORK_INIT),
    ]);
    const own = [...workloads].filter(([, workload]) => workload.group === group);
    const script = cpio([file(WORK_PATH.slice(1), 0o755, workScript(own, environment))]);
    const { programs, modules = [], devices } = NEEDS[group] ?? {};
    const archives = [
      ...(programs === undefined ? [] : [await this.#tree(programs)]),
      ...(modules.length === 0 ? [] : [cpio(await kernelModules(guest.version, modules, architecture))]),
    ];
    const image = this.linux(group, ...archives, this.#common, script);
    return devices === undefined ? image : { ...image, devices: await devices(folder) };
  }

  async #tree(content: TreeContent): Promise<Uint8Array> {
    const { architecture, say } = this.#request;
    const known = this.#trees.get(content) ?? cpio(folderEntries(await debianTree(content, architecture, say)));
    this.#trees.set(content, known);
    return known;
  }
}

async function makeJob(writer: ImageWriter, name: JobName, folder: string): Promise<Job> {
  switch (name) {
    case 'boot':
    case 'boot-again':
    case 'interpreted-boot':
      return {
        image: writer.linux(name, cpio([file('init', 0o755, BOOT_INIT)])),
        accel: name === 'interpreted-boot' ? 'interp' : 'auto',
        status: 0,
        keepsIn: name === 'boot-again' ? join(folder, 'kept') : undefined,
      };
    case 'start':
      return { image: writer.firmware(name, 1), accel: 'auto', status: 1 };
    case 'spin':
      return { image: writer.firmware(name, SPIN_TURNS), accel: 'interp', status: 1 };
    default:
      return {
        image: await writer.group(name),
        accel: 'auto',
        status: 0,
        hostScript: NEEDS[name]?.devices === undefined ? WORK_PATH : undefined,
      };
  }
}

/** Writes the images and fetches and compiles what they need. */
export async function makeJobs(request: JobRequest): Promise<ReadonlyMap<JobName, Job>> {
  const writer = new ImageWriter(request);
  const jobs = new Map<JobName, Job>();
  for (const name of request.names) jobs.set(name, await makeJob(writer, name, request.folder));
  return jobs;
}
