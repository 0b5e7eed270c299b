#include "common/mpi/mpi_channel.hpp"

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <source_location>
#include <string_view>

#include "common/error.hpp"
#include "common/protocol.hpp"

namespace guda {
namespace {

constexpr int kTag = 1;
constexpr unsigned kFinalizeSeconds = 5;

void check_mpi(int code, std::string_view call, std::source_location at = std::source_location::current()) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(std::string(call) + " failed at " + at.file_name() + ":" + std::to_string(at.line()) + ": " +
              std::string(text, static_cast<std::size_t>(length)));
}

}  // namespace

MpiSession::MpiSession(int* argc, char*** argv) {
  int provided = 0;
  check_mpi(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
}

MpiSession::~MpiSession() {
  if (std::uncaught_exceptions() != 0) return;
  // MPI_Finalize waits for every rank, also for one that is lost or frozen: nothing is owed to it any more.
  std::signal(SIGALRM, [](int) { ::_exit(0); });
  ::alarm(kFinalizeSeconds);
  MPI_Finalize();
  ::alarm(0);
}

void MpiSession::leave(int code) { ::_exit(code); }

/// The buffer lives beside its request until the send has completed.
struct MpiChannel::Pending {
  std::uint32_t peer;
  std::string bytes;
  MPI_Request request = MPI_REQUEST_NULL;
};

MpiChannel::MpiChannel() {
  int value = 0;
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &value), "MPI_Comm_rank");
  rank_ = static_cast<std::uint32_t>(value);
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &value), "MPI_Comm_size");
  size_ = static_cast<std::uint32_t>(value);
}

MpiChannel::~MpiChannel() {
  // Requests to peers that are gone never complete; their buffers must outlive MPI, so they are leaked on purpose.
  for (auto& pending : pending_) static_cast<void>(pending.release());
}

std::optional<Envelope> MpiChannel::receive() {
  reap();
  int there = 0;
  MPI_Status status;
  check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, kTag, MPI_COMM_WORLD, &there, &status), "MPI_Iprobe");
  if (!there) return std::nullopt;
  int length = 0;
  check_mpi(MPI_Get_count(&status, MPI_BYTE, &length), "MPI_Get_count");
  if (length < 0 || static_cast<std::size_t>(length) > kMaxMessage) throw Error("oversized MPI message");
  Envelope envelope{static_cast<std::uint32_t>(status.MPI_SOURCE), std::string(static_cast<std::size_t>(length), '\0')};
  // Probed and below the eager limit: the bytes are here, so this receive returns at once.
  check_mpi(
      MPI_Recv(envelope.bytes.data(), length, MPI_BYTE, status.MPI_SOURCE, kTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE),
      "MPI_Recv");
  return envelope;
}

void MpiChannel::send(std::uint32_t peer, std::string bytes) {
  if (abandoned_.contains(peer)) return;
  auto pending = std::make_unique<Pending>(Pending{peer, std::move(bytes), MPI_REQUEST_NULL});
  check_mpi(MPI_Isend(pending->bytes.data(), static_cast<int>(pending->bytes.size()), MPI_BYTE, static_cast<int>(peer),
                      kTag, MPI_COMM_WORLD, &pending->request),
            "MPI_Isend");
  pending_.push_back(std::move(pending));
}

void MpiChannel::abandon(std::uint32_t peer) { abandoned_.insert(peer); }

void MpiChannel::reap() {
  std::erase_if(pending_, [this](std::unique_ptr<Pending>& pending) {
    int done = 0;
    MPI_Test(&pending->request, &done, MPI_STATUS_IGNORE);
    if (!done && abandoned_.contains(pending->peer)) {
      static_cast<void>(pending.release());  // MPI may still own the buffer
      return true;
    }
    return done != 0;
  });
}

}  // namespace guda
