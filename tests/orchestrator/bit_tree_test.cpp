#include "orchestrator/bit_tree.hpp"

#include <doctest/doctest.h>

#include <random>
#include <set>

namespace guda::orchestrator {

TEST_CASE("bit tree: agrees with an ordered set, across word and level borders") {
  for (const std::size_t size : {1UL, 63UL, 64UL, 65UL, 4096UL, 4097UL, 300000UL}) {
    BitTree tree(size);
    std::set<std::size_t> model;
    std::mt19937 random(7);
    for (int turn = 0; turn < 3000; ++turn) {
      const std::size_t i = random() % size;
      if (random() % 3 == 0) {
        tree.erase(i);
        model.erase(i);
      } else {
        tree.insert(i);
        model.insert(i);
      }
      const std::size_t from = random() % size;
      const auto next = model.lower_bound(from);
      REQUIRE(tree.next(from) == (next == model.end() ? BitTree::kNone : *next));
      const auto above = model.upper_bound(from);
      REQUIRE(tree.previous(from) == (above == model.begin() ? BitTree::kNone : *std::prev(above)));
      REQUIRE(tree.count() == model.size());
      REQUIRE(tree.contains(from) == model.contains(from));
    }
  }
}

TEST_CASE("bit tree: nothing is found in an empty one, nor behind its end") {
  const BitTree tree(100);
  CHECK(tree.next(0) == BitTree::kNone);
  CHECK(tree.previous(99) == BitTree::kNone);
  CHECK(tree.next(1000000) == BitTree::kNone);
  CHECK(BitTree(0).next(0) == BitTree::kNone);
}

}  // namespace guda::orchestrator
