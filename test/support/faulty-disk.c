/* A disk that breaks on command, preloaded into the broker. The first letter of the file named by FAULTY_DISK decides:
   'e' a flush fails with EIO, 's' a flush never returns, 'd' a flush takes 30 ms, 'm' writes that must be on disk when
   they return (LMDB's meta page) fail with EIO. Anything else works. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
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

int fdatasync(int descriptor) {
  static int (*real)(int);
  char letter = order();
  if (letter == 'e') {
    errno = EIO;
    return -1;
  }
  while (letter == 's') pause();
  if (letter == 'd') nanosleep(&(struct timespec){0, 30000000}, NULL);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  return real(descriptor);
}

static ssize_t write_at(int descriptor, const void *bytes, size_t length, off_t offset) {
  static ssize_t (*real)(int, const void *, size_t, off_t);
  if ((fcntl(descriptor, F_GETFL) & O_DSYNC) && order() == 'm') {
    errno = EIO;
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
