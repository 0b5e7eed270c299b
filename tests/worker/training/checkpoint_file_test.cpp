#include "worker/training/checkpoint_file.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/random.hpp"
#include "common/safetensors.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

NamedTensors state_with(float value) {
  return {{"weight", torch::full({3, 4}, value)},
          {"image", torch::full({2, 3, 4, 5}, value).contiguous(at::MemoryFormat::ChannelsLast)},
          {"losses", torch::full({2}, 0.1, torch::kFloat64)},
          {"generator.cpu", torch::full({7}, 3, torch::kUInt8)},
          {"scalar", torch::full({}, value)}};
}

bool same(const NamedTensors& a, const NamedTensors& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!torch::equal(a[i].second, b[i].second)) return false;
  }
  return a.size() == b.size();
}

const Digest kJob = digest_of("job");

struct Written {
  test::ScratchFolder folder;
  std::filesystem::path file = folder / "step-00000007.safetensors";
  NamedTensors state = state_with(0.3F);
  Written() { write_checkpoint(file, {kJob, 7, 20, 1.5, "node1/cpu2"}, state); }
};

void overwrite(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace

TEST_CASE(
    "checkpoint file: what was written comes back, whatever the memory layout, and nothing else lies in the folder") {
  const Written w;
  NamedTensors state = state_with(9);
  const auto layout = state[1].second.strides().vec();
  const CheckpointHead head = read_checkpoint(w.file, kJob, state);
  CHECK(same(state, w.state));
  CHECK(state[1].second.strides().vec() == layout);
  CHECK(head.step == 7);
  CHECK(head.steps == 20);
  CHECK(head.seconds == 1.5);
  CHECK(head.worker == "node1/cpu2");
  CHECK(SafetensorsFile(w.file).tensors().size() == 5);  // anybody's safetensors reader opens it
  CHECK(std::distance(std::filesystem::directory_iterator(w.folder.path()), {}) == 1);
}

TEST_CASE("checkpoint file: equal state gives equal bytes") {
  const Written a, b;
  CHECK(read_file(a.file) == read_file(b.file));
}

TEST_CASE(
    "checkpoint file: a flipped bit or a lost byte never passes for another state, and a refused file changes "
    "nothing") {
  const Written w;
  const std::string good = read_file(w.file);
  const auto refused = [&](const std::string& bytes) {
    overwrite(w.file, bytes);
    const NamedTensors state = state_with(9);
    try {
      const CheckpointHead head = read_checkpoint(w.file, kJob, state);
      CHECK(same(state, w.state));
      CHECK(head.step == 7);
      CHECK(head.seconds == 1.5);
      return false;
    } catch (const Error&) {
      CHECK(same(state, state_with(9)));
      return true;
    }
  };
  std::uint64_t counter = 0;
  std::size_t found = 0;
  constexpr std::size_t kFlips = 2000;
  for (std::size_t i = 0; i < kFlips; ++i) {
    std::string bad = good;
    const std::uint64_t at = random_below(5, counter, good.size() * 8);
    bad[at / 8] = static_cast<char>(bad[at / 8] ^ (1 << (at % 8)));
    found += refused(bad) ? 1 : 0;
  }
  CHECK(found >= kFlips - 10);  // a space that pads the header may become the end of its text
  for (std::size_t length = 0; length < good.size(); length += 37) CHECK(refused(good.substr(0, length)));
  CHECK_FALSE(refused(good));
}

TEST_CASE("checkpoint file: another job's, another version's and other safetensors files are refused with the reason") {
  const Written w;
  const NamedTensors state = state_with(9);
  CHECK_THROWS_WITH_AS((void)read_checkpoint(w.file, digest_of("other"), state),
                       doctest::Contains("belongs to the job"), Error);
  NamedTensors fewer = state, renamed = state, misshaped = state, retyped = state;
  fewer.pop_back();
  renamed[0].first = "weights";
  misshaped[0].second = torch::zeros({4, 3});
  retyped[0].second = torch::zeros({3, 4}, torch::kFloat64);
  CHECK_THROWS_WITH_AS((void)read_checkpoint(w.file, kJob, fewer),
                       doctest::Contains("5 tensors where this build keeps 4"), Error);
  CHECK_THROWS_WITH_AS((void)read_checkpoint(w.file, kJob, renamed), doctest::Contains("lacks the tensor 'weights'"),
                       Error);
  CHECK_THROWS_WITH_AS((void)read_checkpoint(w.file, kJob, misshaped), doctest::Contains("'weight' in another shape"),
                       Error);
  CHECK_THROWS_AS((void)read_checkpoint(w.file, kJob, retyped), Error);
  CHECK(same(state, state_with(9)));
  write_safetensors(w.file, {});
  CHECK_THROWS_WITH_AS((void)read_checkpoint(w.file, kJob, state), doctest::Contains("is no 'guda checkpoint 1'"),
                       Error);
  CHECK_THROWS_AS((void)read_checkpoint(w.folder / "absent", kJob, state), IoError);
}
