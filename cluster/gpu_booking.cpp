#include "cluster/gpu_booking.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "common/clock.hpp"

namespace guda::cluster {
namespace {

/// Another user's lock file may be read, and a lock wants no more.
Fd lock_file(const std::filesystem::path& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) {
    fd = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!fd) fd = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));  // somebody made it meanwhile
  }
  return fd;
}

std::string holder(const std::filesystem::path& path) {
  try {
    return read_file(path);
  } catch (const std::exception&) {
    return "";
  }
}

/// Says who holds it where the file is ours to write.
void sign(const std::filesystem::path& path, const std::string& name) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!fd) return;
  const std::string text = fmt::format("{}, process {}", name, ::getpid());
  static_cast<void>(!::write(fd.get(), text.data(), text.size()));
}

}  // namespace

GpuBooking book_gpu(const std::string& uuid, std::uint32_t place, std::uint32_t per_device, const std::string& name,
                    const std::filesystem::path& folder, double patience) {
  GpuBooking booking;
  const auto take = [&](Fd& fd, const std::string& file, int how) {
    const std::filesystem::path path = folder / file;
    fd = lock_file(path);
    if (!fd) return true;
    for (const double until = steady_seconds() + patience;;) {
      if (::flock(fd.get(), how | LOCK_NB) == 0) {
        sign(path, name);
        return true;
      }
      if (steady_seconds() >= until) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    const std::string by = holder(path);
    booking.objection = fmt::format(
        "{} is held by another run on this node{}. Cure: wait for it, hide the GPU (CUDA_VISIBLE_DEVICES), or "
        "resources.workers_per_device in both runs where they may share it",
        uuid, by.empty() ? "" : " (" + by + ")");
    return false;
  };
  const std::string stem = "guda-" + uuid;
  if (take(booking.device, stem + ".lock", per_device > 1 ? LOCK_SH : LOCK_EX) && per_device > 1)
    static_cast<void>(take(booking.place, fmt::format("{}.{}.lock", stem, place), LOCK_EX));
  if (!booking.objection.empty()) booking.device = Fd();
  return booking;
}

}  // namespace guda::cluster
