// What the kernel does for a program: system calls, processes, page faults, signals, files, threads.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "program.h"

/** `count` thousand calls of getppid. */
const char *system_calls(long count, uint64_t *check) {
  long parent = syscall(SYS_getppid), equal = 0;
  for (long turn = 0; turn < count * 1000; turn++) equal += syscall(SYS_getppid) == parent;
  *check = equal;
  return equal == count * 1000 ? NULL : "the parent changed";
}

/** Two processes pass a number to and fro `count` times. */
const char *pipe_ping_pong(long count, uint64_t *check) {
  int there[2], back[2];
  uint64_t number = 0;
  if (pipe(there) != 0 || pipe(back) != 0) return "there is no pipe";
  pid_t child = fork();
  if (child == 0) {
    for (long turn = 0; turn < count; turn++) {
      if (read(there[0], &number, sizeof number) != sizeof number) _exit(1);
      number++;
      if (write(back[1], &number, sizeof number) != sizeof number) _exit(1);
    }
    _exit(0);
  }
  for (long turn = 0; turn < count; turn++) {
    if (write(there[1], &number, sizeof number) != sizeof number) return "a write failed";
    if (read(back[0], &number, sizeof number) != sizeof number) return "a read failed";
  }
  int status = 1;
  waitpid(child, &status, 0);
  *check = number;
  return number == (uint64_t)count && status == 0 ? NULL : "the number is not the count";
}

static const char *children(long count, uint64_t *check, char *const arguments[]) {
  for (long turn = 0; turn < count; turn++) {
    pid_t child = fork();
    if (child == 0) {
      if (arguments == NULL) _exit(turn & 63);
      execv("/proc/self/exe", arguments);
      _exit(127);
    }
    int status = -1;
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return "a child was lost";
    if (WEXITSTATUS(status) != (arguments == NULL ? turn & 63 : 0)) return "a child's status is wrong";
    *check += WEXITSTATUS(status) + 1;
  }
  return NULL;
}

/** `count` children that execute this program, which ends at once. */
const char *fork_exec(long count, uint64_t *check) {
  return children(count, check, (char *[]){"bench-programs", "nothing", NULL});
}

/** `count` children that end at once. */
const char *fork_only(long count, uint64_t *check) { return children(count, check, NULL); }

#define PAGE 4096
#define PAGES 256

/** `count` times 256 pages are mapped, touched and unmapped. */
const char *page_faults(long count, uint64_t *check) {
  for (long turn = 0; turn < count; turn++) {
    uint8_t *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) return "there is no memory";
    for (int page = 0; page < PAGES; page++) {
      if (area[page * PAGE] != 0) return "a new page is not empty";
      area[page * PAGE] = turn;
      *check += area[page * PAGE];
    }
    munmap(area, PAGES * PAGE);
  }
  return NULL;
}

/** `count` thousand times a page is made read-only and writable again, and written. */
const char *protection(long count, uint64_t *check) {
  uint32_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return "there is no memory";
  for (long turn = 0; turn < count * 1000; turn++) {
    ++*(volatile uint32_t *)page;
    if (mprotect(page, PAGE, PROT_READ) != 0) return "mprotect failed";
    *check += *(volatile uint32_t *)page;
    if (mprotect(page, PAGE, PROT_READ | PROT_WRITE) != 0) return "mprotect failed";
  }
  return *page == (uint32_t)count * 1000 ? NULL : "a write was lost";
}

static volatile sig_atomic_t arrived;
static uint8_t *guarded;
static void on_signal(int number) { arrived += number == SIGUSR1; }
static void on_fault(int number) {
  arrived += number == SIGSEGV;
  mprotect(guarded, PAGE, PROT_READ | PROT_WRITE);
}

/** `count` thousand signals sent, and `count` hundred faults caught. */
const char *signals(long count, uint64_t *check) {
  arrived = 0;
  signal(SIGUSR1, on_signal);
  signal(SIGSEGV, on_fault);
  for (long turn = 0; turn < count * 1000; turn++) raise(SIGUSR1);
  guarded = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (guarded == MAP_FAILED) return "there is no memory";
  for (long turn = 0; turn < count * 100; turn++) {
    *(volatile uint8_t *)guarded = turn;
    mprotect(guarded, PAGE, PROT_READ);
  }
  *check = arrived;
  return arrived == count * 1100 ? NULL : "a signal was lost";
}

/** `count` thousand files made, written, read, looked at and removed. */
const char *files(long count, uint64_t *check) {
  char name[64], text[64];
  for (long turn = 0; turn < count * 1000; turn++) {
    snprintf(name, sizeof name, "/tmp/bench-%ld", turn % 100);
    int file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0) return "a file cannot be made in /tmp";
    int length = snprintf(text, sizeof text, "turn %ld", turn);
    struct stat status;
    if (write(file, text, length) != length || fstat(file, &status) != 0 || status.st_size != length) return "a file has the wrong size";
    text[length - 5] = '\0';
    if (pread(file, text, length - 5, 5) != length - 5 || atol(text) != turn) return "a file has the wrong content";
    close(file);
    unlink(name);
    *check += length;
  }
  return NULL;
}

struct share { long from, to; uint64_t sum; };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t shared_sum;

static void *work(void *argument) {
  struct share *share = argument;
  for (long turn = share->from; turn < share->to; turn++) {
    uint64_t random = turn + 1, sum = 0;
    for (int i = 0; i < 20000; i++) sum += next_random(&random) >> 50;
    share->sum += sum;
    pthread_mutex_lock(&lock);
    shared_sum += sum;
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

/** `count` million numbers are added up, one half by a second thread; after 20,000 each the sum goes into a common one under a lock. */
const char *threads(long count, uint64_t *check) {
  struct share shares[2] = {{0, count * 25, 0}, {count * 25, count * 50, 0}};
  pthread_t second;
  shared_sum = 0;
  if (pthread_create(&second, NULL, work, &shares[1]) != 0) return "there is no second thread";
  work(&shares[0]);
  pthread_join(second, NULL);
  *check = shared_sum;
  return shared_sum == shares[0].sum + shares[1].sum ? NULL : "the lock did not hold";
}

static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long turn_of, limit;

static void *player(void *argument) {
  long own = (long)(intptr_t)argument;
  pthread_mutex_lock(&lock);
  while (turn_of < limit) {
    if (turn_of % 2 == own) {
      turn_of++;
      pthread_cond_signal(&changed);
    } else pthread_cond_wait(&changed, &lock);
  }
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
  return NULL;
}

/** Two threads wake each other, `count` thousand times in all. */
const char *futex_ping_pong(long count, uint64_t *check) {
  pthread_t second;
  turn_of = 0, limit = count * 1000;
  if (pthread_create(&second, NULL, player, (void *)1) != 0) return "there is no second thread";
  player((void *)0);
  pthread_join(second, NULL);
  *check = turn_of;
  return turn_of == limit ? NULL : "a turn was lost";
}
