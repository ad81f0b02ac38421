// bench-programs NAME COUNT: runs one program and prints the proof of its work in 16 hexadecimal digits, or why there is none (status 1).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "program.h"

const char NOT_SUPPORTED[] = "not-supported";

#define PROGRAM(name, function) program function;
#include "programs.def"
#undef PROGRAM

static const struct { const char *name; program *run; } PROGRAMS[] = {
#define PROGRAM(name, function) {name, function},
#include "programs.def"
#undef PROGRAM
};

int main(int argc, char **argv) {
  // What `spawn` executes.
  if (argc == 2 && strcmp(argv[1], "nothing") == 0) return 0;
  if (argc != 3) return fprintf(stderr, "usage: %s NAME COUNT\n", argv[0]), 2;
  for (size_t index = 0; index < sizeof PROGRAMS / sizeof *PROGRAMS; index++) {
    if (strcmp(PROGRAMS[index].name, argv[1]) != 0) continue;
    uint64_t check = 0;
    const char *wrong = PROGRAMS[index].run(atol(argv[2]), &check);
    if (wrong == NOT_SUPPORTED) return puts(NOT_SUPPORTED), 0;
    if (wrong != NULL) return printf("WRONG: %s\n", wrong), 1;
    printf("%016llx\n", (unsigned long long)check);
    return 0;
  }
  return fprintf(stderr, "there is no program \"%s\"\n", argv[1]), 2;
}
