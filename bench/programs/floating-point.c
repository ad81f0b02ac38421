// Scalar floating point: SSE2 on x86-64, x87 on i386, as the compiler's defaults have it.
#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include "program.h"

#define BODIES 5
struct body { double x[3], v[3], mass; };

static double energy(const struct body *bodies) {
  double sum = 0;
  for (int i = 0; i < BODIES; i++) {
    for (int k = 0; k < 3; k++) sum += 0.5 * bodies[i].mass * bodies[i].v[k] * bodies[i].v[k];
    for (int j = i + 1; j < BODIES; j++) {
      double square = 0;
      for (int k = 0; k < 3; k++) square += (bodies[i].x[k] - bodies[j].x[k]) * (bodies[i].x[k] - bodies[j].x[k]);
      sum -= bodies[i].mass * bodies[j].mass / sqrt(square);
    }
  }
  return sum;
}

static void step(struct body *bodies, double dt) {
  for (int i = 0; i < BODIES; i++) {
    for (int j = i + 1; j < BODIES; j++) {
      double d[3], square = 0;
      for (int k = 0; k < 3; k++) d[k] = bodies[i].x[k] - bodies[j].x[k], square += d[k] * d[k];
      double pull = dt / (square * sqrt(square));
      for (int k = 0; k < 3; k++) bodies[i].v[k] -= d[k] * bodies[j].mass * pull, bodies[j].v[k] += d[k] * bodies[i].mass * pull;
    }
  }
  for (int i = 0; i < BODIES; i++)
    for (int k = 0; k < 3; k++) bodies[i].x[k] += dt * bodies[i].v[k];
}

/** A sun with four planets on nearly circular orbits; `count` steps. */
const char *nbody(long count, uint64_t *check) {
  struct body bodies[BODIES] = {{.mass = 39.5}};
  for (int i = 1; i < BODIES; i++) {
    double radius = 3 * i, speed = sqrt(39.5 / radius);
    bodies[i] = (struct body){{radius * cos(i), radius * sin(i), 0.1 * i}, {-speed * sin(i), speed * cos(i), 0.01}, 0.04 / i};
  }
  double before = energy(bodies);
  for (long turn = 0; turn < count; turn++) step(bodies, 0.001);
  if (!(fabs(energy(bodies) / before - 1) < 1e-4)) return "the energy is not conserved";
  for (int i = 0; i < BODIES; i++) *check = mixed(*check, bits_of(bodies[i].x[0]));
  return NULL;
}

/** `count` lines of 1,000 points, up to 100 turns each. */
const char *mandelbrot(long count, uint64_t *check) {
  long inside = 0;
  for (long line = 0; line < count; line++) {
    double ci = 2.5 * (line + 0.5) / count - 1.25;
    for (int column = 0; column < 1000; column++) {
      double cr = 3.0 * (column + 0.5) / 1000 - 2.2, zr = 0, zi = 0;
      int turn = 0;
      while (turn < 100 && zr * zr + zi * zi <= 4) {
        double next = zr * zr - zi * zi + cr;
        zi = 2 * zr * zi + ci;
        zr = next;
        turn++;
      }
      inside += turn == 100;
    }
  }
  double area = inside * 3.0 * 2.5 / (1000.0 * count);
  if (!(area > 1.4 && area < 1.7)) return "the set's area is about 1.5";
  *check = inside;
  return NULL;
}

#define SIZE 96
static double a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

/** `count` products of two matrices; small whole numbers, so every sum is exact. */
const char *matmul(long count, uint64_t *check) {
  for (int i = 0; i < SIZE; i++)
    for (int j = 0; j < SIZE; j++) a[i][j] = (i * 7 + j * 3) % 17 - 8, b[i][j] = (i * 5 + j * 11) % 19 - 9;
  for (long turn = 0; turn < count; turn++) {
    a[turn % SIZE][0] = turn % 13;
    for (int i = 0; i < SIZE; i++)
      for (int j = 0; j < SIZE; j++) {
        double sum = 0;
        for (int k = 0; k < SIZE; k++) sum += a[i][k] * b[k][j];
        c[i][j] = sum;
      }
  }
  for (int i = 0; i < SIZE; i++) {
    long product = 0, expected = 0;
    for (int j = 0; j < SIZE; j++) {
      long inner = 0;
      for (int k = 0; k < SIZE; k++) inner += (long)b[j][k] * (k % 5 - 2);
      expected += (long)a[i][j] * inner;
      product += (long)c[i][j] * (j % 5 - 2);
    }
    if (product != expected) return "A(Bx) differs from (AB)x";
    *check = mixed(*check, product);
  }
  return NULL;
}

#define POINTS 1024
static void transform(double complex *points, int direction) {
  for (int i = 1, j = 0; i < POINTS; i++) {
    int bit = POINTS >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      double complex swap = points[i];
      points[i] = points[j], points[j] = swap;
    }
  }
  for (int length = 2; length <= POINTS; length <<= 1) {
    double angle = direction * 2 * M_PI / length;
    double wr = cos(angle), wi = sin(angle);
    for (int start = 0; start < POINTS; start += length) {
      double ur = 1, ui = 0;
      for (int k = start; k < start + length / 2; k++) {
        double xr = creal(points[k + length / 2]), xi = cimag(points[k + length / 2]);
        double vr = xr * ur - xi * ui, vi = xr * ui + xi * ur;
        points[k + length / 2] = points[k] - (vr + vi * I);
        points[k] += vr + vi * I;
        double next = ur * wr - ui * wi;
        ui = ur * wi + ui * wr;
        ur = next;
      }
    }
  }
}

/** `count` transforms of 1,024 points there and back. */
const char *fft(long count, uint64_t *check) {
  static double complex points[POINTS];
  for (int i = 0; i < POINTS; i++) points[i] = (i * 37 % 101) + (i % 7) * I;
  for (long turn = 0; turn < count; turn++) {
    transform(points, 1);
    transform(points, -1);
    for (int i = 0; i < POINTS; i++) points[i] /= POINTS;
  }
  for (int i = 0; i < POINTS; i++) {
    if (!(cabs(points[i] - ((i * 37 % 101) + (i % 7) * I)) < 1e-6)) return "the points do not come back";
    *check = mixed(*check, llround(creal(points[i])));
  }
  return NULL;
}

/** `count` thousand terms in the x87's 80-bit format. */
const char *x87(long count, uint64_t *check) {
  long double quarter = 0, product = 1;
  long terms = count * 1000;
  for (long k = terms - 1; k >= 0; k--) {
    long double n = 2 * k + 1;
    quarter += (k & 1 ? -1 : 1) / n;
    product *= n * n / (n * n + 1.0L / n);
  }
  // The error of the alternating series is below half of the next term's double.
  if (!(fabsl(4 * quarter - 3.14159265358979323846L) < 2.1L / terms) || !(product > 0 && product < 1)) return "the series does not tend to pi";
  *check = mixed(bits_of((double)quarter), bits_of((double)product));
  return NULL;
}

/** `count` thousand times whole number to double to float and back. */
const char *convert(long count, uint64_t *check) {
  uint64_t random = 42, sum = 0, exact = 0;
  for (long turn = 0; turn < count * 1000; turn++) {
    int32_t whole = (int32_t)(next_random(&random) >> 40);
    double wide = whole * 0.25;
    float narrow = (float)wide;
    exact += (int64_t)(wide * 4) == whole;
    sum += (int32_t)(narrow * 2.0f) + (int64_t)(wide * 1024.0);
  }
  if (exact != (uint64_t)count * 1000) return "a number did not come back";
  *check = sum;
  return NULL;
}

/** `count` thousand arguments to the mathematical library; what depends on its last bits is rounded away. */
const char *libm(long count, uint64_t *check) {
  double ones = 0, sum = 0;
  for (long turn = 1; turn <= count * 1000; turn++) {
    double x = turn * 0.001;
    double s = sin(x), c = cos(x);
    ones += s * s + c * c;
    sum += exp(log(x) * 0.5) - pow(x, 0.5) + atan2(s, c) * 1e-3;
  }
  if (!(fabs(ones / (count * 1000.0) - 1) < 1e-9)) return "sine and cosine disagree";
  *check = llround(sum * 1000);
  return NULL;
}
