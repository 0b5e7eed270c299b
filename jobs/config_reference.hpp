#pragma once
#include <string>

namespace guda::jobs {

/// docs/config.md: every key of the experiment file with its type, default, range and meaning, made from the schema.
[[nodiscard]] std::string config_reference();

}  // namespace guda::jobs
