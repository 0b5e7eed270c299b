#include "worker/collective/shared_memory_gang.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/gang_memory.hpp"
#include "common/process.hpp"

namespace guda::worker {
namespace {

constexpr std::size_t kGangChunk = std::size_t{1} << 20;  // bytes of a member that are under way at once
constexpr std::size_t kGangParities = 2;                  // chunk k + 1 is written while others still read chunk k

/// Begins as zeros, as the kernel gives it.
struct GangBoard {
  struct Member {
    std::atomic<std::uint64_t> phase;    // meetings that it has come to
    std::atomic<std::uint64_t> started;  // its process: kernel start time
    std::atomic<std::int32_t> pid;
  };
  std::atomic<std::uint32_t> left;  // 1 + rank of the member that left first; 0: none
  std::array<Member, kMostMembers> members;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);  // else it would not work between processes

std::size_t gang_memory_size(std::uint32_t members) {
  constexpr std::size_t kPage = 4096;
  return (sizeof(GangBoard) + kPage - 1) / kPage * kPage + kGangParities * members * kGangChunk;
}

class SharedMemoryGang final : public Gang {
 public:
  SharedMemoryGang(const GangSeat& seat, GangPatience patience)
      : seat_(seat), patience_(std::move(patience)), bytes_(gang_memory_size(seat.size)) {
    open();
    GangBoard::Member& me = board().members[seat_.rank];
    me.pid = ::getpid();
    me.started = process_start_time(::getpid());
    try {
      barrier();
    } catch (...) {
      close();
      throw;
    }
    if (seat_.rank == 0) remove_gang_memory(seat_.memory);
  }
  ~SharedMemoryGang() override { close(); }

  [[nodiscard]] std::uint32_t rank() const override { return seat_.rank; }
  [[nodiscard]] std::uint32_t size() const override { return seat_.size; }

  using Gang::all_reduce;
  void all_reduce(std::span<float> values) override {
    constexpr std::size_t kNumbers = kGangChunk / sizeof(float);
    for (std::size_t first = 0; first < values.size(); first += kNumbers) {
      const std::span<float> part = values.subspan(first, std::min(kNumbers, values.size() - first));
      std::memcpy(slot(seat_.rank), part.data(), part.size_bytes());
      barrier();
      std::memcpy(part.data(), slot(0, 1), part.size_bytes());
      for (std::uint32_t r = 1; r < seat_.size; ++r) {
        const auto* theirs = reinterpret_cast<const float*>(slot(r, 1));
        for (std::size_t i = 0; i < part.size(); ++i) part[i] += theirs[i];
      }
    }
  }

  void broadcast(std::span<std::byte> bytes) override {
    for (std::size_t first = 0; first < bytes.size(); first += kGangChunk) {
      const std::span<std::byte> part = bytes.subspan(first, std::min(kGangChunk, bytes.size() - first));
      if (seat_.rank == 0) std::memcpy(slot(0), part.data(), part.size());
      barrier();
      if (seat_.rank != 0) std::memcpy(part.data(), slot(0, 1), part.size());
    }
  }

  /// Who comes to meeting n + 1 has read what it wanted of meeting n - 1, whose slots may then be written again.
  void barrier() override {
    const std::uint64_t phase = ++phase_;
    board().members[seat_.rank].phase.store(phase, std::memory_order_release);
    for (std::uint32_t r = 0; r < seat_.size; ++r) {
      if (r != seat_.rank) wait_for(r, phase);
    }
  }

 private:
  void open() {
    const std::filesystem::path path = "/dev/shm/" + seat_.memory;
    const Fd fd(::shm_open(("/" + seat_.memory).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) throw IoError(errno_text("cannot open the shared memory of a gang", path, errno));
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0 || status.st_uid != ::geteuid())
      throw IoError(path.string() + " belongs to somebody else. Cure: have it removed");
    // Reserved, not just allowed: a full /dev/shm is an error here, a SIGBUS later.
    if (const int code = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes_)); code != 0) {
      remove_gang_memory(seat_.memory);
      throw IoError(
          fmt::format("{}: a gang of {} wants {} MB of shared memory. Cure: a larger /dev/shm (docker run "
                      "--shm-size), or no resources.gang",
                      errno_text("cannot grow", path, code), seat_.size, bytes_ >> 20));
    }
    void* const at = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (at == MAP_FAILED) throw IoError(errno_text("cannot map", path, errno));
    memory_ = static_cast<std::byte*>(at);
  }

  /// The others see that we are gone. After the last meeting they are, too, and nobody looks.
  void close() {
    std::uint32_t nobody = 0;
    board().left.compare_exchange_strong(nobody, 1 + seat_.rank);
    ::munmap(memory_, bytes_);
  }

  void wait_for(std::uint32_t rank, std::uint64_t phase) {
    const GangBoard::Member& member = board().members[rank];
    const auto here = [&] { return member.phase.load(std::memory_order_acquire) >= phase; };
    // A few microseconds: members of equal shares come together. Then sleep, not yield: on a busy machine a yield lasts
    // as long as everybody else's turn.
    for (int i = 0; i < kSpins && !here(); ++i) {
    }
    const double since = steady_seconds();
    double looked_at = since;
    while (!here()) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      const double t = steady_seconds();
      if (t - looked_at < kLook) continue;
      looked_at = t;
      patience_.while_waiting();
      // Whoever left may have come here before: what it left behind is still there.
      const std::uint32_t left = board().left.load();
      if ((left != 0 || !alive(member)) && !here())
        throw GangBroken{left != 0 ? fmt::format("member {} of {} has left", left, seat_.size)
                                   : fmt::format("the process of member {} of {} is gone", rank + 1, seat_.size)};
      if (t - since > patience_.seconds) {
        throw IoError(fmt::format("member {} of a gang of {} {} for {:.0f} s", rank + 1, seat_.size,
                                  member.phase == 0 ? "has not come" : "has kept the others waiting",
                                  patience_.seconds));
      }
    }
  }

  /// Not yet come counts as alive.
  static bool alive(const GangBoard::Member& member) {
    const pid_t pid = member.pid;
    if (member.phase == 0) return true;
    const char state = process_state(pid);
    return state != 0 && state != 'Z' && state != 'X' && process_start_time(pid) == member.started;
  }

  [[nodiscard]] GangBoard& board() const { return *reinterpret_cast<GangBoard*>(memory_); }
  /// Where a member writes for meeting phase_ + 1; with `past` = 1 of meeting phase_.
  [[nodiscard]] std::byte* slot(std::uint32_t rank, std::uint64_t past = 0) const {
    const std::size_t parity = (phase_ + 1 - past) % kGangParities;
    return memory_ + (bytes_ - kGangParities * seat_.size * kGangChunk) + (parity * seat_.size + rank) * kGangChunk;
  }

  static constexpr int kSpins = 10'000;
  static constexpr double kLook = 5e-3;  // s

  const GangSeat seat_;
  const GangPatience patience_;
  const std::size_t bytes_;
  std::byte* memory_ = nullptr;
  std::uint64_t phase_ = 0;
};

}  // namespace

std::unique_ptr<Gang> join_gang(const GangSeat& seat, GangPatience patience) {
  return std::make_unique<SharedMemoryGang>(seat, std::move(patience));
}

}  // namespace guda::worker
