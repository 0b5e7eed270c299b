#include "common/npy.hpp"

#include <doctest/doctest.h>

#include <string>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;

TEST_CASE("npy: an array written is read back with shape, type and values") {
  const test::ScratchFolder folder;
  const NpyArray floats{{2, 3}, std::vector<float>{0.5F, -1.0F, 2.0F, 3.0F, 4.0F, 5.0F}};
  replace_file(folder / "f.npy", encode_npy(floats));
  const NpyArray again = read_npy(folder / "f.npy");
  CHECK(again.shape == floats.shape);
  CHECK(again.values == floats.values);
  const NpyArray bytes{{4}, std::vector<std::uint8_t>{0, 1, 16, 255}};
  replace_file(folder / "b.npy", encode_npy(bytes));
  CHECK(read_npy(folder / "b.npy").values == bytes.values);
  CHECK(read_npy(folder / "b.npy").shape == bytes.shape);
}

TEST_CASE("npy: the header is what numpy.save writes, data aligned to 64 bytes") {
  const std::string bytes = encode_npy({{3}, std::vector<float>(3)});
  CHECK(bytes.substr(0, 8) == std::string("\x93NUMPY\x01\x00", 8));
  CHECK(bytes.substr(10, 59) == "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }  ");
  CHECK((bytes.size() - 3 * sizeof(float)) % 64 == 0);
}

TEST_CASE("npy: damaged, foreign and oversized files are refused with the file's name") {
  const test::ScratchFolder folder;
  const auto refused = [&](std::string bytes, const char* why) {
    replace_file(folder / "x.npy", bytes, false);
    CAPTURE(why);
    CHECK_THROWS_WITH_AS((void)read_npy(folder / "x.npy"), doctest::Contains(why), Error);
    CHECK_THROWS_WITH((void)read_npy(folder / "x.npy"), doctest::Contains("x.npy"));
  };
  const std::string good = encode_npy({{2, 2}, std::vector<float>(4)});
  refused("", "no NPY file");
  refused(good.substr(0, 20), "header is cut");
  refused(good.substr(0, good.size() - 1), "cut or damaged");
  std::string other = good;
  other.replace(other.find("<f4"), 3, "<f8");
  refused(other, "element type");
  other = good;
  other.replace(other.find("False"), 5, "True ");
  refused(other, "Fortran");
  other = good;
  other.replace(other.find("(2, 2)"), 6, "(9, 9)");
  refused(other, "cut or damaged");
  other = good;
  other.replace(other.find("(2, 2), }"), 9, "(9999999999,)}");
  refused(other, "more than");
}

TEST_CASE("npy: a shape that does not fit the values is our bug") {
  CHECK_THROWS_AS((void)encode_npy({{3}, std::vector<float>(2)}), Bug);
}
