/* Writes down what a process does to the files of one directory, preloaded into it: every write with its bytes, every
   flush, every change of length, and every rename, in the order in which they were done. TRACED_DIRECTORY is the directory,
   WRITE_TRACE the file for the trace. One entry: [kind u8][is flushed u8][name length u16][data length u32][offset u64]
   name data, little-endian; kinds as in `trace.ts`. A lock is held around each call, so that the order is the true one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, FLUSH = 2, TRUNCATE = 3, RENAME = 4 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int trace = -1;
static const char *directory;
static size_t directory_length;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("WRITE_TRACE");
  directory = getenv("TRACED_DIRECTORY");
  if (!path || !directory) return;
  directory_length = strlen(directory);
  trace = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

#define REAL(type, name, ...)                                            \
  static type (*real)(__VA_ARGS__);                                      \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static void put(const void *bytes, size_t length) {
  REAL(ssize_t, "write", int, const void *, size_t);
  const char *at = bytes;
  while (length > 0) {
    ssize_t done = real(trace, at, length);
    if (done <= 0) abort();
    at += done;
    length -= (size_t)done;
  }
}

static void entry(int kind, int flushed, const char *name, const void *data, size_t length, uint64_t offset) {
  unsigned char head[16];
  uint16_t name_length = (uint16_t)strlen(name);
  uint32_t data_length = (uint32_t)length;
  head[0] = (unsigned char)kind;
  head[1] = (unsigned char)flushed;
  memcpy(head + 2, &name_length, 2);
  memcpy(head + 4, &data_length, 4);
  memcpy(head + 8, &offset, 8);
  put(head, sizeof head);
  put(name, name_length);
  put(data, length);
}

/* The name below the directory, or NULL for files elsewhere. */
static const char *below(const char *path) {
  if (strncmp(path, directory, directory_length) != 0 || path[directory_length] != '/') return NULL;
  return path + directory_length + 1;
}

static const char *name_of(int descriptor, char *path, size_t size) {
  char link[64];
  if (trace < 0 || descriptor == trace) return NULL;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, size - 1);
  if (length <= 0) return NULL;
  path[length] = 0;
  return below(path);
}

static int is_flushed(int descriptor) { return (fcntl(descriptor, F_GETFL) & O_DSYNC) != 0; }

static void wrote(int descriptor, const void *bytes, ssize_t done, off_t offset) {
  char path[4096];
  const char *name = done > 0 ? name_of(descriptor, path, sizeof path) : NULL;
  if (name) entry(WRITE, is_flushed(descriptor), name, bytes, (size_t)done, (uint64_t)offset);
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (trace < 0) return real(descriptor, bytes, length);
  pthread_mutex_lock(&lock);
  off_t offset = lseek(descriptor, 0, SEEK_CUR);
  ssize_t done = real(descriptor, bytes, length);
  if (offset >= 0) wrote(descriptor, bytes, done, offset);
  pthread_mutex_unlock(&lock);
  return done;
}

static ssize_t write_at(int descriptor, const void *bytes, size_t length, off_t offset) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
  pthread_mutex_lock(&lock);
  ssize_t done = real(descriptor, bytes, length, offset);
  wrote(descriptor, bytes, done, offset);
  pthread_mutex_unlock(&lock);
  return done;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) {
  return write_at(descriptor, bytes, length, offset);
}
ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off_t offset) {
  return write_at(descriptor, bytes, length, offset);
}

static ssize_t write_parts_at(int descriptor, const struct iovec *parts, int count, off_t offset) {
  REAL(ssize_t, "pwritev64", int, const struct iovec *, int, off_t);
  pthread_mutex_lock(&lock);
  ssize_t done = real(descriptor, parts, count, offset);
  ssize_t left = done;
  for (int part = 0; part < count && left > 0; part += 1) {
    ssize_t length = (ssize_t)parts[part].iov_len < left ? (ssize_t)parts[part].iov_len : left;
    wrote(descriptor, parts[part].iov_base, length, offset);
    offset += length;
    left -= length;
  }
  pthread_mutex_unlock(&lock);
  return done;
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
  return write_parts_at(descriptor, parts, count, offset);
}
ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off_t offset) {
  return write_parts_at(descriptor, parts, count, offset);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  char path[4096];
  /* With a position of its own: done as one call with an offset, which is what the trace needs. */
  if (trace < 0 || !name_of(descriptor, path, sizeof path)) return real(descriptor, parts, count);
  off_t offset = lseek(descriptor, 0, SEEK_CUR);
  ssize_t done = write_parts_at(descriptor, parts, count, offset);
  if (done > 0) lseek(descriptor, offset + done, SEEK_SET);
  return done;
}

static int flush(const char *call, int descriptor) {
  char path[4096];
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
  pthread_mutex_lock(&lock);
  int result = real(descriptor);
  const char *name = result == 0 ? name_of(descriptor, path, sizeof path) : NULL;
  if (name) entry(FLUSH, 1, name, "", 0, 0);
  pthread_mutex_unlock(&lock);
  return result;
}

int fdatasync(int descriptor) { return flush("fdatasync", descriptor); }
int fsync(int descriptor) { return flush("fsync", descriptor); }

static int truncate_to(int descriptor, off_t length) {
  REAL(int, "ftruncate64", int, off_t);
  char path[4096];
  pthread_mutex_lock(&lock);
  int result = real(descriptor, length);
  const char *name = result == 0 ? name_of(descriptor, path, sizeof path) : NULL;
  if (name) entry(TRUNCATE, 0, name, "", 0, (uint64_t)length);
  pthread_mutex_unlock(&lock);
  return result;
}

int ftruncate(int descriptor, off_t length) { return truncate_to(descriptor, length); }
int ftruncate64(int descriptor, off_t length) { return truncate_to(descriptor, length); }

int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  pthread_mutex_lock(&lock);
  int result = real(from, to);
  const char *name = result == 0 && trace >= 0 ? below(to) : NULL;
  const char *old = name ? below(from) : NULL;
  if (old) entry(RENAME, 0, name, old, strlen(old), 0);
  pthread_mutex_unlock(&lock);
  return result;
}
