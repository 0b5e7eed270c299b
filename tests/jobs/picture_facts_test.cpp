// Digests of picture files, and which of them decode: read once.
#include "jobs/picture_facts.hpp"

#include <doctest/doctest.h>

#include <chrono>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/small_pictures.hpp"

using namespace guda;
using namespace guda::jobs;
namespace fs = std::filesystem;

namespace {

struct Folder {
  test::ScratchFolder scratch;
  test::OwnPictureCache cache{scratch / "cache"};
  std::vector<fs::path> files{"a.jpg", "b/c.png", "broken.jpg"};

  Folder() {
    fs::create_directories(scratch / "pictures/b");
    write("a.jpg", test::jpeg_of(test::tinted_picture(9, 7, 0, 1)));
    write("b/c.png", test::png_of(test::tinted_picture(9, 7, 1, 2)));
    write("broken.jpg", test::jpeg_of(test::tinted_picture(9, 7, 1, 2)).substr(0, 300));
  }
  [[nodiscard]] fs::path root() const { return scratch / "pictures"; }
  /// An hour old: what was written just now is not trusted to stay.
  void write(const fs::path& name, const std::string& bytes, int hours = 1) const {
    replace_file(root() / name, bytes, false);
    fs::last_write_time(root() / name, fs::file_time_type::clock::now() - std::chrono::hours(hours));
  }
  [[nodiscard]] std::size_t read() const {
    std::size_t count = 0;
    (void)picture_facts(root(), files, &count);
    return count;
  }
};

}  // namespace

TEST_CASE("picture facts: the digest is of the file's bytes, and what does not decode is said with the file") {
  const Folder folder;
  const auto facts = picture_facts(folder.root(), folder.files);
  REQUIRE(facts.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(facts[i].digest == digest_of_file(folder.root() / folder.files[i]).hex);
  CHECK(facts[0].damage.empty());
  CHECK(facts[1].damage.empty());
  CHECK(facts[2].damage.find("broken.jpg: damaged JPEG") != std::string::npos);
  CHECK(picture_facts(folder.root(), folder.files) == facts);  // from the cache
}

TEST_CASE("picture facts: files are read once, and again when they changed") {
  const Folder folder;
  CHECK(folder.read() == 3);
  CHECK(folder.read() == 0);
  const auto before = picture_facts(folder.root(), folder.files);
  folder.write("a.jpg", test::jpeg_of(test::tinted_picture(9, 7, 2, 3)), 2);
  CHECK(folder.read() == 1);
  CHECK(picture_facts(folder.root(), folder.files)[0].digest != before[0].digest);
}

TEST_CASE("picture facts: a file that was written a moment ago is not remembered") {
  const Folder folder;
  folder.write("a.jpg", test::jpeg_of(test::tinted_picture(9, 7, 2, 3)), 0);
  CHECK(folder.read() == 3);
  CHECK(folder.read() == 1);
}

TEST_CASE("picture facts: a damaged cache, or one that can't be written, costs time and nothing else") {
  const Folder folder;
  const auto facts = picture_facts(folder.root(), folder.files);
  for (const char* text : {"", "{", R"({"schema": 2, "files": {}})", R"({"schema": 1, "files": []})",
                           R"({"schema": 1, "files": {"a.jpg": [1, 2, 3, 4, 5]}})"}) {
    CAPTURE(text);
    replace_file(picture_facts_file(folder.root()), text, false);
    CHECK(picture_facts(folder.root(), folder.files) == facts);
  }
  const test::OwnPictureCache nowhere(folder.root() / "a.jpg");  // a file: no folder can be made in it
  CHECK(picture_facts(folder.root(), folder.files) == facts);
  CHECK(folder.read() == 3);
}

TEST_CASE("picture facts: a file that is not there is an error of input and output") {
  Folder folder;
  folder.files.emplace_back("none.jpg");
  CHECK_THROWS_WITH_AS((void)picture_facts(folder.root(), folder.files), doctest::Contains("none.jpg"), IoError);
}
