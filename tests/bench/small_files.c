// create, stat or unlink of COUNT small files by THREADS threads: small_files create|stat|unlink DIR COUNT THREADS BYTES.
// Each thread has a directory of its own; with one thread the time is that of the calls alone.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *what, *top;
static long count, threads, bytes;
static char data[65536];

static void fail(const char* path) {
  fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
  exit(1);
}

static void* work(void* argument) {
  const long self = (long)argument;
  char path[4096];
  snprintf(path, sizeof path, "%s/%ld", top, self);
  if (strcmp(what, "create") == 0 && mkdir(path, 0755) != 0 && errno != EEXIST) fail(path);
  for (long i = self; i < count; i += threads) {
    snprintf(path, sizeof path, "%s/%ld/file%ld", top, self, i);
    if (strcmp(what, "create") == 0) {
      const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
      if (fd < 0 || (bytes > 0 && write(fd, data, bytes) != bytes) || close(fd) != 0) fail(path);
    } else if (strcmp(what, "stat") == 0) {
      struct stat info;
      if (stat(path, &info) != 0) fail(path);
    } else if (unlink(path) != 0) {
      fail(path);
    }
  }
  return NULL;
}

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  what = argv[1], top = argv[2], count = atol(argv[3]), threads = atol(argv[4]), bytes = atol(argv[5]);
  if (threads < 1 || threads > 64 || bytes > (long)sizeof data) return 2;
  pthread_t ids[64];
  for (long i = 0; i < threads; ++i)
    if (pthread_create(&ids[i], NULL, work, (void*)i) != 0) return 1;
  for (long i = 0; i < threads; ++i) pthread_join(ids[i], NULL);
  return 0;
}
