#pragma once
// Groups of training items: whose contribution is asked for.
#include <cstdint>
#include <string>
#include <vector>

#include "jobs/dataset.hpp"
#include "jobs/experiment.hpp"

namespace guda::jobs {

struct Group {
  std::string name;                  ///< matches [A-Za-z0-9][A-Za-z0-9_. -]{0,63}
  std::vector<std::uint32_t> items;  ///< training items: sorted, unique, not empty, not all of them
};

/// The groups that `config` describes, restricted to training items. By class: in class order, classes without a
/// training item left out. By a key of pictures: sorted by its values, an item with several is in several groups. From
/// a manifest: in order of first appearance (CSV) or of the file's keys (JSON). A CSV manifest has rows `item,group`
/// below an optional header of just that; a JSON manifest is {"group": [items]}. The other forms are drawn:
/// jobs/drawn_groups.hpp. `only` keeps some, in its order. Items are row numbers of the data set, from 0. Throws Error
/// naming file, line and cure.
[[nodiscard]] std::vector<Group> make_groups(const GroupsConfig& config, const Dataset& dataset);

}  // namespace guda::jobs
