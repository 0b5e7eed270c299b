#include "orchestrator/report/report.hpp"

#include <doctest/doctest.h>

#include <regex>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "orchestrator/report/agreement.hpp"
#include "tests/support/sample_report.hpp"

using namespace guda;
using namespace guda::orchestrator::report;

namespace {

bool has(const std::string& page, std::string_view part) { return page.find(part) != std::string::npos; }

std::size_t count(const std::string& page, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = page.find(part); at != std::string::npos; at = page.find(part, at + part.size())) ++n;
  return n;
}

/// Empty when every tag of the XML fragment is closed in order and every attribute is quoted; else the fault.
std::string xml_fault(const std::string& text) {
  static const std::regex kTag(R"re(<(/?)([A-Za-z]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(/?)>)re");
  std::vector<std::string> open;
  std::size_t end = 0;
  for (std::sregex_iterator tag(text.begin(), text.end(), kTag), last; tag != last; ++tag) {
    const std::string between = text.substr(end, static_cast<std::size_t>(tag->position()) - end);
    if (between.find_first_of("<>") != std::string::npos) return "stray bracket in: " + between.substr(0, 80);
    end = static_cast<std::size_t>(tag->position() + tag->length());
    const std::string name = (*tag)[2];
    if ((*tag)[1].length() > 0) {
      if (open.empty() || open.back() != name) return "closes " + name;
      open.pop_back();
    } else if ((*tag)[4].length() == 0) {
      open.push_back(name);
    }
  }
  if (text.substr(end).find_first_of("<>") != std::string::npos) return "stray bracket at the end";
  return open.empty() ? "" : "open: " + open.back();
}

std::vector<std::string> drawings(const std::string& page) {
  std::vector<std::string> found;
  for (std::size_t at = page.find("<svg"); at != std::string::npos; at = page.find("<svg", at + 4))
    found.push_back(page.substr(at, page.find("</svg>", at) + 6 - at));
  return found;
}

const std::vector<std::string> kSections{"answer",  "queries",      "agreement", "heatmaps",   "timesteps",
                                         "gallery", "entanglement", "cost",      "provenance", "glossary"};

}  // namespace

TEST_CASE("report: all sections are there, in reader's order, in one English document") {
  const std::string page = render_report(tests::sample_report());
  CHECK(page.starts_with("<!doctype html>\n<html lang=\"en\">"));
  std::size_t last = 0;
  for (const auto& id : kSections) {
    const std::size_t at = page.find("<section id=\"" + id + "\"");
    CAPTURE(id);
    REQUIRE(at != std::string::npos);
    CHECK(at > last);
    last = at;
    CHECK(count(page, "href=\"#" + id + "\"") == 1);
  }
  CHECK(count(page, "class=\"missing\"") == 0);
}

TEST_CASE("report: the answer names the best unlearner with interval, ceiling, best control, chance and cost") {
  const std::string page = render_report(tests::sample_report());
  const std::string answer = page.substr(page.find("class=\"answer\""), 900);
  CHECK(has(
      answer,
      "<code>retrack_<wbr>exact</code> names the same top group as <code>logo</code> for <strong>79\u00a0%</strong>"));
  CHECK(has(answer, "95\u00a0% interval 75\u00a0% to 84\u00a0%"));
  CHECK(has(answer, "another seed of <code>logo</code> reaches 78\u00a0%"));
  CHECK(has(answer, "the best control, <code>knn</code>, 76\u00a0%"));
  CHECK(has(answer, "chance is 10\u00a0%"));
  CHECK(has(answer, "54\u00a0s of device time where <code>logo</code> took 4.2\u00a0min: 4.7 times less"));
}

TEST_CASE("report: a card says whether its group is what a picture shows or what a prompt asked for") {
  ReportData data = tests::sample_report();
  QueryCard card = data.cards.front();
  card.true_group = "outline";
  data.cards = {card};
  CHECK(has(render_report(data), "true group <b>outline</b>"));
  data.cards.front().asked_for = true;
  const std::string asked = render_report(data);
  CHECK(has(asked, "style asked for <b>outline</b>"));
  CHECK_FALSE(has(asked, "true group <b>"));
}

TEST_CASE("report: independent draws come before the papers' protocol, which is labelled") {
  const std::string page = render_report(tests::sample_report());
  const std::size_t first_same = page.find("same draws (the papers\u2019 protocol), against logo</summary>");
  REQUIRE(first_same != std::string::npos);
  CHECK(page.rfind("independent draws, against logo</summary>") < first_same);
  CHECK(count(page, "<details class=\"view\"") == 8);
  CHECK(count(page, "<details class=\"view\" open>") == 1);
}

TEST_CASE(
    "report: with two seeds of the reference each view says what it is held against, the overview shows the mean") {
  ReportData data = tests::sample_report();
  const Json views = data.comparison["views"];
  data.comparison["views"] = Json::array();
  for (const Json& view : views) {
    for (const auto& [reference, kind] : {std::pair{"logo", "single"}, {"logo_b", "single"}, {"logo+logo_b", "each"}}) {
      Json held = view;
      held["reference"] = reference;
      held["reference_kind"] = kind;
      data.comparison["views"].push_back(held);
    }
  }
  const std::string page = render_report(data);
  CHECK(count(page, ", against logo</summary>") == views.size());
  CHECK(count(page, ", against logo_b</summary>") == views.size());
  CHECK(count(page, ", mean of the agreements with logo+logo_b</summary>") == views.size());
  const std::size_t overview = page.find("Top-1 of every method");
  REQUIRE(overview != std::string::npos);
  const std::string head = page.substr(overview, page.find("</thead>", overview) - overview);
  CHECK(count(head, "<th scope=\"col\" class=\"num\">") == views.size());
}

TEST_CASE("report: agreement and indecision are said in words on each card") {
  ReportData data = tests::sample_report();
  data.cards.resize(1);
  data.cards[0].answers = {{"logo", {{"3", .06, .005}, {"8", .055, .005}}, true},
                           {"ifu", {{"3", .05, .001}, {"1", .01, .001}}, false},
                           {"knn", {{"8", .5, kUnknown}}, false},
                           {"random", {}, false}};
  const std::string page = render_report(data);
  const std::string card = page.substr(page.find("<article"), page.find("</article>") - page.find("<article"));
  CHECK(count(card, "class=\"undecided\"") == 1);
  CHECK(count(card, "\u2713 agrees") == 1);
  CHECK(count(card, ">differs<") == 1);
  CHECK(count(card, "not evaluated") == 1);
  CHECK(has(card, "\u00b1\u00a00.005"));
}

TEST_CASE("report: undecided means closer than two standard errors of the difference") {
  CHECK(undecided({{"a", 1.0, 0.3}, {"b", 0.2, 0.3}}));        // .8 < 2 * .424
  CHECK_FALSE(undecided({{"a", 1.0, 0.2}, {"b", 0.2, 0.2}}));  // .8 > 2 * .283
  CHECK_FALSE(undecided({{"a", 1.0, kUnknown}, {"b", 0.99, 0.1}}));
  CHECK_FALSE(undecided({{"a", 1.0, 5.0}}));
}

TEST_CASE("report: every drawing is well-formed and has a name and a description") {
  const auto all = drawings(render_report(tests::sample_report()));
  CHECK(all.size() == 8 * 6 + 6 + 4 + 1);
  for (const auto& drawing : all) {
    CHECK(xml_fault(drawing) == "");
    CHECK(std::regex_search(drawing, std::regex("^<svg role=\"img\"[^>]*><title>[^<]+</title><desc>[^<]+</desc>")));
    CHECK_FALSE(has(drawing, "nan"));
    CHECK_FALSE(has(drawing, "inf"));
  }
}

TEST_CASE("report: nothing is fetched and nothing can run") {
  const std::string page = render_report(tests::sample_report());
  CHECK_FALSE(has(page, "http:"));
  CHECK_FALSE(has(page, "https:"));
  CHECK_FALSE(has(page, "@import"));
  CHECK_FALSE(has(page, "url("));
  CHECK(has(page, "default-src 'none'"));
  CHECK(count(page, "<script") == 1);
  CHECK(has(page, "<script type=\"application/json\""));
  const std::regex source("(src|href)=\"([^\"]{0,40})");
  for (std::sregex_iterator m(page.begin(), page.end(), source), last; m != last; ++m) {
    const std::string target = (*m)[2];
    CHECK_MESSAGE((target.starts_with("data:") || target.starts_with("#")), target);
  }
}

TEST_CASE("report: of a text-to-image run it shows what was asked, and each style by its own prompt side by side") {
  ReportData data = tests::sample_report();
  CHECK(render_report(data).find("Each style by its own prompt") == std::string::npos);
  const std::string& group = data.gallery.blocks.at(0).rows.at(0).group;
  data.cards[0].prompt = "A depiction of Seven, artistic style featuring soft edges";
  data.gallery.prompts = {{"A depiction of Six, artistic style featuring line work", group}, {"no style", ""}};
  const std::string html = render_report(data);
  CHECK(html.find("featuring soft edges</p>") != std::string::npos);
  const std::size_t panel = html.find("Each style by its own prompt");
  REQUIRE(panel != std::string::npos);
  CHECK(html.find("without " + group, panel) != std::string::npos);
  CHECK(html.find("featuring line work", panel) != std::string::npos);
  CHECK(html.find("title=\"A depiction of Six", panel) != std::string::npos);
}

TEST_CASE("report: hostile names stay names everywhere") {
  const std::string evil = "</script><script>alert(1)</script>\"' onload=x <img src=x>";
  ReportData data = tests::sample_report();
  data.title = data.experiment = data.created = data.reference = data.own_group = data.score_unit = evil;
  for (auto& group : data.groups) group += evil;
  data.methods[0] = {evil, "\"><i>", evil};
  data.cards[0] = {evil, evil, evil, evil, data.cards[0].picture, {{evil, {{evil, 1, 1}, {evil, 0, 1}}, true}}};
  data.heatmaps[0].method = data.heatmaps[0].query_set = data.heatmaps[0].rows[0] = data.heatmaps[0].columns[0] = evil;
  data.profiles[0].method = data.profiles[0].query_set = evil;
  data.gallery.blocks[0].method = data.gallery.blocks[0].rows[0].group = evil;
  data.gallery.prompts = {{evil, evil}};
  data.costs[0] = {evil, {{evil, 1, 1}}};
  data.provenance[evil] = {{evil, {evil, {{evil, evil}}}}};
  data.warnings = {evil};
  data.why_missing["ceiling"] = evil;
  auto& view = data.comparison["views"][0];
  view["query_set"] = view["weighting"] = view["reference"] = evil;
  view["methods"][evil] = view["methods"]["ifu"];
  view["methods"][evil]["fidelity"] = evil;
  view["ceiling"] = nullptr;
  const std::string page = render_report(data);
  CHECK(count(page, "<script") == 1);
  CHECK(count(page, "</script>") == 1);
  CHECK_FALSE(has(page, "<img src=x"));
  const std::string markup = page.substr(0, page.find("<script"));  // inside the JSON block quotes are harmless
  CHECK_FALSE(has(markup, "\"' onload"));
  CHECK_FALSE(has(markup, "\"><i>"));
  for (const auto& drawing : drawings(page)) CHECK(xml_fault(drawing) == "");
  const std::size_t begin = page.find('>', page.find("<script")) + 1;
  CHECK(Json::parse(page.substr(begin, page.find("</script>") - begin)).at("provenance") == data.provenance);
}

TEST_CASE(
    "report: an empty run gives every section with a sentence that says why, but none of what it has no method for") {
  const std::string page = render_report(ReportData{});
  for (const auto& id : kSections) CHECK(has(page, "<section id=\"" + id + "\"") == (id != "entanglement"));
  CHECK(count(page, "class=\"missing\"") == 8);
  CHECK(drawings(page).empty());
}

TEST_CASE("report: the reason given for a missing part is shown") {
  ReportData data = tests::sample_report();
  data.gallery = {};
  data.why_missing["gallery"] = "Retention is `scores`, so no weights were left.";
  CHECK(has(render_report(data), "Retention is `scores`, so no weights were left."));
}

TEST_CASE("report: one seed, no ceiling, no repeatability, no chance and unknown numbers degrade") {
  ReportData data = tests::sample_report();
  for (auto& view : data.comparison["views"]) {
    view.erase("ceiling");
    view["repeatability"] = nullptr;
    view["chance"] = Json::object();
    view["methods"]["ifu"] = {{"device_seconds", nullptr}, {"metrics", {{"top1", nullptr}, {"mrr", 0.5}}}};
    view["methods"]["knn"]["metrics"]["spearman"] = {{"value", nullptr}};
  }
  data.heatmaps[0].mean[3] = kUnknown;
  data.profiles[0].own[5] = kUnknown;
  data.profiles[1].own_error.clear();
  data.gallery.blocks[0].rows[0].pictures[0] = {};
  data.gallery.blocks[0].rows[1].pictures.resize(2);
  data.cards[0].picture = {};
  data.cards[1].answers[0].top[1].score = kUnknown;
  const std::string page = render_report(data);
  CHECK(has(page, "No ceiling: "));
  CHECK(has(page, "No repeatability: "));
  CHECK(has(page, "there is one run seed"));
  CHECK(has(page, "no picture"));
  CHECK(has(page, "class=\"heat-none"));
  CHECK_FALSE(has(page, "another seed of <code>logo</code> reaches"));
  for (const auto& drawing : drawings(page)) {
    CHECK(xml_fault(drawing) == "");
    CHECK_FALSE(has(drawing, "nan"));
  }
}

TEST_CASE("report: negative scores, one timestep and a single group can be drawn") {
  ReportData data = tests::sample_report();
  data.heatmaps = {{"m", "real", {"a"}, {"a"}, {-1.0}, {}}};
  data.profiles = {{"m", "real", {500}, {-2.0}, {0.0}, {}, {}}};
  data.cards[0].answers = {{"m", {{"a", -1, 0.1}}, false}};
  CHECK_NOTHROW((void)render_report(data));
}

TEST_CASE("report: a comparison of another schema or shape is refused with the key and the cure") {
  const auto message = [](const Json& comparison) -> std::string {
    try {
      (void)agreement_views(comparison);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  CHECK(has(message({{"schema", 2}, {"views", Json::array()}}), "schema: is not 1"));
  CHECK(has(message({{"schema", 1}}), "views: is not a list"));
  Json comparison = {{"schema", 1}, {"views", {tests::sample_view("real", "mid", "independent", 0)}}};
  CHECK(message(comparison) == "accepted");
  comparison["views"][0]["methods"]["knn"]["metrics"]["top1"] = "high";
  CHECK(has(message(comparison), "views[0].methods.knn.metrics.top1: is neither"));
  comparison["views"][0]["draws"] = "both";
  CHECK(has(message(comparison), "views[0].draws"));
}

TEST_CASE(
    "report: entanglement names the groups and whether alignment foretells damage, and is left out without GUARD") {
  ReportData data = tests::sample_report();
  const std::string page = render_report(data);
  CHECK(has(page, "Entanglement of the groups under ifu"));
  CHECK(has(page, "over 9 groups is 1.00"));
  CHECK(has(page, "n/a"));
  data.entanglement[0].rows.resize(2);
  CHECK(has(render_report(data), "too few groups are evaluated"));
  data.entanglement.clear();
  CHECK_FALSE(has(render_report(data), "entanglement"));
}
