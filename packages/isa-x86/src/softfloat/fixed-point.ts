// Elementary functions in fixed point: BigInts scaled by 2^FRACTION_BITS, good to about 2^-240 absolute. A double gives the first 50 bits where a series
// would converge slowly; the correction to it then needs few terms.

export const FRACTION_BITS = 256;
const BITS = BigInt(FRACTION_BITS);
export const ONE = 1n << BITS;

/** `scale` * the sum of x^(2k+1) / (2k+1), signs alternating for arc tangent, for x = 1 / divisor. */
function inverseSeries(scale: bigint, divisor: bigint, alternate: boolean): bigint {
  const square = divisor * divisor;
  let power = (ONE << 16n) / divisor;
  let sum = 0n;
  for (let k = 1n; power !== 0n; k += 2n) {
    const term = power / k;
    sum += alternate && (k & 2n) !== 0n ? -term : term;
    power /= square;
  }
  return (scale * sum) >> 16n;
}

/** Machin's formula. */
export const PI = inverseSeries(16n, 5n, true) - inverseSeries(4n, 239n, true);
/** ln 2 by hyperbolic arc tangents of 1/26, 1/4801, 1/8749. */
export const LN_2 = inverseSeries(18n, 26n, false) - inverseSeries(2n, 4801n, false) + inverseSeries(8n, 8749n, false);

export const multiplyFixed = (a: bigint, b: bigint): bigint => (a * b) >> BITS;
export const divideFixed = (a: bigint, b: bigint): bigint => (a << BITS) / b;

/** |x| at most about 1. */
export function sineFixed(x: bigint): bigint {
  const square = multiplyFixed(x, x);
  let term = x;
  let sum = x;
  for (let k = 2n; term !== 0n && term !== -1n; k += 2n) {
    term = -multiplyFixed(term, square) / (k * (k + 1n));
    sum += term;
  }
  return sum;
}

export function cosineFixed(x: bigint): bigint {
  const square = multiplyFixed(x, x);
  let term = ONE;
  let sum = ONE;
  for (let k = 1n; term !== 0n && term !== -1n; k += 2n) {
    term = -multiplyFixed(term, square) / (k * (k + 1n));
    sum += term;
  }
  return sum;
}

/** e^x - 1, |x| at most about 1. */
export function exponentialMinusOne(x: bigint): bigint {
  let term = x;
  let sum = x;
  for (let k = 2n; term !== 0n && term !== -1n; k++) {
    term = multiplyFixed(term, x) / k;
    sum += term;
  }
  return sum;
}

const toDouble = (x: bigint): number => Number(x >> BigInt(FRACTION_BITS - 64)) / 2 ** 64;
const fromDouble = (x: number): bigint => BigInt(Math.round(x * 2 ** 52)) << BigInt(FRACTION_BITS - 52);

/** Arc tangent of 0 <= x <= 1. */
export function arcTangentFixed(x: bigint): bigint {
  const start = fromDouble(Math.atan(toDouble(x)));
  const [sine, cosine] = [sineFixed(start), cosineFixed(start)];
  // tan(angle - start), below 2^-51.
  const rest = divideFixed(multiplyFixed(x, cosine) - sine, cosine + multiplyFixed(x, sine));
  const cube = multiplyFixed(multiplyFixed(rest, rest), rest);
  return start + rest - cube / 3n;
}

/** Natural logarithm of x between 1/2 and 2. */
export function logarithmFixed(x: bigint): bigint {
  const start = fromDouble(Math.log(toDouble(x)));
  // x / e^start - 1, below 2^-50.
  const rest = x - ONE + multiplyFixed(x, exponentialMinusOne(-start));
  const square = multiplyFixed(rest, rest);
  const cube = multiplyFixed(square, rest);
  return start + rest - square / 2n + cube / 3n - multiplyFixed(square, square) / 4n;
}
