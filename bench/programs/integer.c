// Integer work: recursion, indirect calls, tables, branches, long arithmetic, code that changes itself.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "program.h"

__attribute__((noinline)) static uint32_t fib_of(uint32_t n) {
  // Keeps the compiler from turning one of the calls into a loop.
  __asm__ volatile("" : "+r"(n));
  return n < 2 ? n : fib_of(n - 1) + fib_of(n - 2);
}

/** The count-th Fibonacci number by plain recursion. */
const char *fib(long count, uint64_t *check) {
  uint32_t before = 0, now = 1;
  for (long turn = 0; turn < count; turn++) {
    uint32_t next = before + now;
    before = now, now = next;
  }
  *check = fib_of(count);
  return *check == before ? NULL : "the recursion differs from the loop";
}

__attribute__((noinline)) static uint32_t ackermann_of(uint32_t m, uint32_t n) {
  __asm__ volatile("" : "+r"(m), "+r"(n));
  if (m == 0) return n + 1;
  uint32_t inner = n == 0 ? 1 : ackermann_of(m, n - 1);
  return ackermann_of(m - 1, inner);
}

/** A(2, 200) `count` times, then A(3, 6). */
const char *ackermann(long count, uint64_t *check) {
  for (long turn = 0; turn < count; turn++)
    if (ackermann_of(2, 200) != 403) return "A(2, 200) is 403";
  *check = ackermann_of(3, 6);
  return *check == 509 ? NULL : "A(3, 6) is 509";
}

static int place(int row, uint32_t columns, uint32_t left, uint32_t right) {
  if (row == 0) return 1;
  int found = 0;
  for (uint32_t free = ~(columns | left | right) & 0x1ff; free != 0; free &= free - 1) {
    uint32_t bit = free & -free;
    found += place(row - 1, columns | bit, (left | bit) << 1, (right | bit) >> 1);
  }
  return found;
}

/** Nine queens, `count` times. */
const char *queens(long count, uint64_t *check) {
  for (long turn = 0; turn < count; turn++) {
    int found = place(9, 0, 0, 0);
    if (found != 352) return "nine queens stand in 352 ways";
    *check += found;
    __asm__ volatile("" ::: "memory");
  }
  return NULL;
}

struct shape;
typedef uint32_t area(const struct shape *);
struct shape { area *area; uint32_t width, height; };
static uint32_t square(const struct shape *s) { return s->width * s->width; }
static uint32_t rectangle(const struct shape *s) { return s->width * s->height; }
static uint32_t triangle(const struct shape *s) { return s->width * s->height >> 1; }
static uint32_t frame(const struct shape *s) { return 2 * (s->width + s->height); }
static uint32_t cross(const struct shape *s) { return s->width + s->height - 1; }
static area *const AREAS[] = {square, rectangle, triangle, frame, cross};
#define SHAPES 1000

/** `count` times a call through a pointer for each of 1,000 objects in random order. */
const char *virtual_calls(long count, uint64_t *check) {
  static struct shape shapes[SHAPES];
  static uint8_t kinds[SHAPES];
  uint64_t random = 7, expected = 0;
  for (int i = 0; i < SHAPES; i++) {
    kinds[i] = (next_random(&random) >> 33) % 5;
    shapes[i] = (struct shape){AREAS[kinds[i]], (next_random(&random) >> 33) % 100 + 1, (next_random(&random) >> 33) % 100 + 1};
    uint32_t w = shapes[i].width, h = shapes[i].height;
    const uint32_t areas[] = {w * w, w * h, w * h / 2, 2 * (w + h), w + h - 1};
    expected += areas[kinds[i]];
  }
  for (long turn = 0; turn < count; turn++)
    for (int i = 0; i < SHAPES; i++) *check += shapes[i].area(&shapes[i]);
  return *check == expected * (uint64_t)count ? NULL : "the sum differs from the one without calls";
}

enum { PUSH, ADD, SUB, MUL, MOD, DUP, SWAP, LOAD, STORE, JUMP_IF, END };

/** A switch-driven machine with a stack that works out a sum of remainders, `count` thousand turns. */
const char *bytecode(long count, uint64_t *check) {
  // variables: 0 the turns left, 1 the sum. sum += turns * turns % 1009
  static const int32_t CODE[] = {LOAD, 0, DUP, MUL, PUSH, 1009, SWAP, MOD, LOAD, 1, ADD, STORE, 1, LOAD, 0, PUSH, 1, SWAP, SUB, DUP, STORE, 0, JUMP_IF, 0, END};
  uint32_t stack[16], variables[2] = {(uint32_t)count * 1000, 0}, *top = stack, expected = 0;
  const int32_t *at = CODE;
  for (int going = 1; going;) {
    uint32_t swap;
    switch (*at++) {
      case PUSH: *top++ = *at++; break;
      case ADD: top--, top[-1] += top[0]; break;
      case SUB: top--, top[-1] = top[0] - top[-1]; break;
      case MUL: top--, top[-1] *= top[0]; break;
      case MOD: top--, top[-1] = top[0] % top[-1]; break;
      case DUP: top[0] = top[-1], top++; break;
      case SWAP: swap = top[-1], top[-1] = top[-2], top[-2] = swap; break;
      case LOAD: *top++ = variables[*at++]; break;
      case STORE: variables[*at++] = *--top; break;
      case JUMP_IF: at = *--top ? CODE + *at : at + 1; break;
      case END: going = 0; break;
    }
  }
  for (uint32_t turn = count * 1000; turn > 0; turn--) expected += turn * turn % 1009;
  *check = variables[1];
  return variables[1] == expected ? NULL : "the sum differs from the compiled loop's";
}

#define SLOTS (1 << 16)

/** `count` thousand keys into an open table with removals, each looked up again. */
const char *hash_table(long count, uint64_t *check) {
  static uint32_t keys[SLOTS], values[SLOTS];
  uint64_t random = 11;
  uint32_t held = 0, found = 0;
  memset(keys, 0, sizeof keys);
  for (long turn = 0; turn < count * 1000; turn++) {
    uint32_t key = ((next_random(&random) >> 24) % 40000) + 1, at = key * 2654435761u >> 16;
    while (keys[at] != 0 && keys[at] != key) at = (at + 1) % SLOTS;
    if (keys[at] == key) found += values[at] == key * 3;
    else keys[at] = key, values[at] = key * 3, held++;
  }
  if (found + held != (uint64_t)count * 1000) return "a value was lost";
  *check = mixed(found, held);
  return NULL;
}

#define ITEMS 20000
static uint32_t items[ITEMS];

static void fill_items(uint64_t seed) {
  for (int i = 0; i < ITEMS; i++) items[i] = next_random(&seed) >> 31;
}

static const char *sorted(uint64_t sum, uint64_t *check) {
  for (int i = 0; i < ITEMS; i++) {
    if (i > 0 && items[i - 1] > items[i]) return "the items are not in order";
    sum -= items[i];
  }
  if (sum != 0) return "an item was lost";
  *check = mixed(*check, items[ITEMS / 2]);
  return NULL;
}

static uint64_t sum_of_items(void) {
  uint64_t sum = 0;
  for (int i = 0; i < ITEMS; i++) sum += items[i];
  return sum;
}

static void quicksort(uint32_t *from, uint32_t *to) {
  while (to - from > 12) {
    uint32_t pivot = from[(to - from) / 2], *low = from, *high = to - 1;
    while (low <= high) {
      while (*low < pivot) low++;
      while (*high > pivot) high--;
      if (low > high) break;
      uint32_t swap = *low;
      *low++ = *high, *high-- = swap;
    }
    quicksort(from, high + 1);
    from = low;
  }
  for (uint32_t *next = from + 1; next < to; next++) {
    uint32_t value = *next, *hole = next;
    for (; hole > from && hole[-1] > value; hole--) *hole = hole[-1];
    *hole = value;
  }
}

/** 20,000 numbers, `count` times. */
const char *sort(long count, uint64_t *check) {
  for (long turn = 1; turn <= count; turn++) {
    fill_items(turn);
    uint64_t sum = sum_of_items();
    quicksort(items, items + ITEMS);
    const char *wrong = sorted(sum, check);
    if (wrong != NULL) return wrong;
  }
  return NULL;
}

static int compare(const void *left, const void *right) {
  uint32_t l = *(const uint32_t *)left, r = *(const uint32_t *)right;
  return l < r ? -1 : l > r;
}

/** The same by the library, which calls a comparison. */
const char *library_sort(long count, uint64_t *check) {
  for (long turn = 1; turn <= count; turn++) {
    fill_items(turn);
    uint64_t sum = sum_of_items();
    qsort(items, ITEMS, sizeof *items, compare);
    const char *wrong = sorted(sum, check);
    if (wrong != NULL) return wrong;
  }
  return NULL;
}

#define SIDE 128
#define NODES (SIDE * SIDE)
static uint8_t weight[NODES][2];
static uint32_t distance[NODES];
struct entry { uint32_t distance, node; };
static struct entry heap[NODES * 4];
static int heap_size;

static void heap_push(struct entry entry) {
  int at = heap_size++;
  for (; at > 0 && heap[(at - 1) / 2].distance > entry.distance; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
  heap[at] = entry;
}

static struct entry heap_pop(void) {
  struct entry result = heap[0], last = heap[--heap_size];
  int at = 0;
  for (int child; (child = 2 * at + 1) < heap_size; at = child) {
    if (child + 1 < heap_size && heap[child + 1].distance < heap[child].distance) child++;
    if (heap[child].distance >= last.distance) break;
    heap[at] = heap[child];
  }
  heap[at] = last;
  return result;
}

static void reach(uint32_t node, uint32_t total) {
  if (total >= distance[node]) return;
  distance[node] = total;
  heap_push((struct entry){total, node});
}

/** Shortest ways through a grid of 128 by 128 nodes from `count` places. */
const char *dijkstra(long count, uint64_t *check) {
  uint64_t random = 5;
  for (int i = 0; i < NODES; i++) weight[i][0] = (next_random(&random) >> 40) % 100 + 1, weight[i][1] = (next_random(&random) >> 40) % 100 + 1;
  for (long turn = 0; turn < count; turn++) {
    memset(distance, 0xff, sizeof distance);
    heap_size = 0;
    reach(turn * 997 % NODES, 0);
    while (heap_size > 0) {
      struct entry next = heap_pop();
      if (next.distance > distance[next.node]) continue;
      uint32_t node = next.node, column = node % SIDE;
      if (column + 1 < SIDE) reach(node + 1, next.distance + weight[node][0]);
      if (column > 0) reach(node - 1, next.distance + weight[node - 1][0]);
      if (node + SIDE < NODES) reach(node + SIDE, next.distance + weight[node][1]);
      if (node >= SIDE) reach(node - SIDE, next.distance + weight[node - SIDE][1]);
    }
    for (uint32_t node = 0; node + SIDE < NODES; node++) {
      if (abs((int)(distance[node] - distance[node + SIDE])) > weight[node][1]) return "a way is longer than its detour";
      *check += distance[node];
    }
  }
  return NULL;
}

/** Primes below 100,000, `count` times. */
const char *sieve(long count, uint64_t *check) {
  static uint8_t composite[100000];
  for (long turn = 0; turn < count; turn++) {
    memset(composite, 0, sizeof composite);
    int found = 0;
    for (int i = 2; i < 100000; i++) {
      if (composite[i]) continue;
      found++;
      for (int j = 2 * i; j < 100000; j += i) composite[j] = 1;
    }
    if (found != 9592) return "there are 9592 primes below 100,000";
    *check += found;
  }
  return NULL;
}

/** `count` thousand divisions of 64-bit numbers, signed and unsigned. */
const char *divide(long count, uint64_t *check) {
  uint64_t random = 3;
  for (long turn = 0; turn < count * 1000; turn++) {
    uint64_t value = next_random(&random), divisor = (value >> (turn & 31)) | 1;
    uint64_t quotient = random / divisor, rest = random % divisor;
    int64_t negative = -(int64_t)(random >> 1), by = (int64_t)(divisor >> 20) + 3;
    int64_t signed_quotient = negative / by, signed_rest = negative % by;
    if (quotient * divisor + rest != random || rest >= divisor) return "an unsigned division is wrong";
    if (signed_quotient * by + signed_rest != negative || signed_rest > 0) return "a signed division is wrong";
    *check = mixed(*check, quotient ^ (uint64_t)signed_rest);
    random += quotient;
  }
  return NULL;
}

#ifdef __x86_64__
#define PRIME 0x1fffffffffffffffu
static uint64_t times(uint64_t l, uint64_t r) {
  unsigned __int128 product = (unsigned __int128)l * r;
  uint64_t sum = (uint64_t)(product & PRIME) + (uint64_t)(product >> 61);
  return sum >= PRIME ? sum - PRIME : sum;
}
#else
#define PRIME 0x7fffffffu
static uint64_t times(uint64_t l, uint64_t r) {
  uint64_t product = l * r, sum = (product & PRIME) + (product >> 31);
  return sum >= PRIME ? sum - PRIME : sum;
}
#endif

/** Fermat's little theorem modulo a Mersenne prime, for `count` thousand bases. */
const char *multiply(long count, uint64_t *check) {
  for (long turn = 0; turn < count * 1000; turn++) {
    uint64_t base = (uint64_t)turn * 7919 % (PRIME - 2) + 2, power = 1;
    for (uint64_t exponent = PRIME - 1; exponent != 0; exponent >>= 1, base = times(base, base))
      if (exponent & 1) power = times(power, base);
    if (power != 1) return "a^(p-1) is not 1";
    *check = mixed(*check, base);
  }
  return NULL;
}

/** CRC-32 by a table, `count` times 64 KiB. */
const char *crc32(long count, uint64_t *check) {
  static uint8_t data[65536];
  uint32_t table[256];
  uint64_t random = 17;
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
    table[i] = value;
  }
  uint32_t known = 0xffffffffu;
  for (const char *at = "123456789"; *at; at++) known = known >> 8 ^ table[(known ^ (uint8_t)*at) & 255];
  if (~known != 0xcbf43926u) return "the known answer is CBF43926";
  for (size_t i = 0; i < sizeof data; i++) data[i] = next_random(&random) >> 30;
  uint32_t sum = 0xffffffffu;
  for (long turn = 0; turn < count; turn++)
    for (size_t i = 0; i < sizeof data; i++) sum = sum >> 8 ^ table[(sum ^ data[i]) & 255];
  *check = (uint32_t)~sum;
  return NULL;
}

static uint32_t turned(uint32_t value, int by) { return value >> by | value << (32 - by); }

static void sha256_block(uint32_t state[8], const uint8_t *block) {
  static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; i++)
    w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (turned(a, 7) ^ turned(a, 18) ^ a >> 3) + w[i - 7] + (turned(b, 17) ^ turned(b, 19) ^ b >> 10);
  }
  memcpy(s, state, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t one = s[7] + (turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i];
    uint32_t two = (turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += one;
    s[0] = one + two;
  }
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

/** SHA-256 (FIPS 180-4) in C, `count` times 64 KiB. */
const char *sha256(long count, uint64_t *check) {
  static const uint32_t START[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  static const uint8_t ABC[64] = {'a', 'b', 'c', 0x80, [63] = 24};
  uint32_t state[8];
  memcpy(state, START, sizeof state);
  sha256_block(state, ABC);
  if (state[0] != 0xba7816bfu || state[7] != 0xf20015adu) return "the digest of \"abc\" is known";
  uint8_t block[64] = {0};
  for (long turn = 0; turn < count * 1024; turn++) {
    block[turn % 64]++;
    sha256_block(state, block);
  }
  *check = (uint64_t)state[0] << 32 | state[7];
  return NULL;
}

/** `count` passes over 64 KiB of words with the library's string functions. */
const char *strings(long count, uint64_t *check) {
  static char text[65536 + 64], copy[65536 + 64];
  uint64_t random = 23;
  uint32_t expected = 0;
  for (size_t at = 0; at < 65536;) {
    size_t length = (next_random(&random) >> 33) % 40 + 1;
    for (size_t end = at + length; at < end && at < 65535; at++) text[at] = 'a' + (next_random(&random) >> 33) % 26;
    text[at++] = '\0';
    expected++;
  }
  memcpy(copy, text, sizeof text);
  for (long turn = 0; turn < count; turn++) {
    uint32_t words = 0, equal = 0, vowels = 0;
    for (size_t at = 0; at < 65536; words++) {
      size_t length = strlen(text + at);
      equal += strcmp(text + at, copy + at) == 0;
      vowels += memchr(text + at, 'e', length) != NULL;
      at += length + 1;
    }
    if (words != expected || equal != expected) return "a word was lost";
    *check = mixed(*check, vowels);
    text[turn % 8] = copy[turn % 8];
    __asm__ volatile("" ::: "memory");
  }
  return NULL;
}

/** `count` times a function of six bytes is written anew and called. */
const char *rewrite(long count, uint64_t *check) {
  uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return "there is no memory that is written and executed";
  uint64_t sum = 0, expected = 0;
  for (long turn = 0; turn < count; turn++) {
    uint32_t value = turn * 2654435761u;
    // movl $value, %eax; ret
    code[0] = 0xb8;
    memcpy(code + 1, &value, sizeof value);
    code[5] = 0xc3;
    __builtin___clear_cache((char *)code, (char *)code + 6);
    sum += ((uint32_t (*)(void))(uintptr_t)code)();
    expected += value;
  }
  munmap(code, 4096);
  *check = sum;
  return sum == expected ? NULL : "old code was executed";
}
