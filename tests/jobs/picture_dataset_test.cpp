// Data sets of picture files: the layout of UnlearnCanvas, and folders with a prompt for every file.
#include "jobs/picture_dataset.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/error.hpp"
#include "common/files.hpp"
#include "jobs/captions.hpp"
#include "jobs/dataset.hpp"
#include "jobs/groups.hpp"
#include "jobs/query_image.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/small_pictures.hpp"

using namespace guda;
using namespace guda::jobs;
namespace fs = std::filesystem;

namespace {

struct Canvas {
  test::ScratchFolder folder;
  test::OwnPictureCache cache{folder / ".cache"};
  DatasetConfig config;

  explicit Canvas(const test::SmallCanvas& canvas = {}) {
    test::write_canvas(folder.path(), canvas);
    config.kind = "unlearncanvas";
    config.path = folder.path();
    config.side = 16;
    config.train = 0;
    config.descriptors = folder / "descriptors.json";
  }
  void write(const char* file, const std::string& text) const { replace_file(folder / file, text, false); }
  [[nodiscard]] Dataset load() const { return load_dataset(config); }
  void refuses(const std::string& why) const {
    CHECK_THROWS_WITH_AS((void)load(), doctest::Contains(why.c_str()), Error);
  }
};

/// A folder with a line for each of six files: four of one style in two versions each, two of another.
struct Pictures {
  Canvas canvas;
  std::vector<Json> lines;

  Pictures() {
    for (const auto& [file, style, tags] : {std::tuple{"Cubism/Cats/1.jpg", "Old_Master", Json{"soft", "2019"}},
                                            {"Cubism/Cats/2.jpg", "Old Master", Json{"soft"}},
                                            {"Cubism/Sea/1.jpg", "Old Master", Json{}},
                                            {"Monet/Cats/4.png", "Modern", Json{"2019"}},
                                            {"Monet/Sea/1.jpg", "Modern", Json{"2020"}},
                                            {"Monet/Sea/2.jpg", "Modern", Json{"2020"}}})
      lines.push_back(
          {{"file", file}, {"prompt", fmt::format("a picture called {}", file)}, {"style", style}, {"tags", tags}});
    canvas.config.kind = "image_folder";
    canvas.config.descriptors.clear();
    canvas.config.prompts = canvas.folder / "prompts.jsonl";
  }
  void write() const {
    std::string text;
    for (const Json& line : lines) text += line.dump() + "\n\n";
    canvas.write("prompts.jsonl", text);
  }
  [[nodiscard]] Dataset load() const { return write(), canvas.load(); }
  void refuses(const std::string& why) const { write(), canvas.refuses(why); }
};

std::set<std::string> names_of(const Dataset& data, const std::vector<std::uint32_t>& items) {
  std::set<std::string> names;
  for (const std::uint32_t item : items) names.insert(data.files.at(item).string());
  return names;
}

}  // namespace

TEST_CASE("unlearncanvas: items are in the order of styles, objects and numbers; Seed_Images is no style") {
  test::SmallCanvas small;
  small.pictures = 11;
  const Canvas canvas(small);
  const Dataset data = canvas.load();
  CHECK(data.class_names == std::vector<std::string>{"Artist Sketch", "Cubism", "Monet"});
  CHECK(data.shape == std::array<std::uint32_t, 3>{3, 16, 16});
  REQUIRE(data.labels.size() == 3 * 2 * 11);
  CHECK(data.pixels.empty());
  for (std::uint32_t item = 0; item < data.labels.size(); ++item) {
    CHECK(data.labels[item] == item / 22);
    CHECK(data.files[item].stem().string() == std::to_string(item % 11 + 1));  // 2 before 10
    CHECK(data.sources[item] == item % 22);
  }
  CHECK(data.keys.at("object")[0] == std::vector<std::string>{"Cats"});
  CHECK(data.keys.at("object")[11] == std::vector<std::string>{"Sea"});
}

TEST_CASE(
    "unlearncanvas: captions are made from three words of the style, drawn from the seed and the picture's name") {
  Canvas canvas;
  const Dataset data = canvas.load();
  std::set<std::string> different;
  for (std::uint32_t item = 0; item < data.labels.size(); ++item) {
    const Caption caption = parse_caption(data.captions[item]);
    CHECK(caption.object == data.keys.at("object")[item].front());
    CHECK(caption.descriptors.size() == 3);
    const auto& words = data.descriptors[data.labels[item]];
    std::size_t last = 0;  // they keep the order of the list
    for (const std::string& word : caption.descriptors) {
      const auto at = static_cast<std::size_t>(std::find(words.begin(), words.end(), word) - words.begin());
      REQUIRE(at < words.size());
      CHECK(at + 1 > last);
      last = at + 1;
    }
    different.insert(data.captions[item]);
  }
  CHECK(different.size() > 12);
  CHECK(canvas.load().captions == data.captions);
  canvas.config.split_seed = 1;
  CHECK(canvas.load().captions != data.captions);
}

TEST_CASE("unlearncanvas: captions of a file are matched by style, object and number, underscores or not") {
  Canvas canvas;
  const Dataset drawn = canvas.load();
  std::string lines;
  for (std::size_t item = drawn.files.size(); item-- > 0;) {
    const fs::path& file = drawn.files[item];
    const std::string style = drawn.class_names[drawn.labels[item]];
    lines += Json{{"image_id", 7},
                  {"rel_path", "UnlearnCanvas/" + style + "/" + file.parent_path().filename().string() + "/" +
                                   file.stem().string() + ".jpg"},
                  {"prompt", "A depiction of It, artistic style featuring w" + std::to_string(item)},
                  {"hue", item % 2 == 0 ? "warm" : "cold"}}
                 .dump() +
             "\n";
  }
  canvas.write("train.jsonl", lines);
  canvas.config.prompts = canvas.folder / "train.jsonl";
  const Dataset data = canvas.load();
  CHECK(data.files == drawn.files);
  for (std::size_t item = 0; item < data.captions.size(); ++item)
    CHECK(data.captions[item] == "A depiction of It, artistic style featuring w" + std::to_string(item));
  CHECK(make_groups({.by = "key", .key = "hue"}, data).front().name == "cold");

  canvas.write("train.jsonl", lines + R"({"rel_path": "UnlearnCanvas/Dada_ism/Cats/1.jpg", "prompt": "x"})" + "\n");
  canvas.refuses("train.jsonl:25: the style 'Dada ism' has no images in ");
  canvas.write("train.jsonl", lines + R"({"rel_path": "UnlearnCanvas/Monet/Cats/99.jpg", "prompt": "x"})" + "\n");
  canvas.refuses("1 prompts are of pictures that are not in ");
  canvas.refuses("train.jsonl:25: UnlearnCanvas/Monet/Cats/99.jpg");
  canvas.write("train.jsonl", lines.substr(lines.find('\n') + 1));
  canvas.refuses("train.jsonl: 1 pictures have no prompt");
  canvas.write("train.jsonl", lines + lines.substr(0, lines.find('\n')));
  canvas.refuses("has a prompt already");
}

TEST_CASE("unlearncanvas: versions of a picture are trained on in all styles or in none") {
  Canvas canvas;
  canvas.config.train = 15;
  const Dataset data = canvas.load();
  CHECK(data.train.size() == 15);
  CHECK(data.held_out.size() == 9);
  std::map<std::uint32_t, std::size_t> versions;
  for (const std::uint32_t item : data.train) ++versions[data.sources[item]];
  CHECK(versions.size() == 5);
  for (const auto& [source, count] : versions) CHECK(count == 3);
  canvas.config.train = 16;
  canvas.refuses("16 would split the 3 versions of one picture");
  canvas.refuses("choose 15 or 18");
  canvas.config.train = 25;
  canvas.refuses("choose 1..24");
  canvas.config.train = 0;
  CHECK(canvas.load().train.size() == 24);
  CHECK(canvas.load().held_out.empty());
}

TEST_CASE("pictures: the content goes with the bytes of the files, their names, captions, size and split") {
  Canvas canvas;
  const Digest content = canvas.load().content;
  CHECK(canvas.load().content == content);
  const auto differs = [&](auto&& change) {
    const DatasetConfig before = canvas.config;
    change(canvas.config);
    const bool other = canvas.load().content != content;
    canvas.config = before;
    return other;
  };
  CHECK(differs([](DatasetConfig& c) { c.side = 8; }));
  CHECK(differs([](DatasetConfig& c) { c.stretch = true; }));
  CHECK(differs([](DatasetConfig& c) { c.train = 12; }));
  CHECK(differs([](DatasetConfig& c) { c.split_seed = 1; }));
  canvas.write("Monet/Sea/1.jpg", test::jpeg_of(test::tinted_picture(24, 24, 0, 99)));
  const Digest after = canvas.load().content;
  CHECK(after != content);
  fs::rename(canvas.folder / "Monet/Sea/1.jpg", canvas.folder / "Monet/Sea/9.jpg");
  CHECK(canvas.load().content != after);
}

TEST_CASE("pictures: pixels are decoded and resized when they are asked for, channel by channel") {
  const Canvas canvas;
  const Dataset data = canvas.load();
  const fs::path& file = data.files[5];
  const RgbPicture whole = decode_picture(read_file(file), file);
  CHECK(picture_pixels(data, 5) == planes_of(squared(whole, 16, false)));
  CHECK(picture_pixels(data, 5).size() == data.image_size());
  // One's own picture is brought to that size in the same way.
  const std::vector<float> query = read_query_image(file, data);
  REQUIRE(query.size() == data.image_size());
  for (std::size_t i = 0; i < query.size(); ++i)
    CHECK(query[i] == doctest::Approx(picture_pixels(data, 5)[i] / 127.5 - 1).epsilon(1e-6));
}

TEST_CASE("pictures: those that do not decode are counted and named, and left out where that is allowed") {
  Canvas canvas;
  const std::string good = read_file(canvas.folder / "Monet/Sea/1.jpg");
  canvas.write("Monet/Sea/1.jpg", good.substr(0, good.size() / 2));
  canvas.write("Cubism/Cats/2.jpg", "GIF89a");
  canvas.refuses("2 of 24 pictures in ");
  canvas.refuses("do not decode; mend or remove them, or leave them out with dataset.skip_bad: 2");
  canvas.refuses("Monet/Sea/1.jpg: damaged JPEG: Premature end of JPEG file");
  canvas.refuses("Cubism/Cats/2.jpg: is neither JPEG nor PNG");
  canvas.config.skip_bad = 1;
  canvas.refuses("more than dataset.skip_bad: 1");
  canvas.config.skip_bad = 2;
  const Dataset data = canvas.load();
  CHECK(data.labels.size() == 22);
  CHECK(data.train.size() == 22);
  CHECK(data.skipped.size() == 2);
  CHECK_FALSE(names_of(data, data.train).contains((canvas.folder / "Cubism/Cats/2.jpg").string()));
}

TEST_CASE("unlearncanvas: folders and words that do not fit are refused with the cure") {
  Canvas canvas;
  canvas.write("descriptors.json", R"({"Artist Sketch": ["a"], "Monet": ["b"]})");
  canvas.refuses("descriptors.json: 1 styles of ");
  canvas.refuses("have no descriptors; add them:\n  Cubism");
  canvas.write("descriptors.json", R"({"Artist Sketch": ["a"], "Artist_Sketch": ["b"]})");
  canvas.refuses("is there twice: underscores stand for spaces");
  canvas.write("descriptors.json", R"({"Monet": []})");
  canvas.refuses("the style 'Monet' wants a list of words");
  canvas.write("descriptors.json", "[]");
  canvas.refuses("is no JSON object");
  canvas.config.descriptors.clear();
  canvas.refuses("dataset.prompts: wants the captions as JSON lines, or dataset.descriptors");
  canvas.config.descriptors = canvas.folder / "descriptors.json";
  canvas.write("descriptors.json", R"({"Monet": ["b"]})");
  canvas.config.path = canvas.folder / "Seed_Images/Cats";
  canvas.refuses("holds no STYLE/OBJECT/ID.jpg");
  canvas.config.path = canvas.folder / "nowhere";
  canvas.refuses("there is no folder ");
}

TEST_CASE("image folder: a line for each file, in that order; the style is the class, lists of words are groups") {
  const Pictures pictures;
  const Dataset data = pictures.load();
  CHECK(data.class_names == std::vector<std::string>{"Modern", "Old Master"});
  CHECK(data.labels == std::vector<std::uint32_t>{1, 1, 1, 0, 0, 0});
  CHECK(data.captions[3] == "a picture called Monet/Cats/4.png");
  CHECK(data.sources.empty());
  const auto groups = make_groups({.by = "key", .key = "tags"}, data);
  REQUIRE(groups.size() == 3);  // an item in several, one in none
  CHECK(groups[0].name == "2019");
  CHECK(groups[0].items == std::vector<std::uint32_t>{0, 3});
  CHECK(groups[1].items == std::vector<std::uint32_t>{4, 5});
  CHECK(groups[2].items == std::vector<std::uint32_t>{0, 1});
  CHECK(make_groups({.by = "class"}, data).size() == 2);
  CHECK_THROWS_WITH_AS(
      (void)make_groups({.by = "key", .key = "artist"}, data),
      doctest::Contains("groups.key: the data set's pictures have no key 'artist'; they have style, tags"), Error);
}

TEST_CASE("image folder: pictures without a style are of one class, and that is one group too few") {
  Pictures pictures;
  for (Json& line : pictures.lines) line.erase("style");
  const Dataset data = pictures.load();
  CHECK(data.class_names.size() == 1);
  CHECK_THROWS_WITH_AS((void)make_groups({}, data), doctest::Contains("whole training set"), Error);
  CHECK_THROWS_WITH_AS((void)make_groups({.by = "key", .key = "tags", .only = {"soft"}}, data),
                       doctest::Contains("1 group(s) found; a comparison needs at least 2"), Error);
  CHECK(make_groups({.by = "key", .key = "tags", .only = {"soft", "2019"}}, data)[1].name == "2019");
  CHECK_THROWS_WITH_AS(
      (void)make_groups({.by = "key", .key = "tags", .only = {"soft", "soft"}}, data),
      doctest::Contains("groups.only: there is no group 'soft', or it is listed twice; left are 2019, 2020"), Error);
}

TEST_CASE("image folder: pictures with the same source are versions and stay together") {
  Pictures pictures;
  for (std::size_t i = 0; i < 6; ++i) pictures.lines[i]["source"] = "original " + std::to_string(i % 3);
  pictures.canvas.config.train = 4;
  const Dataset data = pictures.load();
  CHECK(data.sources == std::vector<std::uint32_t>{0, 1, 2, 0, 1, 2});
  REQUIRE(data.held_out.size() == 2);
  CHECK(data.sources[data.held_out[0]] == data.sources[data.held_out[1]]);
  pictures.lines[4].erase("source");
  pictures.refuses("prompts.jsonl:9: has no 'source', which other lines have");
}

TEST_CASE("image folder: lines that do not say what they must are named with what is wrong") {
  const auto broken = [](const char* key, const Json& value, const std::string& why) {
    Pictures pictures;
    if (value.is_null()) pictures.lines[1].erase(key);
    else pictures.lines[1][key] = value;
    CAPTURE(key);
    pictures.refuses(why);
  };
  broken("file", nullptr, "prompts.jsonl:3: the key 'file' is missing");
  broken("prompt", nullptr, "prompts.jsonl:3: the key 'prompt' is missing");
  broken("prompt", 7, "prompts.jsonl:3: 'prompt' wants a text, not 7");
  broken("prompt", "", "'prompt' wants a text");
  broken("style", nullptr, "prompts.jsonl:3: has no 'style', which other lines have");
  broken("style", Json{"a", "b"}, "'style' wants one word; lists are for other keys");
  broken("tags", Json::object(), "'tags' wants a word or a list of words, not {}");
  broken("file", "none.jpg", "1 lines name files that are not in ");
  broken("file", "none.jpg", "prompts.jsonl:3: none.jpg");
  broken("file", "../a.jpg", "prompts.jsonl:3: ../a.jpg lies outside of ");
  broken("file", "Monet/../Cubism/Cats/1.jpg", "prompts.jsonl:3: Cubism/Cats/1.jpg is named in ");
  Pictures pictures;
  pictures.canvas.write("prompts.jsonl", "{\"file\": \n");
  pictures.canvas.refuses("prompts.jsonl:1: is no JSON object");
  pictures.canvas.write("prompts.jsonl", "\n\n");
  pictures.canvas.refuses("holds no line");
  pictures.canvas.config.prompts.clear();
  pictures.canvas.refuses("dataset.prompts: wants a file of JSON lines");
}

TEST_CASE("image folder: with descriptors every prompt must have its style part") {
  Pictures pictures;
  pictures.canvas.write("words.json", R"({"Old Master": ["dark"], "Modern": ["loud", "flat"]})");
  pictures.canvas.config.descriptors = pictures.canvas.folder / "words.json";
  pictures.refuses("6 prompts of ");
  pictures.refuses("have no style part; with dataset.descriptors a prompt is 'A depiction of OBJECT, artistic style");
  for (Json& line : pictures.lines) line["prompt"] = "A depiction of Cats, artistic style featuring dark";
  CHECK(pictures.load().descriptors[0] == std::vector<std::string>{"loud", "flat"});
  pictures.lines[2]["prompt"] = "A depiction of Cats";
  pictures.refuses("1 prompts of ");
  pictures.refuses("prompts.jsonl:5: 'A depiction of Cats'");
}

TEST_CASE("unlearncanvas: its published counts are 60 styles of 20 objects and 20 pictures, without a picture") {
  DatasetConfig config;
  config.kind = "unlearncanvas";
  config.path = "/nowhere";
  config.side = 64;
  config.train = 0;
  const Dataset data = published_dataset(config);
  CHECK(data.published);
  CHECK(data.train.size() == 24'000);
  CHECK(data.class_names.size() == 60);
  CHECK(std::is_sorted(data.class_names.begin(), data.class_names.end()));
  CHECK(make_groups({}, data).front().items.size() == 400);
  CHECK(make_groups({.by = "key", .key = "object"}, data).size() == 20);
  config.train = 60 * 395;
  CHECK(published_dataset(config).held_out.size() == 300);
  config.train = 24'001;
  CHECK_THROWS_WITH_AS((void)published_dataset(config), doctest::Contains("choose 1..24000"), Error);
  config.kind = "image_folder";
  CHECK_FALSE(has_published_counts(config.kind));
  CHECK_THROWS_WITH_AS((void)published_dataset(config), doctest::Contains("/nowhere"), Error);
}
