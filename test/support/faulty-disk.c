/* A disk that breaks on command, preloaded into the broker: fdatasync obeys the first letter of the file named by
   FAULTY_DISK: 'e' fails with EIO, 's' never returns, anything else works. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static char order(void) {
  const char *path = getenv("FAULTY_DISK");
  char letter = 0;
  int descriptor = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (descriptor < 0) return 0;
  if (read(descriptor, &letter, 1) != 1) letter = 0;
  close(descriptor);
  return letter;
}

int fdatasync(int descriptor) {
  static int (*real)(int);
  char letter = order();
  if (letter == 'e') {
    errno = EIO;
    return -1;
  }
  while (letter == 's') pause();
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  return real(descriptor);
}
