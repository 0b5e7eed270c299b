#pragma once
// Where the data shipped with guda lies.
#include <filesystem>

namespace guda::jobs {

/// $GUDA_DATA_DIR, else <folder of the program>/../share/guda/data, else the source tree this program was built from.
/// Throws Error naming all three when none of them holds `needed` (a path below the data folder).
[[nodiscard]] std::filesystem::path find_data_file(const std::filesystem::path& needed);

}  // namespace guda::jobs
