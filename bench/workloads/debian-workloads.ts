// Workloads of Debian's programs, whose packages guest/debian-tree.ts names.

import type { Workload } from './workload.ts';

const KEY = '-K 000102030405060708090a0b0c0d0e0f -iv f0e1d2c3b4a5968778695a4b3c2d1e0f';
const KEY_256 = '-K 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -iv 00000000b4a5968778695a4b3c2d1e0f';
const ZEROS = (mib: number): string => `head -c ${mib << 20} /dev/zero >zeros`;
const SIGNERS = 25;
const CERTIFICATES = 300;
/** BusyBox's shell would take its own applet for `xz`. */
const XZ = '/usr/bin/xz';
const SIGNED = '/bench/rsa.pem';
const GCM = '-aes-128-gcm -secretkey 000102030405060708090a0b0c0d0e0f -secretkeyid 01';

export const DEBIAN_WORKLOADS = {
  'openssl-sha256': {
    title: 'SHA-256 of 16 MiB',
    group: 'crypto',
    prepare: ZEROS(16),
    shell: 'check=$(openssl dgst -sha256 -r zeros)',
    expected: '080acf35a507ac9849cfcba47dc2ad83e01b75663a516279c8b9d243b719643e',
  },
  'openssl-sha512': {
    title: 'SHA-512 of 24 MiB',
    group: 'crypto',
    prepare: ZEROS(24),
    shell: 'check=$(openssl dgst -sha512 -r zeros)',
  },
  'aes-cbc': {
    title: 'AES-128-CBC of 24 MiB',
    group: 'crypto',
    prepare: ZEROS(24),
    shell: `openssl enc -aes-128-cbc ${KEY} -in zeros -out secret`,
    verify: 'check=$(md5sum secret); rm secret',
  },
  'aes-gcm': {
    title: 'AES-128-GCM of 4 MiB, to and fro',
    group: 'crypto',
    prepare: ZEROS(4),
    shell: `openssl cms -encrypt -binary ${GCM} -in zeros -outform DER -out secret && openssl cms -decrypt -binary ${GCM} -in secret -inform DER -out plain`,
    verify: 'check=$(md5sum plain); rm secret plain',
    expected: 'b5cfa9d6c8febd618f91ac2843d50a1c',
  },
  chacha20: {
    title: 'ChaCha20 of 10 MiB',
    group: 'crypto',
    prepare: ZEROS(10),
    shell: `openssl enc -chacha20 ${KEY_256} -in zeros -out secret`,
    verify: 'check=$(md5sum secret); rm secret',
  },
  'rsa-sign': {
    title: `RSA-2048, ${SIGNERS} signatures`,
    group: 'crypto',
    prepare: `signers=; while [ \${#signers} -lt ${SIGNERS * ` -signer ${SIGNED}`.length} ]; do signers="$signers -signer ${SIGNED}"; done`,
    shell: 'openssl cms -sign -noattr -nocerts -binary -outform DER $signers -in /bench/rsa.pem -out signed',
    verify: 'check=$(md5sum signed)',
  },
  'rsa-verify': {
    title: `RSA-2048, ${CERTIFICATES} certificates verified`,
    group: 'crypto',
    prepare: `certificates=$(yes ${SIGNED} | head -n ${CERTIFICATES})`,
    shell: `check=$(openssl verify -no_check_time -CAfile ${SIGNED} $certificates | grep -c ': OK$')`,
    expected: String(CERTIFICATES),
  },
  '7z-compress': {
    title: '7-Zip, LZMA2, a text',
    group: 'compression',
    prepare: 'head -c 700000 /bench/words.txt >text',
    shell: 'rm -f text.7z; 7zz a -mx=3 -mmt=1 -mtm=off -bso0 -bsp0 text.7z text',
    verify: 'check=$(7zz x -so text.7z | md5sum)',
  },
  '7z-extract': {
    title: '7-Zip, extraction of a text',
    group: 'compression',
    prepare: 'rm -f words.7z; 7zz a -mx=1 -mmt=1 -mtm=off -bso0 -bsp0 words.7z /bench/words.txt',
    shell: '7zz x -so words.7z >words; 7zz x -so words.7z >words; 7zz x -so words.7z >words',
    verify: 'check=$(md5sum words); rm words',
  },
  xz: {
    title: 'xz -1 of a text',
    group: 'compression',
    prepare: 'head -c 800000 /bench/words.txt >text',
    shell: `${XZ} -1 -T1 -c text >text.xz`,
    verify: 'check=$(md5sum text.xz)',
  },
  unxz: {
    title: 'xz -d of a text',
    group: 'compression',
    prepare: `${XZ} -1 -T1 -c /bench/words.txt >words.xz`,
    shell: `${XZ} -d -c words.xz >words; ${XZ} -d -c words.xz >words`,
    verify: 'check=$(md5sum words); rm words',
  },
  'python-objects': { title: 'Python: objects and methods', group: 'language', shell: 'check=$(python3 -I -S /bench/objects.py 100000)' },
  'python-json': { title: 'Python: JSON', group: 'language', shell: 'check=$(python3 -I -S /bench/structures.py 14)' },
  'python-text': {
    title: 'Python: strings and dictionaries',
    group: 'language',
    shell: 'check=$(python3 -I -S /bench/text.py /bench/words.txt)',
  },
  'python-numbers': { title: 'Python: floats and long integers', group: 'language', shell: 'check=$(python3 -I -S /bench/numbers.py 600)' },
  'perl-regex': {
    title: 'Perl: regular expressions',
    group: 'language',
    prepare: 'head -n 6000 /bench/words.txt >lines',
    shell: 'check=$(perl /bench/regex.pl lines)',
  },
  'perl-hash': { title: 'Perl: hashes and sorting', group: 'language', shell: 'check=$(perl /bench/hash.pl /bench/words.txt)' },
  'sqlite-insert': {
    title: 'SQLite: 50,000 rows inserted',
    group: 'language',
    shell: 'rm -f rows.db; sqlite3 rows.db </bench/insert.sql',
    verify: "check=$(sqlite3 rows.db 'SELECT count(*) || sum(id * number) FROM rows')",
  },
  'sqlite-select': {
    title: 'SQLite: joins, groups and sorting',
    group: 'language',
    prepare: 'rm -f rows.db; sqlite3 rows.db </bench/insert.sql',
    shell: 'check=$(sqlite3 rows.db </bench/select.sql | md5sum)',
  },
  tcc: {
    title: 'tcc, 2,000 lines of C, 20 times',
    group: 'language',
    shell: 'for turn in 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9; do tcc -c /bench/program.c -o program.o; done',
    verify: 'check=$(md5sum program.o)',
  },
  cc1: {
    title: 'GCC -O1, 500 lines of C to assembly',
    group: 'language',
    prepare: 'head -n 500 /bench/program.c >part.c; cc1=$(ls /usr/lib/gcc/*/*/cc1 /usr/libexec/gcc/*/*/cc1 2>/dev/null)',
    shell: '$cc1 -quiet -O1 part.c -o part.s',
    verify: 'check=$(md5sum part.s)',
  },
} as const satisfies Readonly<Record<string, Workload>>;
