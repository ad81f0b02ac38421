// A measured program: does `count` units of fixed work and proves it. Same source for every architecture.
#ifndef PROGRAM_H
#define PROGRAM_H
#include <stdint.h>

/** Returns NULL, and in *check what came out, the same on every right processor; or a sentence that says what is wrong. */
typedef const char *program(long count, uint64_t *check);

/** Returned by what needs a feature that the CPU does not announce. */
extern const char NOT_SUPPORTED[];

/** xorshift64: the same numbers everywhere. */
static inline uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  return *state ^= *state << 17;
}

static inline uint64_t mixed(uint64_t check, uint64_t value) {
  return (check ^ value) * 0x9e3779b97f4a7c15u;
}

static inline uint64_t bits_of(double value) {
  union { double value; uint64_t bits; } both = {value};
  return both.bits;
}
#endif
