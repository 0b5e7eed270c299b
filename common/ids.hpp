#pragma once
// Strong ids: group 7 and job 7 meet in every function of ours.
#include <compare>
#include <cstdint>
#include <functional>

namespace guda {

template <class Tag, class Rep = std::uint32_t>
struct Id {
  Rep value{};
  Id() = default;
  explicit constexpr Id(Rep v) : value(v) {}
  constexpr auto operator<=>(const Id&) const = default;
};

using JobIndex = Id<struct JobTag>;     ///< position in Plan::jobs
using WorkerId = Id<struct WorkerTag>;  ///< MPI rank of the worker's agent

}  // namespace guda

template <class Tag, class Rep>
struct std::hash<guda::Id<Tag, Rep>> {
  std::size_t operator()(const guda::Id<Tag, Rep>& id) const noexcept { return std::hash<Rep>{}(id.value); }
};
