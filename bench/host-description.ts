// The machine that the figures come from, in words.

import { readFileSync } from 'node:fs';
import { arch, cpus, loadavg, release, totalmem, type } from 'node:os';

const BYTES_PER_GIB = 2 ** 30;

function distribution(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? type();
  } catch {
    return type();
  }
}

export function hostDescription(): string {
  const processors = cpus();
  const memoryGib = (totalmem() / BYTES_PER_GIB).toFixed(0);
  return `${processors.length} x ${processors[0]?.model.trim() ?? arch()}, ${memoryGib} GiB, ${distribution()}, kernel ${release()}, Node ${process.versions.node}`;
}

/** A sentence where other programs would spoil the figures; `loadavg` lags a minute behind. */
export function busyWarning(load: number = loadavg()[0]): string | undefined {
  return load < 0.7
    ? undefined
    : `The load of this machine is ${load.toFixed(1)}: other programs are running, and the figures are not worth publishing.`;
}
