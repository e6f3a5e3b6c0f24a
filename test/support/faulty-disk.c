/* A disk that breaks on command, preloaded into the broker. The first letter of the file named by FAULTY_DISK decides:
   'e' a flush fails with EIO, 's' a flush never returns, 'd' a flush takes 30 ms; a write that must be on disk when it
   returns (the journal file's, LMDB's meta page) is one too. 'm' only such writes fail with EIO. 'l' no journal file can
   be made, so that everything goes through LMDB. Anything else works. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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

/* @returns -1 when the flush is to fail. */
static int flush_as_ordered(char letter) {
  if (letter == 'e') {
    errno = EIO;
    return -1;
  }
  while (letter == 's') pause();
  if (letter == 'd') nanosleep(&(struct timespec){0, 30000000}, NULL);
  return 0;
}

int fdatasync(int descriptor) {
  static int (*real)(int);
  if (flush_as_ordered(order()) != 0) return -1;
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  return real(descriptor);
}

static int is_journal(int descriptor) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  path[length > 0 ? length : 0] = 0;
  return strstr(path, "/journal.") != NULL;
}

static ssize_t write_at(int descriptor, const void *bytes, size_t length, off_t offset) {
  static ssize_t (*real)(int, const void *, size_t, off_t);
  char letter = order();
  if (fcntl(descriptor, F_GETFL) & O_DSYNC) {
    if (flush_as_ordered(letter == 'm' ? 'e' : letter) != 0) return -1;
  } else if (letter == 'l' && is_journal(descriptor)) {
    errno = ENOSPC;
    return -1;
  }
  if (!real) real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
  return real(descriptor, bytes, length, offset);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) {
  return write_at(descriptor, bytes, length, offset);
}

/* The same on a 64-bit machine. */
ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off_t offset) {
  return write_at(descriptor, bytes, length, offset);
}
