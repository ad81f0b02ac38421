// Workloads of BusyBox's applets, and of its shell.

import type { Workload } from './workload.ts';

export const BUSYBOX_WORKLOADS = {
  loop: {
    title: 'shell loop, 40,000 turns',
    group: 'busybox',
    shell: 'check=0; while [ $check -lt 40000 ]; do check=$((check + 1)); done',
    expected: '40000',
  },
  sha256: {
    title: 'sha256sum of 8 MiB of zeros',
    group: 'busybox',
    shell: 'check=$(head -c 8388608 /dev/zero | sha256sum)',
    expected: '2daeb1f36095b44b318410b3f4e8b5d989dcc7bb023d1426c492dab0a3053e74',
  },
  gzip: {
    title: 'gzip of 8 MiB of zeros',
    group: 'busybox',
    shell: 'check=$(head -c 8388608 /dev/zero | gzip | md5sum)',
    expected: '44ee43195906f9384df4d7b7df854774',
  },
  gunzip: {
    title: 'gunzip of a text',
    group: 'busybox',
    prepare: 'gzip -c /bench/words.txt >words.gz',
    shell: 'gunzip -c words.gz >words; gunzip -c words.gz >words; gunzip -c words.gz >words',
    verify: 'check=$(md5sum words); rm words',
  },
  awk: {
    title: 'awk: words counted, sums',
    group: 'busybox',
    shell: `check=$(head -n 6000 /bench/words.txt | awk '{ for (i = 1; i <= NF; i++) count[$i]++; sum += length($0) * 1.5 }
END { for (word in count) if (count[word] > 1) repeated++; print NR "/" repeated "/" sum }')`,
  },
  grep: {
    title: 'grep -E over a text',
    group: 'busybox',
    shell: "check=$(grep -cE '(ba|ce)[a-z]*(di|fo) .*x.*gu$' /bench/words.txt)",
  },
  lines: {
    title: 'sort, uniq and tr of a text',
    group: 'busybox',
    shell: "check=$(head -n 4000 /bench/words.txt | tr ' ' '\\n' | sort | uniq -c | sort -rn | tr a-m N-Z | md5sum)",
  },
  bc: {
    title: 'bc: pi to 400 places',
    group: 'busybox',
    shell: "check=$(echo 'scale=400; 4*a(1)' | bc -l | tr -d '\\\\\\n' | md5sum)",
  },
  fork: {
    title: 'fork and exec of BusyBox, 150 times',
    group: 'system',
    shell: 'check=0; while [ $check -lt 150 ]; do /bin/busybox true; check=$((check + 1)); done',
    expected: '150',
  },
} as const satisfies Readonly<Record<string, Workload>>;
