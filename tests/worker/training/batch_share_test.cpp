#include "worker/training/batch_share.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace guda::worker;

TEST_CASE("batch shares: those of a gang cover the batch in order and differ by one row at most") {
  for (const std::uint32_t batch : {2U, 7U, 64U, 100U}) {
    for (std::uint32_t size = 1; size <= std::min(batch, 9U); ++size) {
      std::uint32_t next = 0;
      for (std::uint32_t rank = 0; rank < size; ++rank) {
        const BatchShare share = share_of(batch, rank, size);
        CHECK(share.first == next);
        CHECK(share.count >= batch / size);
        CHECK(share.count <= batch / size + 1);
        next += share.count;
      }
      CHECK(next == batch);
    }
  }
}

TEST_CASE("batch shares: parts cover the rows in order, none larger than asked for") {
  for (const std::uint32_t micro_batch : {1U, 3U, 7U, 8U, 100U}) {
    const auto parts = parts_of({5, 8}, micro_batch);
    CHECK(parts.size() == (8 + micro_batch - 1) / micro_batch);
    std::uint32_t next = 5;
    for (const BatchShare& part : parts) {
      CHECK(part.first == next);
      CHECK(part.count <= micro_batch);
      CHECK(part.count > 0);
      next += part.count;
    }
    CHECK(next == 13);
  }
  CHECK(parts_of({5, 8}, 0).size() == 1);
}
