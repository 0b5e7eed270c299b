#include "jobs/picture_dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "common/random.hpp"
#include "common/rgb_picture.hpp"
#include "jobs/captions.hpp"
#include "jobs/json_lines.hpp"
#include "jobs/picture_facts.hpp"
#include "jobs/unlearncanvas.hpp"

namespace guda::jobs {
namespace {
namespace fs = std::filesystem;

constexpr std::size_t kShown = 10;         // of a long list in an error
constexpr std::size_t kCaptionWords = 3;   // of a caption made from descriptors (methods.md 2.1)
constexpr std::uint32_t kMadeUpWords = 5;  // descriptors of a published style
constexpr const char* kOneClass = "pictures";

/// A picture before it is an item.
struct FoundPicture {
  fs::path file;      ///< below the data set's folder
  std::string where;  ///< for errors
  std::string style, object, source, caption;
  std::map<std::string, std::vector<std::string>> keys;
};

using Descriptors = std::map<std::string, std::vector<std::string>>;  // by plain name of the style

std::string first_few(const std::vector<std::string>& all) {
  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), kShown); ++i) text += "\n  " + all[i];
  if (all.size() > kShown) text += fmt::format("\n  ... and {} more", all.size() - kShown);
  return text;
}

/// Entries of a folder, numbers by value, then names.
std::vector<fs::path> sorted_entries(const fs::path& folder, bool folders) {
  std::vector<fs::path> entries;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    if (entry.path().filename().string().starts_with('.')) continue;
    if (folders ? entry.is_directory() : entry.is_regular_file()) entries.push_back(entry.path());
  }
  if (failed) throw IoError(fmt::format("cannot read the folder {}: {}", folder.string(), failed.message()));
  const auto rank = [](const fs::path& path) {
    const std::string stem = path.stem().string();
    const bool number = !stem.empty() && stem.find_first_not_of("0123456789") == std::string::npos;
    return std::tuple(!number, number ? stem.size() : 0, plain_name(stem), path);
  };
  std::sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return entries;
}

bool is_picture(const fs::path& file) {
  std::string suffix = file.extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(), [](unsigned char c) { return std::tolower(c); });
  return suffix == ".jpg" || suffix == ".jpeg" || suffix == ".png";
}

Descriptors read_descriptors(const fs::path& file) {
  Descriptors all;
  if (file.empty()) return all;
  const Json json = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw Error(file.string() + ": is no JSON object {\"style\": [words]}");
  for (const auto& [style, words] : json.items()) {
    const std::string where = fmt::format("{}: the style '{}'", file.string(), style);
    const bool texts = words.is_array() && !words.empty() &&
                       std::all_of(words.begin(), words.end(), [](const Json& w) { return w.is_string() && w != ""; });
    if (!texts) throw Error(where + " wants a list of words");
    if (!all.emplace(plain_name(style), words.get<std::vector<std::string>>()).second)
      throw Error(where + " is there twice: underscores stand for spaces");
  }
  return all;
}

/// Style/Object/ID of a line's path, without what comes before, with spaces for underscores.
std::string canvas_name(const fs::path& path) {
  const fs::path object = path.parent_path(), style = object.parent_path();
  return plain_name(
      fmt::format("{}/{}/{}", style.filename().string(), object.filename().string(), path.stem().string()));
}

std::vector<FoundPicture> list_canvas(const DatasetConfig& config) {
  std::vector<FoundPicture> found;
  for (const fs::path& style : sorted_entries(config.path, true)) {
    if (plain_name(style.filename().string()) == "Seed Images") continue;
    for (const fs::path& object : sorted_entries(style, true)) {
      for (const fs::path& file : sorted_entries(object, false)) {
        if (!is_picture(file)) continue;
        FoundPicture& picture = found.emplace_back();
        picture.file = style.filename() / object.filename() / file.filename();
        picture.where = file.string();
        picture.style = plain_name(style.filename().string());
        picture.object = plain_name(object.filename().string());
        picture.source = picture.object + "/" + file.stem().string();
      }
    }
  }
  if (found.empty())
    throw Error(fmt::format("{}: holds no STYLE/OBJECT/ID.jpg; dataset.path must be the folder of the styles",
                            config.path.string()));
  return found;
}

/// Values of a line's other keys.
void take_keys(const JsonLine& line, const std::set<std::string>& taken, FoundPicture& picture) {
  for (const auto& [key, unused] : line.object.items()) {
    if (!taken.contains(key)) picture.keys[key] = values_of(line, key);
  }
}

/// Captions and keys from the lines of a file; every picture must have one, and every line a picture.
void caption_canvas(const DatasetConfig& config, std::vector<FoundPicture>& found) {
  std::map<std::string, FoundPicture*> by_name;
  std::set<std::string> styles;
  for (FoundPicture& picture : found) {
    by_name[canvas_name(picture.file)] = &picture;
    styles.insert(picture.style);
  }
  std::vector<std::string> without_picture;
  for (const JsonLine& line : read_json_lines(config.prompts)) {
    const fs::path path = text_of(line, line.object.contains("rel_path") ? "rel_path" : "file");
    const auto at = by_name.find(canvas_name(path));
    const std::string style = plain_name(path.parent_path().parent_path().filename().string());
    if (!styles.contains(style))
      throw Error(fmt::format("{}: the style '{}' has no images in {}", line.where, style, config.path.string()));
    if (at == by_name.end()) {
      without_picture.push_back(fmt::format("{}: {}", line.where, path.string()));
      continue;
    }
    FoundPicture& picture = *at->second;
    if (!picture.caption.empty()) throw Error(fmt::format("{}: {} has a prompt already", line.where, path.string()));
    picture.caption = text_of(line, "prompt");
    picture.where = line.where;
    take_keys(line, {"rel_path", "file", "prompt", "image_id", "style", "object"}, picture);
  }
  std::vector<std::string> without_prompt;
  for (const FoundPicture& picture : found) {
    if (picture.caption.empty()) without_prompt.push_back(picture.where);
  }
  if (!without_picture.empty())
    throw Error(fmt::format("{} prompts are of pictures that are not in {}; remove them:{}", without_picture.size(),
                            config.path.string(), first_few(without_picture)));
  if (!without_prompt.empty())
    throw Error(fmt::format("{}: {} pictures have no prompt; add a line for each:{}", config.prompts.string(),
                            without_prompt.size(), first_few(without_prompt)));
}

/// Three of the style's words, drawn for each picture from its name.
void draw_captions(const DatasetConfig& config, const Descriptors& descriptors, std::vector<FoundPicture>& found) {
  const SeedPath seed = SeedPath(config.split_seed) / "captions";
  for (FoundPicture& picture : found) {
    const auto words = descriptors.find(picture.style);
    if (words == descriptors.end()) continue;  // an error that is said of the whole style
    auto order = random_permutation(static_cast<std::uint32_t>(words->second.size()),
                                    (seed / canvas_name(picture.file)).value());
    order.resize(std::min(kCaptionWords, order.size()));
    std::sort(order.begin(), order.end());  // as anchors have them: fewer texts to embed and to keep
    Caption caption{picture.object, {}};
    for (const std::uint32_t i : order) caption.descriptors.push_back(words->second[i]);
    picture.caption = training_caption(caption);
  }
}

std::vector<FoundPicture> list_folder(const DatasetConfig& config) {
  std::vector<FoundPicture> found;
  std::map<fs::path, std::string> first;
  std::size_t styled = 0, sourced = 0;
  std::vector<std::string> missing;
  for (const JsonLine& line : read_json_lines(config.prompts)) {
    FoundPicture& picture = found.emplace_back();
    picture.file = fs::path(text_of(line, "file")).lexically_normal();
    picture.where = line.where;
    picture.caption = text_of(line, "prompt");
    if (picture.file.is_absolute() || *picture.file.begin() == "..")
      throw Error(fmt::format("{}: {} lies outside of {}; name files relative to dataset.path", line.where,
                              picture.file.string(), config.path.string()));
    const auto [known, is_new] = first.emplace(picture.file, line.where);
    if (!is_new)
      throw Error(fmt::format("{}: {} is named in {} already", line.where, picture.file.string(), known->second));
    const auto one = [&](const char* key) -> std::string {
      const auto values = values_of(line, key);
      if (values.size() > 1)
        throw Error(fmt::format("{}: '{}' wants one word; lists are for other keys", line.where, key));
      return values.empty() ? "" : values.front();
    };
    picture.style = plain_name(one("style"));
    picture.object = plain_name(one("object"));
    picture.source = one("source");
    styled += picture.style.empty() ? 0 : 1;
    sourced += picture.source.empty() ? 0 : 1;
    take_keys(line, {"file", "prompt", "style", "object", "source"}, picture);
    std::error_code failed;
    if (!fs::is_regular_file(config.path / picture.file, failed))
      missing.push_back(fmt::format("{}: {}", line.where, picture.file.string()));
  }
  if (!missing.empty())
    throw Error(fmt::format("{} lines name files that are not in {}:{}", missing.size(), config.path.string(),
                            first_few(missing)));
  for (FoundPicture& picture : found) {
    if (styled > 0 && picture.style.empty()) throw Error(picture.where + ": has no 'style', which other lines have");
    if (sourced > 0 && picture.source.empty()) throw Error(picture.where + ": has no 'source', which other lines have");
    if (styled == 0) picture.style = kOneClass;
  }
  return found;
}

/// Leaves out what does not decode, at most config.skip_bad; says what in `data`.
void drop_damaged(const DatasetConfig& config, std::vector<FoundPicture>& found, Dataset& data) {
  std::vector<fs::path> files;
  for (const FoundPicture& picture : found) files.push_back(picture.file);
  const std::vector<PictureFacts> facts = picture_facts(config.path, files);
  std::vector<FoundPicture> good;
  std::string names;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (facts[i].damage.empty()) {
      names += found[i].file.generic_string() + " " + facts[i].digest + "\n";
      good.push_back(std::move(found[i]));
    } else {
      data.skipped.push_back(facts[i].damage);
    }
  }
  if (data.skipped.size() > config.skip_bad) {
    throw Error(fmt::format(
        "{} of {} pictures in {} do not decode{}; mend or remove them, or leave them out with dataset.skip_bad: {}{}",
        data.skipped.size(), found.size(), config.path.string(),
        config.skip_bad > 0 ? fmt::format(", more than dataset.skip_bad: {}", config.skip_bad) : "",
        data.skipped.size(), first_few(data.skipped)));
  }
  data.pictures = digest_of(names);
  found = std::move(good);
}

void check_captions(const DatasetConfig& config, const std::vector<FoundPicture>& found) {
  std::vector<std::string> plain;
  for (const FoundPicture& picture : found) {
    try {
      if (!parse_caption(picture.caption).descriptors.empty()) continue;
    } catch (const Error&) {  // said below, with all others
    }
    plain.push_back(fmt::format("{}: '{}'", picture.where, picture.caption));
  }
  if (plain.empty()) return;
  throw Error(fmt::format("{} prompts of {} have no style part; with dataset.descriptors a prompt is '{}':{}",
                          plain.size(), config.path.string(), training_caption({"OBJECT", {"WORD", "WORD"}}),
                          first_few(plain)));
}

void take_descriptors(const DatasetConfig& config, const Descriptors& descriptors, Dataset& data) {
  std::vector<std::string> without;
  for (const std::string& style : data.class_names) {
    const auto words = descriptors.find(style);
    if (words == descriptors.end()) without.push_back(style);
    else data.descriptors.push_back(words->second);
  }
  if (!without.empty())
    throw Error(fmt::format("{}: {} styles of {} have no descriptors; add them:{}", config.descriptors.string(),
                            without.size(), config.path.string(), first_few(without)));
}

Dataset dataset_of(const DatasetConfig& config, std::vector<FoundPicture> found, const Descriptors& descriptors) {
  Dataset data;
  data.shape = {3, config.side, config.side};
  data.stretch = config.stretch;
  drop_damaged(config, found, data);
  std::set<std::string> styles;
  for (const FoundPicture& picture : found) styles.insert(picture.style);
  data.class_names.assign(styles.begin(), styles.end());
  if (!config.descriptors.empty()) {
    take_descriptors(config, descriptors, data);
    check_captions(config, found);
  }
  std::map<std::string, std::uint32_t> sources;
  for (FoundPicture& picture : found) {
    const auto style = std::lower_bound(data.class_names.begin(), data.class_names.end(), picture.style);
    data.labels.push_back(static_cast<std::uint32_t>(style - data.class_names.begin()));
    data.files.push_back(config.path / picture.file);
    data.captions.push_back(picture.caption);
    const auto next = static_cast<std::uint32_t>(sources.size());
    if (!picture.source.empty()) data.sources.push_back(sources.emplace(picture.source, next).first->second);
    picture.keys["style"] = {picture.style};
    if (!picture.object.empty()) picture.keys["object"] = {picture.object};
    for (auto& [key, values] : picture.keys) {
      auto& column = data.keys[key];
      column.resize(data.files.size() - 1);  // earlier pictures have no such key
      column.push_back(std::move(values));
    }
  }
  for (auto& [key, column] : data.keys) column.resize(data.files.size());
  return data;
}

}  // namespace

Dataset read_pictures(const DatasetConfig& config) {
  std::error_code failed;
  if (!fs::is_directory(config.path, failed))
    throw Error(fmt::format("dataset.path: there is no folder {}; --set dataset.path=FOLDER", config.path.string()));
  if (config.side == 0) throw Error("dataset.side: wants the pixels of a side that pictures are brought to, e.g. 512");
  const Descriptors descriptors = read_descriptors(config.descriptors);
  if (config.kind == "image_folder") {
    if (config.prompts.empty())
      throw Error("dataset.prompts: wants a file of JSON lines {\"file\": .., \"prompt\": ..}");
    return dataset_of(config, list_folder(config), descriptors);
  }
  if (config.prompts.empty() && config.descriptors.empty())
    throw Error("dataset.prompts: wants the captions as JSON lines, or dataset.descriptors the words to make them of");
  std::vector<FoundPicture> found = list_canvas(config);
  if (config.prompts.empty()) draw_captions(config, descriptors, found);
  else caption_canvas(config, found);
  return dataset_of(config, std::move(found), descriptors);
}

std::vector<std::uint8_t> picture_pixels(const Dataset& dataset, std::uint32_t item) {
  const fs::path& file = dataset.files.at(item);
  return planes_of(squared(decode_picture(read_file(file), file), dataset.shape[1], dataset.stretch));
}

Dataset published_unlearncanvas(const DatasetConfig& config) {
  Dataset data;
  data.published = true;
  data.shape = {3, config.side == 0 ? 512 : config.side, config.side == 0 ? 512 : config.side};
  for (const std::string_view style : kCanvasStyles) {
    std::vector<std::string>& words = data.descriptors.emplace_back();
    for (std::uint32_t i = 0; i < kMadeUpWords; ++i) words.push_back(fmt::format("{} {}", style, i));
    const auto triples = descriptor_subsets(words, kCaptionWords);
    const auto label = static_cast<std::uint32_t>(data.class_names.size());
    data.class_names.emplace_back(style);
    std::uint32_t source = 0;
    for (const std::string_view object : kCanvasObjects) {
      for (std::uint32_t i = 0; i < kCanvasPictures; ++i) {
        data.labels.push_back(label);
        data.sources.push_back(source++);
        data.captions.push_back(training_caption({std::string(object), triples[i % triples.size()]}));
        data.keys["style"].push_back({std::string(style)});
        data.keys["object"].push_back({std::string(object)});
      }
    }
  }
  return data;
}

}  // namespace guda::jobs
