#include "jobs/experiment_rules.hpp"

#include <fmt/format.h>

#include "jobs/experiment_tree.hpp"

namespace guda::jobs {

void Rules::rule(bool broken, const KeyPath& path, const std::function<std::string()>& what,
                 const std::vector<KeyPath>& reads) {
  if (!broken) return;
  const Located place = locate(root_, path);
  if (by_itself_.concern(place.key)) return;
  for (const KeyPath& read : reads) {
    if (by_itself_.concern(locate(root_, read).key)) return;
  }
  issues_.add(place.at, place.key, what());
}

bool Rules::written(const KeyPath& path) const { return locate(root_, path).written; }

const char* Rules::by_default(const KeyPath& path) const { return written(path) ? "" : " (the default)"; }

void Rules::taken(const std::string& list, std::size_t entry, const std::string& name, std::size_t by) {
  rule(true, {list, std::to_string(entry), "name"},
       [&] { return fmt::format("'{}' is already the name of entry {}; give this one its own `name`", name, by + 1); });
}

void Rules::horizon(KeyPath section, std::uint32_t value, std::uint32_t steps) {
  KeyPath steps_path = section;
  section.push_back("horizon");
  steps_path.push_back("steps");
  rule(value != 0 && value < steps, section,
       [&] {
         return fmt::format("{} is before the last of {} steps; leave it out, or choose {} or more", value, steps,
                            steps);
       },
       {steps_path});
}

void Rules::at_most_training_items(const KeyPath& path, std::uint32_t value) {
  rule(
      value > e_.dataset.train && e_.dataset.train > 0, path,
      [&] { return fmt::format("{}{} is more than the {} training items", value, by_default(path), e_.dataset.train); },
      {{"dataset", "train"}});
}

bool Rules::exists(const std::filesystem::path& path) {
  std::error_code failed;
  return std::filesystem::exists(path, failed);
}

bool Rules::is_file(const std::filesystem::path& path) {
  std::error_code failed;
  return std::filesystem::is_regular_file(path, failed);
}

}  // namespace guda::jobs
