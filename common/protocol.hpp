#pragma once
// The words between coordinator, agent and worker: one closed set, spoken over MPI and over the worker's socketpair.
// Every message is bounded by kMaxMessage; data goes through the run directory. Frozen names: docs/formats.md.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/error.hpp"
#include "common/json.hpp"

namespace guda {

inline constexpr std::size_t kMaxMessage = 16 * 1024;
inline constexpr std::size_t kMaxText = 2 * 1024;  ///< error texts are cut to this

/// A job handed to a worker. Only the current attempt of the current epoch may commit.
struct Lease {
  std::uint32_t job = 0;
  std::uint32_t attempt = 0;
  auto operator<=>(const Lease&) const = default;
};

/// A worker's place in a gang: workers of one node that do one job together.
struct GangSeat {
  std::string memory;  ///< name of the shared memory where they meet (common/gang_memory.hpp)
  std::uint32_t rank = 0, size = 1;
  bool operator==(const GangSeat&) const = default;
};
inline constexpr std::uint32_t kMostMembers = 64;

/// Where a job's rows lie (a record of rows/<segment>); length 0: the job leaves no rows.
struct RowsRef {
  std::string segment;
  std::uint64_t offset = 0, length = 0;
  std::uint32_t crc = 0;
};

namespace message {

// agent -> coordinator
struct Hello {
  std::string token;  ///< of this life; wrong tokens are ignored
  std::string node, device;
  std::uint32_t pid = 0;
};
struct Beat {
  bool busy = false;
  Lease lease;
  std::uint64_t step = 0, steps = 0;
  double loss = 0;
  double checkpoint_in = 0;  ///< s to the next planned checkpoint; 0: the job keeps none
  double quiet = 0;          ///< agent -> coordinator: s since the worker process last said something or used CPU time
};
struct Done {
  Lease lease;
  double seconds = 0;
  RowsRef rows;
  Json metrics = Json::object();
};
struct Failed {
  Lease lease;
  ErrorClass error = ErrorClass::none;
  std::string text;
};
struct Returned {  ///< handed back on request; not a failure
  Lease lease;
};
struct Leaving {  ///< the agent gives up: its worker does not start, or it was told to end
  std::string text;
};
struct Ready {};  ///< worker -> agent: its process is up

// coordinator -> agent (-> worker)
struct Assign {
  Lease lease;
  std::optional<GangSeat> seat = std::nullopt;       ///< none: the worker does it alone
  std::optional<std::uint32_t> next = std::nullopt;  ///< the job that it will probably be given then: a hint
};
struct Cancel {
  Lease lease;
};
struct Restart {};  ///< kill and restart the worker process
struct Dismiss {};  ///< the run has ended: leave
struct Pulse {};    ///< the coordinator is alive

}  // namespace message

using Message = std::variant<message::Hello, message::Beat, message::Done, message::Failed, message::Returned,
                             message::Ready, message::Assign, message::Cancel, message::Restart, message::Dismiss,
                             message::Pulse, message::Leaving>;

[[nodiscard]] std::string encode(const Message& message);
/// Throws Error for anything that is not exactly one well-formed message.
[[nodiscard]] Message decode(std::string_view bytes);

void to_json(Json& j, const RowsRef& rows);
void from_json(const Json& j, RowsRef& rows);

/// At most kMaxText bytes of valid UTF-8.
[[nodiscard]] std::string clip_text(std::string text);

}  // namespace guda
