#pragma once
// Groups that are drawn instead of listed: partitions on which resemblance is no proxy for influence.
#include <vector>

#include "jobs/groups.hpp"

namespace guda::jobs {

/// groups.by of these forms, over training items; each is a function of the seed and the data set. Items are in no
/// order.
///  noisy: the classes, after `noise` of each went to other classes. The leavers of a class are shuffled and cut into
///  as many
///   equal blocks as there are classes; for each block number a random derangement of the classes says where the blocks
///   go. Every class gives and gets equally many, nobody keeps its class, sizes stay (methods.md 11.4).
///  random: `count` subsets of `fraction` of the training items, drawn independently: they overlap.
///  redundant: every class in two parts at random, NAME_a with `share` of it and NAME_b with the rest: siblings replace
///   each other.
///  unequal: of class i of C a random part of n_0 ratio^(-i/(C-1)) items, at most all of it; the rest is in no group.
/// Throws Error naming the key where a part would be empty or a class has no training item.
[[nodiscard]] std::vector<Group> drawn_groups(const GroupsConfig& config, const Dataset& dataset);

}  // namespace guda::jobs
