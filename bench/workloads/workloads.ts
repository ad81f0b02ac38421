// All workloads by name, in the order in which they run and are told.

import { BUSYBOX_WORKLOADS } from './busybox-workloads.ts';
import { DEBIAN_WORKLOADS } from './debian-workloads.ts';
import { DISK_WORKLOADS } from './disk-workloads.ts';
import { NETWORK_WORKLOADS } from './network-workloads.ts';
import { OWN_WORKLOADS } from './own-workloads.ts';
import { GROUPS, type GroupName, type Workload } from './workload.ts';

const ALL: Readonly<Record<string, Workload>> = {
  ...BUSYBOX_WORKLOADS,
  ...OWN_WORKLOADS,
  ...DEBIAN_WORKLOADS,
  ...DISK_WORKLOADS,
  ...NETWORK_WORKLOADS,
};

export const GROUP_NAMES = Object.keys(GROUPS) as readonly GroupName[];

export const WORKLOADS: ReadonlyMap<string, Workload> = new Map(
  GROUP_NAMES.flatMap((group) => Object.entries(ALL).filter(([, workload]) => workload.group === group)),
);
