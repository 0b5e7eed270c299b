#pragma once
// The coordinator's faults on purpose (`guda run --chaos`).
#include <cstdint>
#include <filesystem>

#include "common/chaos.hpp"

namespace guda::orchestrator {

/// `die`: this process is killed here. `torn`: as if that had happened while it wrote its next journal record. `none`:
/// returns.
void inject(CoordinatorFault fault, const std::filesystem::path& journal, std::uint32_t epoch);

}  // namespace guda::orchestrator
