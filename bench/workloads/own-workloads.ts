// Workloads of our own programs (bench/programs), with counts that take QEMU's translator about a second.

import type { GroupName, Workload } from './workload.ts';

/** By group: name, count (what a unit is stands at the program's source), title. */
const PROGRAMS: Partial<Record<GroupName, readonly (readonly [string, number, string])[]>> = {
  fp: [
    ['nbody', 200_000, 'five bodies, double'],
    ['mandelbrot', 300, 'Mandelbrot set, double'],
    ['matmul', 15, 'matrix product, double'],
    ['fft', 250, 'Fourier transform, double'],
    ['x87', 1_500, 'series in 80 bits (x87)'],
    ['convert', 5_000, 'conversions between number types'],
    ['libm', 150, 'sin, cos, exp, log, pow, atan2'],
  ],
  simd: [
    ['saxpy', 3_000, 'y += a x, float (SSE)'],
    ['sad', 40_000, 'absolute differences of bytes (SSE2)'],
    ['avx2-dot', 6_000, 'dot product, double (AVX2)'],
    ['avx2-shuffle', 5_000, 'bits counted by vpshufb (AVX2)'],
  ],
  int: [
    ['fib', 37, 'Fibonacci by recursion'],
    ['ackermann', 1_200, "Ackermann's function"],
    ['queens', 2_000, 'nine queens'],
    ['virtual', 20_000, 'calls through pointers'],
    ['bytecode', 2_000, 'interpreter with a switch'],
    ['hash', 30_000, 'hash table'],
    ['sort', 140, 'quicksort'],
    ['qsort', 50, "the library's qsort with a callback"],
    ['dijkstra', 100, 'shortest ways with a heap'],
    ['sieve', 450, 'sieve of primes'],
    ['divide', 30_000, '64-bit division'],
    ['multiply', 2_400, 'long multiplication'],
    ['crc32', 1_700, 'CRC-32 by a table'],
    ['sha256-c', 90, 'SHA-256 in C'],
    ['strings', 900, 'strlen, strcmp, memchr'],
    ['rewrite', 80_000, 'code that is rewritten'],
  ],
  mem: [
    ['chase-near', 200, 'pointers within 16 KiB'],
    ['chase-far', 3, 'pointers through 8 MiB'],
    ['copy', 1_500, 'memcpy of 1 MiB'],
    ['triad', 200, 'a = b + s c over 3 MiB'],
    ['fill', 300, 'memset of 1 MiB'],
  ],
  system: [
    ['syscall', 500, 'getppid'],
    ['pipe', 3_000, 'two processes, two pipes'],
    ['spawn', 120, 'fork, exec, wait'],
    ['fork-only', 250, 'fork, exit, wait'],
    ['page-fault', 40, 'mmap, touch, munmap'],
    ['mprotect', 40, 'mprotect to and fro'],
    ['signal', 10, 'signals and caught faults'],
    ['files', 2, 'files made and removed'],
  ],
  smp: [
    ['threads', 300, 'two threads that compute'],
    ['futex', 20, 'two threads that wake each other'],
  ],
  network: [['net-echo', 1_000, 'a number to the host and back, by TCP']],
};

const workload = (group: GroupName, name: string, count: number, title: string): Workload => ({
  title: `${name}: ${title}`,
  group,
  shell: `check=$(/bench/programs ${name} ${count})`,
});

export const OWN_WORKLOADS: Readonly<Record<string, Workload>> = Object.fromEntries(
  Object.entries(PROGRAMS).flatMap(([group, rows]) =>
    rows.map(([name, count, title]) => [name, workload(group as GroupName, name, count, title)]),
  ),
);
