// The CPU features of this host as /proc/cpuinfo names them; a case that needs more is not generated.

import { readFileSync } from 'node:fs';

export function hostFeatures(): Set<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return new Set();
  const line = readFileSync('/proc/cpuinfo', 'latin1').match(/^flags\s*:(.*)$/m);
  const features = new Set(line === null ? [] : line[1].trim().split(/\s+/));
  if (features.has('abm')) features.add('lzcnt');
  if (features.has('pni')) features.add('sse3');
  features.add('base');
  return features;
}
