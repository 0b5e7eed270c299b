#include "common/safetensors.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "common/error.hpp"
#include "common/files.hpp"

using namespace guda;
namespace fs = std::filesystem;

namespace {

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "guda-safetensors-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  [[nodiscard]] fs::path operator/(const char* name) const { return path_ / name; }

 private:
  fs::path path_;
};

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + rest;
}

/// Message of the error that a file of these bytes gives; empty if it is accepted.
std::string refusal_of_bytes(const std::string& bytes, const char* name = "x.safetensors") {
  const Folder folder;
  replace_file(folder / name, bytes, false);
  try {
    const SafetensorsFile file(folder / name);
  } catch (const Error& e) {
    CHECK(std::string(e.what()).find((folder / name).string()) != std::string::npos);
    CHECK(std::string(e.what()).find("Cure: ") != std::string::npos);
    return e.what();
  }
  return "";
}

std::string refusal_of(const std::string& header, std::size_t data_bytes = 8) {
  return refusal_of_bytes(with_length(header.size(), header + std::string(data_bytes, '\1')));
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("safetensors: what is written is read back, aligned and whole") {
  const Folder folder;
  const float floats[6] = {0, 1, 2, 3, 4, 5};
  const std::uint8_t odd[3] = {7, 8, 9};
  const std::int64_t number = -5;
  write_safetensors(folder / "x.safetensors",
                    {{"odd", Dtype::u8, {3}, std::as_bytes(std::span(odd))},
                     {"matrix \"x\"", Dtype::f32, {2, 3}, std::as_bytes(std::span(floats))},
                     {"scalar", Dtype::i64, {}, std::as_bytes(std::span(&number, 1))},
                     {"empty", Dtype::f16, {0, 4}, {}}},
                    {{"format", "pt"}});
  const SafetensorsFile file(folder / "x.safetensors");
  CHECK(file.tensors().size() == 4);
  CHECK(file.metadata().at("format") == "pt");
  CHECK(file.tensors().at("matrix \"x\"").shape == std::vector<std::uint64_t>{2, 3});
  CHECK(std::memcmp(file.bytes("matrix \"x\"").data(), floats, sizeof floats) == 0);
  CHECK(std::memcmp(file.bytes("odd").data(), odd, sizeof odd) == 0);
  CHECK(std::memcmp(file.bytes("scalar").data(), &number, sizeof number) == 0);
  CHECK(file.bytes("empty").empty());
  for (const auto& [name, t] : file.tensors()) {
    CHECK(reinterpret_cast<std::uintptr_t>(file.bytes(name).data()) % size_of(t.dtype) == 0);
  }
  CHECK_THROWS_WITH_AS(static_cast<void>(file.bytes("none")), doctest::Contains("no tensor 'none'"), Error);
}

TEST_CASE("safetensors: the order in which tensors are given does not change the bytes of the file") {
  const Folder folder;
  const float a[1] = {1}, b[1] = {2};
  const TensorToWrite first{"a", Dtype::f32, {1}, std::as_bytes(std::span(a))};
  const TensorToWrite second{"b", Dtype::f32, {1}, std::as_bytes(std::span(b))};
  write_safetensors(folder / "1", {first, second});
  write_safetensors(folder / "2", {second, first});
  CHECK(read_file(folder / "1") == read_file(folder / "2"));
}

TEST_CASE("safetensors: a file stays readable after it has been moved to another owner") {
  const Folder folder;
  const float a[1] = {1};
  write_safetensors(folder / "1", {{"a", Dtype::f32, {1}, std::as_bytes(std::span(a))}});
  SafetensorsFile file(folder / "1");
  const SafetensorsFile other = std::move(file);
  CHECK(std::memcmp(other.bytes("a").data(), a, sizeof a) == 0);
}

TEST_CASE("safetensors: a valid header passes, so that the refusals below are for their stated reason") {
  CHECK(refusal_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})") == "");
  CHECK(refusal_of(R"({"__metadata__":{"k":"v"},"a":{"dtype":"BOOL","shape":[2,2,2],"data_offsets":[0,8]}}   )") == "");
}

TEST_CASE("safetensors: truncated files and over-long headers are refused") {
  CHECK(has(refusal_of_bytes(""), "only 0 bytes"));
  CHECK(has(refusal_of_bytes("abc"), "only 3 bytes"));
  CHECK(has(refusal_of_bytes(with_length(100, "{}")), "truncated"));
  CHECK(has(refusal_of_bytes(with_length(~0ULL, "{}")), "64 MiB"));
  CHECK(has(refusal_of_bytes(with_length((64ULL << 20) + 1, "{}")), "64 MiB"));
  CHECK(has(refusal_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7), "truncated"));
  CHECK(has(refusal_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 9), "1 bytes follow"));
}

TEST_CASE("safetensors: headers that are not the known JSON are refused") {
  CHECK(has(refusal_of(R"({"a":)"), "not valid JSON"));
  CHECK(has(refusal_of("[]", 0), "not a JSON object"));
  CHECK(has(refusal_of(std::string(100000, '[')), "nested too deeply"));
  CHECK(has(refusal_of(R"({"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})"), "nested too deeply"));
  CHECK(has(refusal_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                       R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"),
            "'a' stands twice"));
  CHECK(has(refusal_of(R"({"a":3})"), "'a': its description is not an object"));
  CHECK(has(refusal_of(R"({"a":{"dtype":"F32","shape":[2]}})"), "'data_offsets' is missing"));
  CHECK(has(refusal_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"code":"x"}})"), "unknown key 'code'"));
  CHECK(has(refusal_of(R"({"__metadata__":{"k":1}})", 0), "'k' is not a string"));
}

TEST_CASE("safetensors: unknown types, wrong shapes and overflowing sizes are refused") {
  const auto with_type = [](const char* dtype) {
    return refusal_of(std::string(R"({"a":{"dtype":")") + dtype + R"(","shape":[2],"data_offsets":[0,8]}})");
  };
  CHECK(has(with_type("F8_E4M3"), "dtype 'F8_E4M3' is not one of"));
  CHECK(has(with_type("f32"), "dtype 'f32' is not one of"));
  CHECK(has(with_type("F64"), "has 8 bytes where its shape needs 16"));
  const auto with_shape = [](const char* shape) {
    return refusal_of(std::string(R"({"a":{"dtype":"F32","shape":)") + shape + R"(,"data_offsets":[0,8]}})");
  };
  CHECK(has(with_shape("[3]"), "needs 12"));
  CHECK(has(with_shape("[-2]"), "'-2' is not a whole number"));
  CHECK(has(with_shape("[2.0]"), "not a whole number"));
  CHECK(has(with_shape("2"), "shape is not an array"));
  CHECK(has(with_shape("[9223372036854775808,0]"), "exceeds 2^48"));
  // 2^62 * 4 wraps to 0, and (2^32 + ..)^2 to a small number, in 64 bits.
  CHECK(has(with_shape("[70368744177664,70368744177664]"), "overflows"));
  CHECK(has(with_shape("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]"), "at most 16"));
}

TEST_CASE("safetensors: offsets must lie in the file and tile it without overlap or gap") {
  const auto two = [](const char* first, const char* second) {
    return refusal_of(std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") + first +
                      R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}");
  };
  CHECK(two("[0,4]", "[4,8]") == "");
  CHECK(two("[4,8]", "[0,4]") == "");
  CHECK(has(two("[0,4]", "[3,7]"), "'b': overlaps"));
  CHECK(has(two("[0,4]", "[0,4]"), "overlaps"));
  CHECK(has(two("[1,5]", "[4,8]"), "'a': leaves a gap"));
  CHECK(has(two("[0,4]", "[5,9]"), "'b': data_offsets [5, 9] are outside"));
  CHECK(has(two("[0,4]", "[8,4]"), "outside"));
  CHECK(has(two("[0,4]", "[18446744073709551612,18446744073709551616]"), "not a whole number"));
  CHECK(has(two("[0,4]", "[4,8,9]"), "not a pair"));
}

TEST_CASE("safetensors: pickles are refused with the cure, whatever they are called") {
  const std::string valid = with_length(2, "{}");
  for (const char* name : {"model.bin", "model.pt", "model.ckpt", "model.pth", "model.pkl"}) {
    CHECK(has(refusal_of_bytes(valid, name), "safe_serialization=True"));
  }
  CHECK(has(refusal_of_bytes(std::string("PK\x03\x04") + "0123456789"), "safe_serialization=True"));
  CHECK(has(refusal_of_bytes("\x80\x02}q\x01X\x05hello"), "safe_serialization=True"));
}

TEST_CASE("safetensors: a missing file is an i/o error that names it") {
  CHECK_THROWS_WITH_AS(SafetensorsFile("/nonexistent/x.safetensors"), doctest::Contains("/nonexistent/x.safetensors"),
                       IoError);
}

TEST_CASE("safetensors: every cut and every flipped header bit is refused or read within bounds") {
  const std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::string whole = with_length(header.size(), header + "abcd");
  const Folder folder;
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    CAPTURE(cut);
    replace_file(folder / "x", whole.substr(0, cut), false);
    CHECK_THROWS_AS(SafetensorsFile(folder / "x"), Error);
  }
  for (std::size_t bit = 0; bit < 8 * (whole.size() - 4); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    replace_file(folder / "x", flipped, false);
    try {
      const SafetensorsFile file(folder / "x");
      for (const auto& [name, t] : file.tensors()) CHECK(file.bytes(name).size() == 4);
    } catch (const Error&) {
    }
  }
}
