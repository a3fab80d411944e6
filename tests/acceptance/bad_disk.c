/* A disk that hangs or turns read-only while a file exists.
 *   BAD_DISK_HANG       fsync and fdatasync do not return
 *   BAD_DISK_READ_ONLY  writes at an offset fail with EROFS
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static int is_on(const char *name) {
  const char *flag = getenv(name);
  return flag && access(flag, F_OK) == 0;
}

#define SYNC(name)                                           \
  int name(int fd) {                                         \
    static int (*real)(int);                                 \
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name); \
    while (is_on("BAD_DISK_HANG")) usleep(20000);            \
    return real(fd);                                         \
  }
SYNC(fsync)
SYNC(fdatasync)

#define PWRITE(name, offset_t)                                                      \
  ssize_t name(int fd, const void *from, size_t size, offset_t at) {                \
    static ssize_t (*real)(int, const void *, size_t, offset_t);                    \
    if (!real)                                                                      \
      real = (ssize_t(*)(int, const void *, size_t, offset_t))dlsym(RTLD_NEXT, #name); \
    if (is_on("BAD_DISK_READ_ONLY")) {                                              \
      errno = EROFS;                                                                \
      return -1;                                                                    \
    }                                                                               \
    return real(fd, from, size, at);                                                \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
