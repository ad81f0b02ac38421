// Tables of 16 bytes from which AES rounds are computed (aes.ts), derived from the field's arithmetic: GF(2^8) as GF(2^4)[z], where the inverse is a few
// look-ups by 4 bits (M. Hamburg, Accelerating AES with Vector Permute Instructions, 2009). FIPS 197, 4 and 5.1.1.
//
// A byte is written k + i z with z^2 = a z + a: as 4 bits each, i above k. With j = i + k and
//   io = 1 / (1/i + a/k) + j,  jo = 1 / (1/j + a/k) + i
// the inverse of the byte is (1 + z/a + z/a^2) / io + (z/a^2) / jo. 1/0 is INFINITE, and is so for every look-up: whatever has bit 7 finds 0.

const INFINITE = 0x80;

/** Powers of 3, a generator. */
const POWERS: number[] = [1];
while (POWERS.length < 255) {
  const x = POWERS[POWERS.length - 1] as number;
  POWERS.push((x ^ (x << 1) ^ (x & 0x80 ? 0x11b : 0)) & 0xff);
}
const LOGARITHMS: number[] = [];
POWERS.forEach((x, n) => {
  LOGARITHMS[x] = n;
});
const power = (n: number): number => POWERS[n % 255] as number;
const logarithm = (x: number): number => LOGARITHMS[x] as number;
const multiply = (x: number, y: number): number => (x === 0 || y === 0 ? 0 : power(logarithm(x) + logarithm(y)));
const inverse = (x: number): number => power(255 - logarithm(x));

const BYTES = Array.from({ length: 256 }, (_, x) => x);
function invert(map: readonly number[]): readonly number[] {
  const out: number[] = [];
  map.forEach((y, x) => {
    out[y] = x;
  });
  return out;
}

/** The linear part of the S-box. */
const linear = (x: number): number => [0, 1, 2, 3, 4].reduce((sum, n) => sum ^ (x << n) ^ (x >> (8 - n)), 0) & 0xff;
const LINEAR_INVERSE = invert(BYTES.map(linear));
/** What it adds. */
const SUBSTITUTION_SUM = 0x63;

/** The elements of GF(2^4) by 4 bits: sums of powers of an element of order 15. */
const SUBFIELD = Array.from({ length: 16 }, (_, bits) => [0, 1, 2, 3].reduce((sum, n) => sum ^ (((bits >> n) & 1) * power(17 * n)), 0));
const Z = BYTES.find((z) => !SUBFIELD.includes(z) && SUBFIELD.includes(multiply(multiply(z, z), inverse(z ^ 1)))) as number;
const A = multiply(multiply(Z, Z), inverse(Z ^ 1));

/** i and k of each byte. */
const SPLIT = invert(BYTES.map((pair) => (SUBFIELD[pair & 15] as number) ^ multiply(SUBFIELD[pair >> 4] as number, Z)));

const NIBBLES = Array.from({ length: 16 }, (_, n) => n);
/** factor / n as 4 bits. */
const quotients = (factor: number): number[] => NIBBLES.map((n) => (n === 0 ? INFINITE : SUBFIELD.indexOf(multiply(factor, inverse(SUBFIELD[n] as number)))));
/** f(factor / n). */
const results = (factor: number, f: (x: number) => number): number[] => NIBBLES.map((n) => (n === 0 ? 0 : f(multiply(factor, inverse(SUBFIELD[n] as number)))));
const Z_BY_A = multiply(Z, inverse(A));
const JO_FACTOR = multiply(Z_BY_A, inverse(A));
const IO_FACTOR = 1 ^ Z_BY_A ^ JO_FACTOR;

/** Byte numbers for the state's rows moved on by `shift` a row, and then each column turned up by `turn` rows. */
const permutation = (shift: 1 | -1, turn: number): number[] =>
  Array.from({ length: 16 }, (_, at) => {
    const row = (at + turn) & 3;
    return row + 4 * (((at >> 2) + shift * row) & 3);
  });

const multiples = (direction: string, factors: readonly number[], map: (x: number) => number): [string, number[]][] =>
  factors.flatMap((c): [string, number[]][] => [
    [`${direction}${c}io`, results(IO_FACTOR, (x) => multiply(c, map(x)))],
    [`${direction}${c}jo`, results(JO_FACTOR, (x) => multiply(c, map(x)))],
  ]);
const turns = (direction: string, shift: 1 | -1): [string, number[]][] => [0, 1, 2, 3].map((turn) => [`${direction}turn${turn}`, permutation(shift, turn)]);
/** i and k of a map of bytes, from the byte's low 4 bits and its high ones; what the map adds is in the former. */
const splits = (direction: string, map: (x: number) => number): [string, number[]][] => {
  const [low, high] = [NIBBLES.map((n) => SPLIT[map(n)] as number), NIBBLES.map((n) => (SPLIT[map(n << 4)] as number) ^ (SPLIT[map(0)] as number))];
  return [
    [`${direction}LowI`, low.map((x) => x >> 4)],
    [`${direction}LowK`, low.map((x) => x & 15)],
    [`${direction}HighI`, high.map((x) => x >> 4)],
    [`${direction}HighK`, high.map((x) => x & 15)],
  ];
};
const undo = (x: number): number => LINEAR_INVERSE[x ^ SUBSTITUTION_SUM] as number;

/**
 * By name: `enc...` and `dec...` are of each direction; ...I and ...K: those of a byte; 1io, 1jo: results, times the number before; turn...: places
 * of bytes.
 */
const TABLES: ReadonlyMap<string, readonly number[]> = new Map<string, readonly number[]>([
  ['nibble', NIBBLES.map(() => 15)],
  ['sum', NIBBLES.map(() => SUBSTITUTION_SUM)],
  ['inverse', quotients(1)],
  ['quotient', quotients(A)],
  ...splits('enc', (x) => x),
  ...splits('dec', undo),
  ...multiples('enc', [1, 2], linear),
  ...multiples('dec', [1, 9, 11, 13, 14], (x) => x),
  ...turns('enc', 1),
  ...turns('dec', -1),
]);

export const AES_TABLES: readonly number[] = [...TABLES.values()].flat();
/** Where a table begins. */
export function aesTableAt(name: string): number {
  const index = [...TABLES.keys()].indexOf(name);
  if (index < 0) throw new TypeError(`no AES table ${name}`);
  return 16 * index;
}
