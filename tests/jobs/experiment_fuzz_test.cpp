// Fuzz smoke: whatever a file holds, the answer is an experiment or a ConfigError.
#include <doctest/doctest.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "common/config/issues.hpp"
#include "common/files.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/experiment_json.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

const char* const kFragments[] = {"{",
                                  "}",
                                  "[",
                                  "]",
                                  ": ",
                                  ",",
                                  "- ",
                                  "\n",
                                  "  ",
                                  "\t",
                                  "&a ",
                                  "*a",
                                  "? ",
                                  "!!str ",
                                  "|\n",
                                  ">\n",
                                  "'",
                                  "\"",
                                  "#",
                                  "---",
                                  "...",
                                  "%YAML 1.2\n",
                                  "<<: ",
                                  "null",
                                  "~",
                                  "true",
                                  "010",
                                  "-1",
                                  "1e999",
                                  "0x7f",
                                  ".inf",
                                  "nan",
                                  "1e3",
                                  "18446744073709551616",
                                  "\\u0000",
                                  "\\x41",
                                  "\xef\xbb\xbf",
                                  "\xff",
                                  "name: ",
                                  "seeds: []",
                                  "methods:",
                                  "full",
                                  "4294967295"};

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  std::string mutate(std::string text, const std::string& other) {
    for (std::size_t edits = 1 + below(6); edits > 0; --edits) edit(text, other);
    return text;
  }

  std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }

 private:
  void edit(std::string& text, const std::string& other) {
    const std::size_t at = below(text.size() + 1);
    switch (below(7)) {
      case 0:
        text.insert(at, kFragments[below(std::size(kFragments))]);
        break;
      case 1:
        text.erase(at, below(40));
        break;
      case 2:
        text.insert(at, text.substr(below(text.size() + 1), below(80)));
        break;
      case 3:
        text.replace(at, below(20), other.substr(below(other.size() + 1), below(200)));
        break;
      case 4:
        if (at < text.size()) text[at] = static_cast<char>(random_());
        break;
      case 5:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      default:
        text.resize(at);
        break;
    }
  }

  std::mt19937_64 random_;
};

/// Whether the text was accepted; anything but ConfigError escapes and fails the test.
bool accepted(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    const Json json = read_experiment(text, "fuzz.yaml", overrides);
    (void)Json::parse(json.dump()).get<Experiment>();
    return true;
  } catch (const config::ConfigError& error) {
    CHECK(!error.issues.empty());
    CHECK(Json(std::string(error.what())).is_string());
    return false;
  }
}

}  // namespace

TEST_CASE("experiment files: 2,000 mutated files are accepted or refused with a ConfigError, never more") {
  const std::filesystem::path recipes = std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/recipes";
  std::vector<std::string> corpus;
  for (const char* recipe :
       {"digits.yaml", "digits-full.yaml", "digits-smoke.yaml", "digits-all-methods.yaml", "lds.yaml", "removal.yaml"})
    corpus.push_back(read_file(recipes / recipe));
  corpus.push_back("a: &a [1, {b: c}]\nb: *a\n? x\n: - y\n  - 'z'\n");
  corpus.push_back(
      "model: {in_channels: 1}\nqueries:\n- {kind: images, images: [a.png]}\nmethods: [{method: logo}, {method: "
      "knn}]\n");
  Mutator mutator(20240607);
  int good = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string text = mutator.mutate(corpus[mutator.below(corpus.size())], corpus[mutator.below(corpus.size())]);
    CAPTURE(text);
    try {
      good += accepted(text) ? 1 : 0;
    } catch (const std::exception& error) {
      FAIL("mutation ", i, " escaped with: ", std::string(error.what()));
    }
  }
  CHECK(good > 20);    // otherwise the mutations are too coarse to reach the later checks
  CHECK(good < 1900);  // and too fine here
}

TEST_CASE("experiment files: mutated --set arguments are accepted or refused with a ConfigError") {
  const std::string base = read_file(std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/recipes/digits.yaml");
  const std::vector<std::string> corpus = {"training.steps=10", "methods.ifu.unlearn.steps=5",
                                           "queries.0={kind: generated, count: 3}", "seeds=[0, 1]",
                                           "model.dropout=0.1"};
  Mutator mutator(7);
  for (int i = 0; i < 300; ++i) {
    const std::string text = mutator.mutate(corpus[mutator.below(corpus.size())], corpus[mutator.below(corpus.size())]);
    CAPTURE(text);
    try {
      (void)accepted(base, {text});
    } catch (const std::exception& error) {
      FAIL("mutation ", i, " escaped with: ", std::string(error.what()));
    }
  }
}
