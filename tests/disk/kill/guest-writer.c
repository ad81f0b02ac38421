// /init of the guest that is killed: loads modules, then puts load on its disks for as long as it lives, and says on the console, a line each,
//
//   F DISK LANE NUMBER       the operation and those before it in its lane are flushed (load.ts)
//   R DISK                   its journal was replayed
//   V DISK GENERATION COUNT  found in a file system: so many good records at the start of a file
//   E DISK GENERATION COUNT  so many records of a file have been flushed
//   W                        all disks are being written to
//   X TEXT                   something failed
//
// Its command line has, for each disk, "DISK:lanes:N0,N1,N2,N3" (first numbers) or "DISK:ext4".

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LANES = 4, LANE_SECTORS = 4096, LONGEST_SECTORS = 96, MAGIC = 0x4b494c4c, RECORD = 4096, RECORDS = 256 };

static void say(const char *format, ...) {
  char line[160];
  va_list list;
  va_start(list, format);
  int length = vsnprintf(line, sizeof line - 1, format, list);
  va_end(list);
  line[length] = '\n';
  if (write(1, line, length + 1) < 0) _exit(1);
}

static void fail(const char *what, const char *name) {
  say("X %s %s: %s", what, name, strerror(errno));
  for (;;) pause();
}

// ---- Lanes: the same operations as load.ts

static uint32_t mixed(uint32_t x) {
  x = (x ^ x >> 16) * 0x21f0aaadu;
  x = (x ^ x >> 15) * 0x735a2d97u;
  return x ^ x >> 15;
}

static void lane(const char *disk, unsigned number_of_lane, uint32_t number) {
  char path[32];
  snprintf(path, sizeof path, "/dev/%s", disk);
  int file = open(path, O_RDWR | O_DIRECT);
  if (file < 0) fail("open", path);
  uint32_t *words;
  if (posix_memalign((void **)&words, 4096, LONGEST_SECTORS * 512)) fail("memory", path);
  for (;; number++) {
    uint32_t a = mixed(number * 8 + number_of_lane + 1), b = mixed(a + 0x9e3779b9u), c = mixed(b + 0x9e3779b9u);
    uint32_t start = a % LANE_SECTORS, most = b % 3 == 0 ? LONGEST_SECTORS : 8;
    if (most > LANE_SECTORS - start) most = LANE_SECTORS - start;
    uint32_t count = 1 + b % most, share = c % 16, first = number_of_lane * LANE_SECTORS + start;
    uint64_t range[2] = {first * 512ull, count * 512ull};
    if (share < 12) {
      for (uint32_t sector = 0; sector < count; sector++) {
        for (int i = 0; i < 128; i++) words[sector * 128 + i] = mixed(number);
        words[sector * 128] = MAGIC;
        words[sector * 128 + 1] = number_of_lane;
        words[sector * 128 + 2] = number;
        words[sector * 128 + 3] = first + sector;
      }
      if (pwrite(file, words, count * 512, first * 512ull) != (ssize_t)(count * 512)) fail("write", disk);
    } else if (ioctl(file, share < 14 ? BLKZEROOUT : BLKDISCARD, range)) fail(share < 14 ? "zero" : "discard", disk);
    if (mixed(number * 8 + number_of_lane + 5) % 3) continue;
    if (fdatasync(file)) fail("flush", disk);
    say("F %s %u %u", disk, number_of_lane, number);
  }
}

// ---- A file system: files of records, a new one when the last is full, the one before the last removed

static void fill(uint32_t *words, uint32_t generation, uint32_t number) {
  for (int i = 0; i < RECORD / 4; i++) words[i] = mixed(generation * RECORDS + number + i);
}

static void name_of(char *path, size_t size, const char *disk, uint32_t generation) {
  snprintf(path, size, "/mnt/%s/records-%u", disk, generation);
}

/** Tells what is there, and gives the last generation. */
static uint32_t verify(const char *disk) {
  char folder[32], path[64];
  snprintf(folder, sizeof folder, "/mnt/%s", disk);
  DIR *entries = opendir(folder);
  if (!entries) fail("list", folder);
  uint32_t last = 0;
  for (struct dirent *entry; (entry = readdir(entries));) {
    uint32_t generation, count = 0, found[RECORD / 4], expected[RECORD / 4];
    if (sscanf(entry->d_name, "records-%u", &generation) != 1) continue;
    if (generation > last) last = generation;
    name_of(path, sizeof path, disk, generation);
    int file = open(path, O_RDONLY);
    if (file < 0) fail("open", path);
    for (; read(file, found, RECORD) == RECORD; count++) {
      fill(expected, generation, count);
      if (memcmp(found, expected, RECORD)) break;
    }
    close(file);
    say("V %s %u %u", disk, generation, count);
  }
  closedir(entries);
  return last;
}

static void tell_replay(const char *disk) {
  static char log[1 << 18];
  char line[64];
  int length = klogctl(3 /* all of the log */, log, sizeof log - 1);
  log[length < 0 ? 0 : length] = 0;
  snprintf(line, sizeof line, "EXT4-fs (%s): recovery complete", disk);
  if (strstr(log, line)) say("R %s", disk);
}

static void files(const char *disk) {
  char device[32], folder[32], path[64];
  snprintf(device, sizeof device, "/dev/%s", disk);
  snprintf(folder, sizeof folder, "/mnt/%s", disk);
  mkdir(folder, 0755);
  // The journal is replayed here.
  if (mount(device, folder, "ext4", MS_NOATIME, "discard")) fail("mount", disk);
  tell_replay(disk);
  int directory = open(folder, O_RDONLY | O_DIRECTORY);
  uint32_t words[RECORD / 4];
  for (uint32_t generation = verify(disk) + 1;; generation++) {
    name_of(path, sizeof path, disk, generation);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0) fail("create", path);
    if (fsync(directory)) fail("flush", folder);
    for (uint32_t number = 0; number < RECORDS; number++) {
      fill(words, generation, number);
      if (pwrite(file, words, RECORD, number * RECORD) != RECORD) fail("write", path);
      if (mixed(number) % 2) continue;
      if (mixed(number) % 4 ? fdatasync(file) : fsync(file)) fail("flush", path);
      say("E %s %u %u", disk, generation, number + 1);
    }
    close(file);
    name_of(path, sizeof path, disk, generation - 1);
    unlink(path);
  }
}

// ----

static void load_modules(void) {
  char path[300];
  struct dirent **names;
  int count = scandir("/modules", &names, NULL, alphasort);
  for (int i = 0; i < count; i++) {
    if (names[i]->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/modules/%s", names[i]->d_name);
    int file = open(path, O_RDONLY);
    if (syscall(SYS_finit_module, file, "", 0)) fail("module", path);
    close(file);
  }
}

int main(int count, char **arguments) {
  mkdir("/dev", 0755);
  mkdir("/mnt", 0755);
  mount("devtmpfs", "/dev", "devtmpfs", 0, "");
  int console = open("/dev/console", O_RDWR);
  dup2(console, 1);
  load_modules();
  for (int i = 1; i < count; i++) {
    char *disk = arguments[i], *what = strchr(disk, ':');
    if (!what) continue;
    *what++ = 0;
    if (!strcmp(what, "ext4")) {
      if (fork() == 0) files(disk);
      continue;
    }
    char *next = strchr(what, ':');
    if (!next) continue;
    for (unsigned one = 0; one < LANES; one++) {
      uint32_t number = strtoul(next + 1, &next, 10);
      if (fork() == 0) lane(disk, one, number);
    }
  }
  say("W");
  for (;;) pause();
}
