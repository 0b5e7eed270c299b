#include "jobs/data_folder.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <system_error>

#include "common/error.hpp"

namespace guda::jobs {
namespace fs = std::filesystem;

fs::path find_data_file(const fs::path& needed) {
  std::error_code ignored;
  if (const char* set = std::getenv("GUDA_DATA_DIR"); set != nullptr && *set != '\0') {
    const fs::path file = fs::path(set) / needed;
    if (fs::exists(file, ignored)) return file;
    throw Error(fmt::format("GUDA_DATA_DIR={} holds no {}; point it at the folder that holds digits/, or unset it", set,
                            needed.string()));
  }
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path installed = program.parent_path().parent_path() / "share/guda/data" / needed;
  if (fs::exists(installed, ignored)) return installed;
  const fs::path source = fs::path(GUDA_SOURCE_DATA_DIR) / needed;
  if (fs::exists(source, ignored)) return source;
  throw Error(fmt::format("the data file {} is in neither {} nor {}; set GUDA_DATA_DIR to the folder that holds it",
                          needed.string(), installed.string(), source.string()));
}

}  // namespace guda::jobs
