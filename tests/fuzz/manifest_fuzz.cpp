// Whatever a group manifest holds: groups of training items, or an Error. The first byte chooses CSV or JSON.
#include <cstdint>
#include <string_view>

#include "common/error.hpp"
#include "jobs/groups.hpp"
#include "tests/fuzz/require.hpp"
#include "tests/fuzz/scratch_file.hpp"

using namespace guda;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::ScratchFiles scratch;
  static const jobs::Dataset dataset = jobs::load_dataset(jobs::DatasetConfig{});
  if (size == 0) return 0;
  jobs::GroupsConfig config;
  config.by = "manifest";
  config.manifest =
      scratch.write(data[0] == 'J' ? "groups.json" : "groups.csv", {reinterpret_cast<const char*>(data) + 1, size - 1});
  try {
    for (const jobs::Group& group : jobs::make_groups(config, dataset)) {
      fuzz::require(!group.items.empty() && group.items.size() < dataset.train.size(),
                    "a group is empty or everything");
      fuzz::require(group.items.back() < dataset.labels.size(), "an item outside of the data set");
      fuzz::require(!group.name.empty() && group.name.size() <= 64, "a name without limits");
    }
  } catch (const Error&) {
    // refused
  }
  return 0;
}
