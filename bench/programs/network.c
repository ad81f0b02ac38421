// What a network card and the way to the host take.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "program.h"

/** `count` numbers go to the host's server and come back, one after the other: $ECHO_HOST, $ECHO_PORT. */
const char *tcp_echo(long count, uint64_t *check) {
  const char *host = getenv("ECHO_HOST"), *port = getenv("ECHO_PORT");
  if (host == NULL || port == NULL || *port == 0) return NOT_SUPPORTED;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  int there = socket(AF_INET, SOCK_STREAM, 0), at_once = 1;
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || there < 0) return "there is no such address";
  setsockopt(there, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
  if (connect(there, (struct sockaddr *)&address, sizeof address) != 0) return "nobody answers";
  uint64_t state = 88172645463325252u;
  for (long turn = 0; turn < count; turn++) {
    uint64_t sent = next_random(&state), back = 0;
    if (write(there, &sent, sizeof sent) != sizeof sent) return "a write failed";
    for (size_t got = 0; got < sizeof back;) {
      ssize_t more = read(there, (char *)&back + got, sizeof back - got);
      if (more <= 0) return "a read failed";
      got += more;
    }
    if (back != sent) return "something else came back";
    *check = mixed(*check, back);
  }
  close(there);
  return NULL;
}
