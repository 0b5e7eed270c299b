#include "jobs/drawn_groups.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "common/error.hpp"
#include "common/random.hpp"

namespace guda::jobs {
namespace {

using Items = std::vector<std::uint32_t>;

/// The items in a seeded order that does not depend on how the data set was split.
Items shuffled(Items items, const SeedPath& seed) {
  std::sort(items.begin(), items.end());
  Items result;
  for (const std::uint32_t i : random_permutation(static_cast<std::uint32_t>(items.size()), seed.value()))
    result.push_back(items[i]);
  return result;
}

/// Training items of every class, shuffled; every class of the data set has some.
std::vector<Items> classes_of(const Dataset& dataset, const SeedPath& seed) {
  std::vector<Items> classes(dataset.class_names.size());
  for (const std::uint32_t item : dataset.train) classes.at(dataset.labels.at(item)).push_back(item);
  for (std::size_t c = 0; c < classes.size(); ++c) {
    if (classes[c].empty()) {
      throw Error(
          fmt::format("groups.by: the class '{}' has no training item; raise dataset.train", dataset.class_names[c]));
    }
    classes[c] = shuffled(std::move(classes[c]), seed / dataset.class_names[c]);
  }
  return classes;
}

std::size_t rounded(double x) { return static_cast<std::size_t>(std::llround(x)); }

/// A uniformly random permutation without a fixed point: rejection, 1/e of all permutations are.
Items derangement(std::uint32_t n, const SeedPath& seed) {
  for (std::uint64_t attempt = 0;; ++attempt) {
    Items order = random_permutation(n, (seed / std::to_string(attempt)).value());
    bool moves_all = true;
    for (std::uint32_t i = 0; i < n; ++i) moves_all = moves_all && order[i] != i;
    if (moves_all) return order;
  }
}

std::vector<Group> noisy(const GroupsConfig& config, const Dataset& dataset, const SeedPath& seed) {
  const std::vector<Items> classes = classes_of(dataset, seed);
  const auto n = static_cast<std::uint32_t>(classes.size());
  std::size_t smallest = classes[0].size();
  for (const Items& items : classes) smallest = std::min(smallest, items.size());
  const std::size_t block = rounded(config.noise * static_cast<double>(smallest)) / n;
  if (n < 2 || block == 0 || block * n > smallest) {
    throw Error(fmt::format(
        "groups.noise: {} of the smallest class ({} items) can't be cut into {} equal blocks; choose at least {:.3f}",
        config.noise, smallest, n, static_cast<double>(n) / static_cast<double>(smallest)));
  }
  std::vector<Group> groups;
  for (std::uint32_t c = 0; c < n; ++c) {
    groups.push_back(
        {dataset.class_names[c], {classes[c].begin() + static_cast<std::ptrdiff_t>(block * n), classes[c].end()}});
  }
  for (std::uint32_t b = 0; b < n; ++b) {
    const Items destination = derangement(n, seed / "derangement" / std::to_string(b));
    for (std::uint32_t c = 0; c < n; ++c) {
      const auto first = classes[c].begin() + static_cast<std::ptrdiff_t>(b * block);
      Items& into = groups[destination[c]].items;
      into.insert(into.end(), first, first + static_cast<std::ptrdiff_t>(block));
    }
  }
  return groups;
}

std::vector<Group> random_subsets(const GroupsConfig& config, const Dataset& dataset, const SeedPath& seed) {
  const std::size_t size = rounded(config.fraction * static_cast<double>(dataset.train.size()));
  std::vector<Group> groups;
  for (std::uint32_t g = 0; g < config.count; ++g) {
    Items items = shuffled(dataset.train, seed / std::to_string(g));
    items.resize(size);
    groups.push_back({fmt::format("subset_{}", g), std::move(items)});
  }
  return groups;
}

std::vector<Group> redundant(const GroupsConfig& config, const Dataset& dataset, const SeedPath& seed) {
  std::vector<Group> groups;
  const std::vector<Items> classes = classes_of(dataset, seed);
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const auto cut = classes[c].begin() +
                     static_cast<std::ptrdiff_t>(rounded(config.share * static_cast<double>(classes[c].size())));
    if (cut == classes[c].end()) {
      throw Error(fmt::format("groups.share: {} of the {} items of class '{}' leave no second part; lower it",
                              config.share, classes[c].size(), dataset.class_names[c]));
    }
    groups.push_back({dataset.class_names[c] + "_a", {classes[c].begin(), cut}});
    groups.push_back({dataset.class_names[c] + "_b", {cut, classes[c].end()}});
  }
  return groups;
}

std::vector<Group> unequal(const GroupsConfig& config, const Dataset& dataset, const SeedPath& seed) {
  std::vector<Items> classes = classes_of(dataset, seed);
  const auto largest = static_cast<double>(classes[0].size());
  std::vector<Group> groups;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const double place = classes.size() > 1 ? static_cast<double>(c) / static_cast<double>(classes.size() - 1) : 0;
    const std::size_t size = rounded(largest * std::pow(config.ratio, -place));
    if (size == 0) {
      throw Error(
          fmt::format("groups.ratio: {} leaves nothing of class '{}'; lower it", config.ratio, dataset.class_names[c]));
    }
    classes[c].resize(std::min(size, classes[c].size()));
    groups.push_back({dataset.class_names[c], std::move(classes[c])});
  }
  return groups;
}

}  // namespace

std::vector<Group> drawn_groups(const GroupsConfig& config, const Dataset& dataset) {
  const SeedPath seed = SeedPath(config.seed) / "groups" / config.by;
  if (config.by == "noisy") return noisy(config, dataset, seed);
  if (config.by == "random") return random_subsets(config, dataset, seed);
  if (config.by == "redundant") return redundant(config, dataset, seed);
  if (config.by == "unequal") return unequal(config, dataset, seed);
  throw Error(fmt::format("groups.by: '{}' is not known; known: class, manifest, noisy, random, redundant, unequal",
                          config.by));
}

}  // namespace guda::jobs
