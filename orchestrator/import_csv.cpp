#include "orchestrator/import_csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "common/error.hpp"
#include "common/files.hpp"

namespace guda::orchestrator {
namespace {

using CsvRow = std::vector<std::string>;
constexpr double kNoScore = std::numeric_limits<double>::quiet_NaN();

/// Names that are the same but for blanks and underscores are the same.
std::string same_name(std::string name) {
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

std::string last_part(const std::string& path) { return std::filesystem::path(path).filename().string(); }

/// Collects scores by image and group, both in order of appearance.
class ScoresByName {
 public:
  explicit ScoresByName(std::string file) : file_(std::move(file)) {}

  void add(std::size_t line, const std::string& image, const std::string& group, const std::string& text,
           const std::string& true_group = "") {
    double score = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), score);
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(score)) {
      throw Error(fmt::format("{}:{}: the score '{}' of group '{}' is no finite number", file_, line, text, group));
    }
    const auto [row, fresh] = rows_.try_emplace(image, rows_.size());
    if (fresh) images_.push_back(image), true_groups_.push_back(same_name(true_group));
    columns_.try_emplace(group, columns_.size());
    if (!scores_.try_emplace({row->second, group}, score).second) {
      throw Error(fmt::format("{}:{}: '{}' has a second score of group '{}'; one table holds one method", file_, line,
                              image, group));
    }
  }

  /// "3: cat", as the sorted layout has it.
  void name(const std::string& group, const std::string& text) {
    const std::string start = group + ": ";
    if (text.starts_with(start)) names_[group] = text.substr(start.size());
  }

  [[nodiscard]] RecordedScores finish(bool numbered) && {
    RecordedScores result;
    result.images = std::move(images_);
    result.true_groups = std::move(true_groups_);
    result.numbered = numbered;
    result.groups.resize(columns_.size());
    for (const auto& [name, place] : columns_) result.groups[place] = name;
    if (numbered)
      std::sort(result.groups.begin(), result.groups.end(),
                [](const auto& a, const auto& b) { return std::stoul(a) < std::stoul(b); });
    if (result.images.empty() || result.groups.size() < 2)
      throw Error(fmt::format("{}: holds scores of {} images and {} groups; a comparison needs at least 1 and 2", file_,
                              result.images.size(), result.groups.size()));
    for (std::size_t k = 0; k < result.groups.size(); ++k) {
      const auto name = names_.find(std::to_string(k));
      if (!numbered || result.groups[k] != std::to_string(k) || name == names_.end()) break;
      result.names.push_back(name->second);
    }
    if (result.names.size() < result.groups.size()) result.names.clear();
    result.score.assign(result.images.size() * result.groups.size(), kNoScore);
    std::map<std::string, std::size_t> place;
    for (std::size_t k = 0; k < result.groups.size(); ++k) place[result.groups[k]] = k;
    for (const auto& [key, score] : scores_)
      result.score[key.first * result.groups.size() + place.at(key.second)] = score;
    return result;
  }

 private:
  std::string file_;
  std::vector<std::string> images_, true_groups_;
  std::map<std::string, std::size_t> rows_, columns_;
  std::map<std::pair<std::size_t, std::string>, double> scores_;
  std::map<std::string, std::string> names_;
};

enum class CsvLayout { ours, sorted, long_form, wide, canvas };

std::optional<CsvLayout> layout_of(const CsvRow& header) {
  const auto starts = [&](const CsvRow& wanted) {
    return header.size() >= wanted.size() && std::equal(wanted.begin(), wanted.end(), header.begin());
  };
  if (starts({"query", "set", "group", "score"})) return CsvLayout::ours;
  if (starts({"image", "R1_Cls", "R1_Name", "R1_Sc"}) && header.size() % 3 == 1) return CsvLayout::sorted;
  if (starts({"image", "class_id"}) && header.size() == 3) return CsvLayout::long_form;
  if (starts({"image_id"}) && header.size() > 2) return CsvLayout::wide;
  if (starts({"generated_style", "object_name", "attribution_style"}) && header.size() == 5 &&
      header[4] == "image_path")
    return CsvLayout::canvas;
  return std::nullopt;
}

std::string class_number(const std::string& text, const std::string& file, std::size_t line) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size())
    throw Error(fmt::format("{}:{}: '{}' is no class number", file, line, text));
  return std::to_string(number);
}

/// Where the images of one table are found: by their whole name, else by the last part of a path where it is unique.
class ImageIndex {
 public:
  explicit ImageIndex(const std::vector<std::string>& images) {
    for (std::size_t i = 0; i < images.size(); ++i) {
      whole_[images[i]] = i;
      const auto [at, fresh] = last_.try_emplace(last_part(images[i]), i);
      if (!fresh) at->second = kAmbiguous;
    }
  }
  [[nodiscard]] std::optional<std::size_t> find(const std::string& image) const {
    if (const auto at = whole_.find(image); at != whole_.end()) return at->second;
    const auto at = last_.find(last_part(image));
    return at == last_.end() || at->second == kAmbiguous ? std::nullopt : std::optional(at->second);
  }

 private:
  static constexpr std::size_t kAmbiguous = std::numeric_limits<std::size_t>::max();
  std::map<std::string, std::size_t> whole_, last_;
};

/// Column of `scores` for each of `groups`. Numbers are places in `groups`.
std::vector<std::size_t> columns_for(const RecordedScores& scores, const std::vector<std::string>& groups,
                                     bool groups_numbered, const std::string& name) {
  std::map<std::string, std::size_t> known;
  for (std::size_t k = 0; k < scores.groups.size(); ++k) known[same_name(scores.groups[k])] = k;
  std::vector<std::size_t> columns;
  for (std::size_t k = 0; k < groups.size(); ++k) {
    const auto at = known.find(scores.numbered && !groups_numbered ? std::to_string(k) : same_name(groups[k]));
    if (at != known.end()) columns.push_back(at->second);
  }
  if (columns.size() != groups.size() || known.size() != groups.size()) {
    throw Error(fmt::format("the scores of '{}' are of {} groups ('{}', ...), wanted are these {}: '{}', ...", name,
                            scores.groups.size(), scores.groups.front(), groups.size(), groups.front()));
  }
  return columns;
}

}  // namespace

std::vector<CsvRow> csv_rows(std::string_view text) {
  std::vector<CsvRow> rows;
  CsvRow row;
  std::string field;
  bool quoted = false, any = false;
  const auto end_row = [&] {
    if (any || !field.empty()) row.push_back(std::move(field)), rows.push_back(std::move(row));
    field.clear(), row.clear(), any = false;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') field += c;
      else if (i + 1 < text.size() && text[i + 1] == '"') field += '"', ++i;
      else quoted = false;
    } else if (c == '"' && field.empty()) {
      quoted = any = true;
    } else if (c == ',') {
      row.push_back(std::move(field)), field.clear(), any = true;
    } else if (c == '\n') {
      end_row();
    } else if (c != '\r') {
      field += c;
    }
  }
  if (quoted) throw Error("a quote is not closed");
  end_row();
  return rows;
}

RecordedScores read_scores_csv(const std::filesystem::path& file) {
  const std::string name = file.string();
  std::vector<CsvRow> rows;
  try {
    rows = csv_rows(read_file(file));
  } catch (const IoError&) {
    throw;
  } catch (const Error& e) {
    throw Error(name + ": " + e.what());
  }
  const std::optional<CsvLayout> layout = rows.empty() ? std::nullopt : layout_of(rows.front());
  if (!layout) {
    throw Error(fmt::format(
        "{}: the first line is no known header of scores. Known: query,set,group,score,stderr (guda export) | "
        "image,R1_Cls,R1_Name,R1_Sc,... | image,class_id,SCORE | image_id,GROUP,GROUP,... | "
        "generated_style,object_name,attribution_style,SCORE,image_path",
        name));
  }
  const CsvRow& header = rows.front();
  ScoresByName scores(name);
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const CsvRow& row = rows[i];
    const std::size_t line = i + 1;
    if (row.size() != header.size())
      throw Error(fmt::format("{}:{}: {} fields below a header of {}", name, line, row.size(), header.size()));
    switch (*layout) {
      case CsvLayout::ours:
        scores.add(line, row[0], row[2], row[3]);
        break;
      case CsvLayout::sorted:
        for (std::size_t c = 1; c + 2 < row.size(); c += 3)  // empty: a class without a score
          if (!row[c].empty()) {
            const std::string number = class_number(row[c], name, line);
            scores.add(line, row[0], number, row[c + 2]);
            scores.name(number, row[c + 1]);
          }
        break;
      case CsvLayout::long_form:
        scores.add(line, row[0], class_number(row[1], name, line), row[2]);
        break;
      case CsvLayout::wide:
        for (std::size_t c = 1; c < row.size(); ++c) scores.add(line, row[0], header[c], row[c]);
        break;
      case CsvLayout::canvas:
        scores.add(line, row[4], same_name(row[2]), row[3], row[0]);
        break;
    }
  }
  return std::move(scores).finish(*layout == CsvLayout::sorted || *layout == CsvLayout::long_form);
}

void add_recorded(jobs::Plan& plan, ResultsTable& table, const std::string& name, const RecordedScores& scores) {
  auto& methods = plan.experiment.methods;
  if (std::any_of(methods.begin(), methods.end(), [&](const auto& m) { return m.name == name; }))
    throw Error(fmt::format("there is a method '{}' already; give the recorded scores another name", name));
  const bool numbered =
      std::all_of(table.shape.groups.begin(), table.shape.groups.end(),
                  [&](const std::string& group) { return group.find_first_not_of("0123456789") == std::string::npos; });
  const std::vector<std::size_t> columns = columns_for(scores, table.shape.groups, numbered, name);
  std::vector<std::string> queries;
  for (const jobs::Query& query : table.shape.queries) queries.push_back(query.name);
  const ImageIndex recorded(scores.images), own(queries);
  std::vector<double> joined(table.queries() * table.groups(), kNoScore);
  std::size_t found = 0;
  for (std::size_t q = 0; q < queries.size(); ++q) {
    const auto image = recorded.find(queries[q]);
    if (!image || own.find(scores.images[*image]) != q) continue;
    ++found;
    for (std::size_t k = 0; k < columns.size(); ++k)
      joined[q * columns.size() + k] = scores.score[*image * scores.groups.size() + columns[k]];
  }
  if (found == 0) {
    throw Error(fmt::format("no image of the scores of '{}' ('{}', ...) is one of the queries ('{}', ...)", name,
                            scores.images.front(), queries.front()));
  }
  jobs::MethodConfig method;
  method.name = name;
  method.method = kRecorded;
  methods.push_back(std::move(method));
  table.shape.methods.push_back(name);
  table.scores[name] = std::move(joined);
  table.score_errors[name].assign(table.scores[name].size(), kNoScore);
}

Comparison compare_recorded(const std::string& oracle_name, const RecordedScores& oracle,
                            const std::map<std::string, RecordedScores>& methods) {
  jobs::Plan plan;
  ResultsTable table;
  table.shape.groups = oracle.names.empty() ? oracle.groups : oracle.names;
  for (std::size_t i = 0; i < oracle.images.size(); ++i) {
    jobs::Query query{oracle.images[i], "recorded", 0, oracle.true_groups[i]};
    table.shape.queries.push_back(query);
  }
  plan.groups = table.shape.groups;
  plan.queries = table.shape.queries;
  jobs::ComparisonConfig& config = plan.experiment.comparison;
  config.reference = oracle_name;
  config.weightings = {{.name = "recorded", .kind = "elbo"}};
  std::map<std::string, MethodFacts> facts;
  add_recorded(plan, table, oracle_name, oracle);
  for (const auto& [name, scores] : methods) {
    add_recorded(plan, table, name, scores);
    facts[name] = {kNoScore, "recorded scores"};
  }
  Comparison comparison = compare(table, plan, facts);
  // There are no draws to tell apart: what compare() shows as independent and as the same is one table.
  std::erase_if(comparison.views, [](const View& v) { return v.draws != "independent"; });
  for (View& view : comparison.views) view.draws = "recorded", view.repeatability.reset();
  return comparison;
}

}  // namespace guda::orchestrator
