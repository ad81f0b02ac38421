// Memory: pointer chasing within and beyond the caches, streams.
#include <stdlib.h>
#include <string.h>
#include "program.h"

/** `steps` along a random cycle through `byte_count` bytes; ends where it began when `steps` is a multiple of the cycle. */
static const char *chase(size_t byte_count, uint64_t steps, uint64_t *check) {
  size_t nodes = byte_count / sizeof(void *);
  void **cycle = malloc(nodes * sizeof *cycle);
  uint32_t *order = malloc(nodes * sizeof *order);
  if (cycle == NULL || order == NULL) return "there is no memory";
  uint64_t random = 31;
  for (size_t i = 0; i < nodes; i++) order[i] = i;
  for (size_t i = nodes - 1; i > 0; i--) {
    size_t other = (next_random(&random) >> 20) % (i + 1);
    uint32_t swap = order[i];
    order[i] = order[other], order[other] = swap;
  }
  for (size_t i = 0; i < nodes; i++) cycle[order[i]] = &cycle[order[(i + 1) % nodes]];
  void **at = &cycle[order[0]];
  for (uint64_t step = 0; step < steps; step++) at = *at;
  const char *wrong = at == &cycle[order[steps % nodes]] ? NULL : "the way ends elsewhere";
  *check = mixed(at - cycle, steps);
  free(cycle);
  free(order);
  return wrong;
}

/** `count` million steps within 16 KiB. */
const char *chase_near(long count, uint64_t *check) { return chase(16 << 10, count * 1000000ull, check); }

/** `count` million steps through 8 MiB, a new page nearly each time. */
const char *chase_far(long count, uint64_t *check) { return chase(8 << 20, count * 1000000ull, check); }

#define STREAM (1 << 20)

/** `count` copies of 1 MiB. */
const char *copy(long count, uint64_t *check) {
  static uint8_t from[STREAM], to[STREAM];
  uint64_t random = 41;
  for (size_t i = 0; i < STREAM; i++) from[i] = next_random(&random) >> 20;
  for (long turn = 0; turn < count; turn++) {
    from[turn % STREAM]++;
    memcpy(to, from, STREAM);
    __asm__ volatile("" ::: "memory");
  }
  for (size_t i = 0; i < STREAM; i += 997) *check = mixed(*check, to[i]);
  return memcmp(to, from, STREAM) == 0 ? NULL : "the copy differs";
}

/** `count` times a[i] = b[i] + s c[i] over 3 x 1 MiB. */
const char *triad(long count, uint64_t *check) {
  enum { LENGTH = STREAM / sizeof(double) };
  static double a[LENGTH], b[LENGTH], c[LENGTH];
  for (int i = 0; i < LENGTH; i++) b[i] = i % 101, c[i] = i % 7;
  for (long turn = 0; turn < count; turn++) {
    double factor = turn % 5;
    for (int i = 0; i < LENGTH; i++) a[i] = b[i] + factor * c[i];
    __asm__ volatile("" ::: "memory");
  }
  for (int i = 0; i < LENGTH; i++) {
    if (a[i] != i % 101 + (count - 1) % 5 * (i % 7)) return "an element differs from its closed form";
    *check = mixed(*check, (uint64_t)a[i]);
  }
  return NULL;
}

/** `count` times 1 MiB filled by the library. */
const char *fill(long count, uint64_t *check) {
  static uint8_t bytes[STREAM];
  for (long turn = 0; turn < count; turn++) {
    memset(bytes, turn & 255, STREAM);
    __asm__ volatile("" ::: "memory");
  }
  for (size_t i = 0; i < STREAM; i++) {
    if (bytes[i] != ((count - 1) & 255)) return "a byte differs";
    *check += bytes[i];
  }
  return NULL;
}
