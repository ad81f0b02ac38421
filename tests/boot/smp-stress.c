// What several CPUs do to each other, counted exactly: locks, interrupts between them, code that one changes while others run it, protection and mappings
// that change under others' accesses, storms of signals, store buffers, clocks. The first process of a guest: prints a line for each, powers off.

#define _GNU_SOURCE
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CPUS = 4, PAGE = 4096 };

static pthread_barrier_t start;
static volatile int failures;

static void check(int holds, const char *what) {
  if (holds || __atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST) > 5) return;
  printf("WRONG: %s\n", what);
}

struct worker {
  pthread_t thread;
  int cpu;
  void (*work)(int cpu);
};

static void *begin(void *argument) {
  struct worker *worker = argument;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(worker->cpu, &set);
  check(sched_setaffinity(0, sizeof set, &set) == 0, "a CPU is missing");
  pthread_barrier_wait(&start);
  worker->work(worker->cpu);
  return NULL;
}

/** Runs `work` once on each CPU, all at a time. */
static void everywhere(void (*work)(int cpu)) {
  struct worker workers[CPUS];
  pthread_barrier_init(&start, NULL, CPUS);
  for (int cpu = 0; cpu < CPUS; cpu++) {
    workers[cpu] = (struct worker){.cpu = cpu, .work = work};
    pthread_create(&workers[cpu].thread, NULL, begin, &workers[cpu]);
  }
  for (int cpu = 0; cpu < CPUS; cpu++) pthread_join(workers[cpu].thread, NULL);
}

static void tell(const char *name, long count) {
  printf("%s %ld\n", name, count);
  fflush(stdout);
}

// Locked instructions of all widths, aligned and not, and locks made of them.
enum { TURNS = 30000 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long by_mutex, by_spinning;
static volatile int spin;
static struct {
  char pad[61];
  volatile uint64_t across;
} __attribute__((packed, aligned(64))) line;
static volatile uint8_t byte_count[2];
static volatile unsigned __int128 wide __attribute__((aligned(16)));

static void add_wide(void) {
  uint64_t low = (uint64_t)wide, high = (uint64_t)(wide >> 64);
  unsigned char done;
  do {
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(done), "+m"(wide), "+a"(low), "+d"(high)
                     : "b"(low + 3), "c"(high + 5)
                     : "memory");
  } while (!done);
}

static void count(int cpu) {
  for (int turn = 0; turn < TURNS; turn++) {
    __asm__ volatile("lock addq $1, %0" : "+m"(line.across));
    __asm__ volatile("lock incb %0" : "+m"(byte_count[cpu & 1]));
    add_wide();
    while (__atomic_exchange_n(&spin, 1, __ATOMIC_ACQUIRE) != 0) __builtin_ia32_pause();
    by_spinning++;
    __atomic_store_n(&spin, 0, __ATOMIC_RELEASE);
    if (turn % 8 != 0) continue;
    pthread_mutex_lock(&mutex);
    by_mutex++;
    pthread_mutex_unlock(&mutex);
  }
}

// Each CPU interrupts all others, by a barrier of the kernel, and hands a turn on to the next CPU.
enum { BARRIERS = 150, HANDS = 200 };
static pthread_cond_t handed = PTHREAD_COND_INITIALIZER;
static long hand;

static void interrupt(int cpu) {
  for (int turn = 0; turn < BARRIERS; turn++)
    check(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0, "membarrier");
  pthread_mutex_lock(&mutex);
  while (hand < HANDS * CPUS) {
    if (hand % CPUS != cpu) {
      pthread_cond_wait(&handed, &mutex);
      continue;
    }
    hand++;
    pthread_cond_broadcast(&handed);
  }
  pthread_mutex_unlock(&mutex);
}

// The first CPU changes what a function returns; the others see what it was when they asked or a later one.
enum { CHANGES = 300 };
static uint8_t *code;
static volatile int32_t version;
static volatile int changes_done;

static void change(int cpu) {
  int32_t (*function)(void) = (int32_t(*)(void))code;
  if (cpu == 0) {
    for (int32_t next = 1; next <= CHANGES; next++) {
      __atomic_store_n((int32_t *)(code + 4), next, __ATOMIC_SEQ_CST);
      version = next;
      check(function() == next, "own change of code");
      for (volatile int wait = 0; wait < 2000; wait++);
    }
    changes_done = 1;
    return;
  }
  while (!changes_done) {
    int32_t at_least = version;
    unsigned a = 0, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d)); // serializes
    check(function() >= at_least, "another CPU's change of code");
  }
}

// The first CPU takes a page's write access away and gives it back, and maps another page in place of a second one; the others write and read.
enum { PROTECTIONS = 60, STORES = 20000 };
static volatile long *guarded;
static volatile long *remapped;
static volatile long mapped, faults;
static volatile int stores_done;

static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  check((uintptr_t)info->si_addr / PAGE == (uintptr_t)guarded / PAGE, "fault elsewhere");
  __atomic_add_fetch(&faults, 1, __ATOMIC_SEQ_CST);
  sched_yield(); // and the store is tried again
}

static void protect(int cpu) {
  if (cpu != 0) {
    for (int turn = 0; turn < STORES; turn++) {
      guarded[cpu]++;
      long at_least = mapped;
      check(*remapped >= at_least, "a page that is mapped no more");
    }
    __atomic_add_fetch(&stores_done, 1, __ATOMIC_SEQ_CST);
    return;
  }
  for (long turn = 1; turn <= PROTECTIONS || stores_done < CPUS - 1; turn++) {
    mprotect((void *)guarded, PAGE, PROT_READ);
    long before[CPUS], after[CPUS];
    memcpy(before, (void *)guarded, sizeof before);
    long *fresh = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *fresh = turn;
    memcpy(after, (void *)guarded, sizeof after);
    check(memcmp(before, after, sizeof before) == 0, "a store to a protected page");
    check(mremap(fresh, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)remapped) == remapped, "mremap");
    mapped = turn;
    mprotect((void *)guarded, PAGE, PROT_READ | PROT_WRITE);
    usleep(100);
  }
}

// Queued signals from everybody to everybody: none is lost.
enum { SIGNALS = 250 };
static volatile long received;
static pthread_t members[CPUS];

static void on_signal(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  __atomic_add_fetch(&received, info->si_value.sival_int, __ATOMIC_SEQ_CST);
}

static void storm(int cpu) {
  members[cpu] = pthread_self();
  pthread_barrier_wait(&start);
  for (int turn = 0; turn < SIGNALS; turn++)
    for (int other = 0; other < CPUS; other++)
      while (pthread_sigqueue(members[other], SIGRTMIN, (union sigval){.sival_int = 1}) == EAGAIN) sched_yield();
  while (received < (long)SIGNALS * CPUS * CPUS) sched_yield();
  pthread_barrier_wait(&start);
}

// Two stores and two loads: at least one load sees the other's store.
enum { ROUNDS = 400 };
static volatile int flag[2], seen[2], arrived[2];

static void meet(int side, int round) {
  __atomic_store_n(&arrived[side], round, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&arrived[!side], __ATOMIC_SEQ_CST) < round) __builtin_ia32_pause();
}

static void dekker(int cpu) {
  if (cpu > 1) return;
  for (int round = 1; round <= ROUNDS; round++) {
    meet(cpu, round * 3);
    flag[cpu] = round;
    __asm__ volatile("mfence" ::: "memory");
    seen[cpu] = flag[!cpu] == round;
    meet(cpu, round * 3 + 1);
    if (cpu == 0) check(seen[0] || seen[1], "both loads before both stores");
    meet(cpu, round * 3 + 2);
  }
}

// No CPU's clock is behind what another has read before.
static volatile uint64_t latest;

static void clocks(int cpu) {
  (void)cpu;
  for (int turn = 0; turn < 10000; turn++) {
    uint64_t before = __atomic_load_n(&latest, __ATOMIC_SEQ_CST);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t own = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    check(own >= before, "a clock went back");
    while (own > before && !__atomic_compare_exchange_n(&latest, &before, own, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
  }
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *)) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(signal, &action, NULL);
}

int main(void) {
  int memory = PROT_READ | PROT_WRITE, anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
  everywhere(count);
  tell("locked across lines", line.across);
  tell("locked bytes", byte_count[0] + byte_count[1]);
  tell("locked pairs", (long)((uint64_t)wide / 3 == (uint64_t)(wide >> 64) / 5 ? (uint64_t)wide / 3 : 0));
  tell("spin lock", by_spinning);
  tell("mutex", by_mutex);
  check(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0, "membarrier is missing");
  everywhere(interrupt);
  tell("turns handed on", hand);
  code = mmap(NULL, PAGE, memory | PROT_EXEC, anonymous, -1, 0);
  memcpy(code, "\x0f\x1f\x00\xb8\x00\x00\x00\x00\xc3", 9); // nop; mov eax, 0; ret: the number is aligned
  everywhere(change);
  tell("changes of code", version);
  guarded = mmap(NULL, PAGE, memory, anonymous, -1, 0);
  remapped = mmap(NULL, PAGE, memory, anonymous, -1, 0);
  handle(SIGSEGV, on_fault);
  everywhere(protect);
  tell("stores under protection", guarded[1] + guarded[2] + guarded[3]);
  handle(SIGRTMIN, on_signal);
  everywhere(storm);
  tell("signals", received);
  everywhere(dekker);
  everywhere(clocks);
  tell("wrong", failures);
  sync();
  reboot(RB_POWER_OFF);
  return 0;
}
