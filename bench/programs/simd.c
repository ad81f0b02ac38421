// Vector instructions by intrinsics: 128 bits (SSE2) and 256 bits (AVX2).
#include <immintrin.h>
#include <stdlib.h>
#include "program.h"

#define FLOATS 8192
static float x[FLOATS] __attribute__((aligned(32))), y[FLOATS] __attribute__((aligned(32)));

/** `count` times y += a x over 32 KiB; whole numbers below 2^24, so every sum is exact. */
__attribute__((target("sse2"))) const char *saxpy(long count, uint64_t *check) {
  for (int i = 0; i < FLOATS; i++) x[i] = i % 23, y[i] = 0;
  long total = 0;
  for (long turn = 0; turn < count; turn++) {
    __m128 factor = _mm_set1_ps(turn % 3);
    total += turn % 3;
    for (int i = 0; i < FLOATS; i += 4) _mm_store_ps(y + i, _mm_add_ps(_mm_load_ps(y + i), _mm_mul_ps(factor, _mm_load_ps(x + i))));
  }
  for (int i = 0; i < FLOATS; i++) {
    if (y[i] != (float)(total * (i % 23))) return "an element differs from its closed form";
    *check = mixed(*check, (uint64_t)(int64_t)y[i]);
  }
  return NULL;
}

#define BYTES 16384
static uint8_t first[BYTES] __attribute__((aligned(32))), second[BYTES] __attribute__((aligned(32)));

static void fill_bytes(void) {
  uint64_t random = 99;
  for (int i = 0; i < BYTES; i++) first[i] = next_random(&random) >> 20, second[i] = next_random(&random) >> 20;
}

/** `count` sums of absolute differences over twice 16 KiB. */
__attribute__((target("sse2"))) const char *sad(long count, uint64_t *check) {
  fill_bytes();
  uint64_t expected = 0;
  for (int i = 0; i < BYTES; i++) expected += abs(first[i] - second[i]);
  for (long turn = 0; turn < count; turn++) {
    __m128i sum = _mm_setzero_si128();
    for (int i = 0; i < BYTES; i += 16)
      sum = _mm_add_epi64(sum, _mm_sad_epu8(_mm_load_si128((__m128i *)(first + i)), _mm_load_si128((__m128i *)(second + i))));
    uint64_t halves[2];
    _mm_storeu_si128((__m128i *)halves, sum);
    if (halves[0] + halves[1] != expected) return "the sum differs from the scalar one";
    *check = mixed(*check, halves[0]);
    // Otherwise the compiler takes the sum out of the loop.
    __asm__ volatile("" ::: "memory");
  }
  return NULL;
}

#define DOUBLES 4096
static double u[DOUBLES] __attribute__((aligned(32))), v[DOUBLES] __attribute__((aligned(32)));

__attribute__((target("avx2"))) static double dot(void) {
  __m256d sum = _mm256_setzero_pd(), other = _mm256_setzero_pd();
  for (int i = 0; i < DOUBLES; i += 8) {
    sum = _mm256_add_pd(sum, _mm256_mul_pd(_mm256_load_pd(u + i), _mm256_load_pd(v + i)));
    other = _mm256_add_pd(other, _mm256_mul_pd(_mm256_load_pd(u + i + 4), _mm256_load_pd(v + i + 4)));
  }
  double parts[4];
  _mm256_storeu_pd(parts, _mm256_add_pd(sum, other));
  return parts[0] + parts[1] + parts[2] + parts[3];
}

/** `count` dot products of 4,096 doubles. */
const char *avx2_dot(long count, uint64_t *check) {
  if (!__builtin_cpu_supports("avx2")) return NOT_SUPPORTED;
  int64_t expected = 0;
  for (int i = 0; i < DOUBLES; i++) u[i] = i % 29 - 14, v[i] = i % 31 - 15, expected += (i % 29 - 14) * (i % 31 - 15);
  for (long turn = 0; turn < count; turn++) {
    if (dot() != (double)expected) return "the product differs from the exact one";
    u[0] += 1, expected += (int64_t)v[0];
  }
  *check = expected;
  return NULL;
}

/** Bits set, by two table look-ups a byte. */
__attribute__((target("avx2"))) static uint64_t shuffled_count(void) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i low = _mm256_set1_epi8(15);
  __m256i sum = _mm256_setzero_si256();
  for (int i = 0; i < BYTES; i += 32) {
    __m256i bytes = _mm256_load_si256((__m256i *)(first + i));
    __m256i counts = _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(bytes, low)),
                                     _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low)));
    sum = _mm256_add_epi64(sum, _mm256_sad_epu8(counts, _mm256_setzero_si256()));
  }
  uint64_t parts[4];
  _mm256_storeu_si256((__m256i *)parts, sum);
  return parts[0] + parts[1] + parts[2] + parts[3];
}

/** `count` times the bits of 16 KiB. */
const char *avx2_shuffle(long count, uint64_t *check) {
  if (!__builtin_cpu_supports("avx2")) return NOT_SUPPORTED;
  fill_bytes();
  uint64_t expected = 0;
  for (int i = 0; i < BYTES; i++)
    for (int bit = 0; bit < 8; bit++) expected += first[i] >> bit & 1;
  for (long turn = 0; turn < count; turn++) {
    if (shuffled_count() != expected) return "the count differs from the scalar one";
    expected -= __builtin_popcount(first[turn % BYTES]);
    first[turn % BYTES] ^= 0x5a;
    expected += __builtin_popcount(first[turn % BYTES]);
  }
  *check = expected;
  return NULL;
}
