// LD_PRELOAD: a disk, a lock and a clock that fail as the environment says. Only paths that contain GUDA_FAULT_PATH
// count.
//   GUDA_FAULT_FLOCK=37            flock fails with this errno
//   GUDA_FAULT_SYNC=5[:SKIP[:N]]   fsync and fdatasync fail with it: after SKIP good ones, N times (for ever without N)
//   GUDA_FAULT_WRITE=28[:BYTES]    write fails with it once BYTES have been written
//   GUDA_FAULT_OPEN=30             opening for writing fails with it
//   GUDA_FAULT_CLOCK=FILE          seconds in FILE are added to the wall clock, now and at any later moment
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

struct Fault {
  int error = 0;
  long skip = 0, times = -1;
};

Fault fault(const char* name) {
  Fault f;
  if (const char* text = std::getenv(name)) std::sscanf(text, "%d:%ld:%ld", &f.error, &f.skip, &f.times);
  return f;
}

bool concerns(const char* path) {
  const char* part = std::getenv("GUDA_FAULT_PATH");
  return part == nullptr || std::strstr(path, part) != nullptr;
}

bool concerns(int fd) {
  char link[64], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = ::readlink(link, path, sizeof path - 1);
  if (n <= 0) return false;
  path[n] = '\0';
  return concerns(path);
}

std::atomic<long> syncs{0}, written{0};

int sync_result(const char* name, int fd) {
  const Fault f = fault("GUDA_FAULT_SYNC");
  if (f.error != 0 && concerns(fd)) {
    const long number = syncs++ - f.skip;
    if (number >= 0 && (f.times < 0 || number < f.times)) {
      errno = f.error;
      return -1;
    }
  }
  return real<int (*)(int)>(name)(fd);
}

int open_result(const char* name, const char* path, int flags, mode_t mode) {
  const Fault f = fault("GUDA_FAULT_OPEN");
  if (f.error != 0 && (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0 && concerns(path)) {
    errno = f.error;
    return -1;
  }
  return real<int (*)(const char*, int, ...)>(name)(path, flags, mode);
}

time_t shift() {
  const char* file = std::getenv("GUDA_FAULT_CLOCK");
  if (file == nullptr) return 0;
  std::FILE* in = std::fopen(file, "r");
  long seconds = 0;
  if (in != nullptr) {
    static_cast<void>(!std::fscanf(in, "%ld", &seconds));
    std::fclose(in);
  }
  return seconds;
}

}  // namespace

extern "C" {

int flock(int fd, int operation) {
  const Fault f = fault("GUDA_FAULT_FLOCK");
  if (f.error != 0) {
    errno = f.error;
    return -1;
  }
  return real<int (*)(int, int)>("flock")(fd, operation);
}

int fsync(int fd) { return sync_result("fsync", fd); }
int fdatasync(int fd) { return sync_result("fdatasync", fd); }

ssize_t write(int fd, const void* bytes, size_t size) {
  const Fault f = fault("GUDA_FAULT_WRITE");
  if (f.error != 0 && concerns(fd)) {
    const long room = f.skip - written;
    if (room <= 0) {
      errno = f.error;
      return -1;
    }
    if (static_cast<size_t>(room) < size) size = static_cast<size_t>(room);
    written += static_cast<long>(size);
  }
  return real<ssize_t (*)(int, const void*, size_t)>("write")(fd, bytes, size);
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_result("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_result("open64", path, flags, mode);
}

int clock_gettime(clockid_t clock, timespec* now) {
  const int result = real<int (*)(clockid_t, timespec*)>("clock_gettime")(clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec += shift();
  return result;
}

time_t time(time_t* now) {
  const time_t shifted = real<time_t (*)(time_t*)>("time")(nullptr) + shift();
  if (now != nullptr) *now = shifted;
  return shifted;
}

}  // extern "C"
