// Provenance and glossary.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/html_escape.hpp"
#include "orchestrator/report/markup.hpp"
#include "orchestrator/report/sections.hpp"

namespace guda::orchestrator::report {
namespace {

std::string plain(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// One row per leaf; a list of plain values is one leaf.
void add_rows(const Json& value, const std::string& path, std::string& rows) {
  const auto is_leaf = [](const Json& v) { return !v.is_structured() || v.empty(); };
  if (is_leaf(value) || (value.is_array() && std::all_of(value.begin(), value.end(), is_leaf))) {
    rows += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", breakable(path), escape_html(plain(value)));
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) add_rows(value[i], fmt::format("{}[{}]", path, i), rows);
  } else {
    for (const auto& [key, inner] : value.items()) add_rows(inner, path.empty() ? key : path + "." + key, rows);
  }
}

struct Term {
  std::string_view word, meaning;
};
constexpr std::array kTerms{
    Term{"group", "a named set of training items (a class, an artist, a licence) whose contribution is asked for"},
    Term{"query",
         "a picture for which the question is asked; generated queries come from the full model, real ones were held "
         "out from training"},
    Term{"full model", "the diffusion model trained on all training data"},
    Term{"counterfactual",
         "a model that stands for \u201ctrained without group k\u201d: retrained (LOGO) or unlearned (GUDA)"},
    Term{"LOGO", "leave one group out: retrain without the group; the reference, and what the other methods save"},
    Term{"GUDA",
         "group unlearning for data attribution: unlearn the group from the full model, then score as LOGO does"},
    Term{"score",
         "weighted sum over timesteps of (loss without the group \u2212 loss of the full model); larger = the group "
         "contributed more"},
    Term{"ELBO",
         "evidence lower bound: the bound on a picture\u2019s log-likelihood whose timestep weights the scores use"},
    Term{"weighting",
         "the weights of the timesteps in a score: elbo = as published, mid = the same without the first and last "
         "tenth of the axis"},
    Term{"draw",
         "one sample of noise; independent draws: reference and methods saw different noise; same draws: the same "
         "noise, as in the papers"},
    Term{"standard error", "spread of a score over other noise draws; it does not cover another training"},
    Term{"undecided", "the two best groups are closer than two standard errors"},
    Term{"chance", "what a random order of the groups reaches"},
    Term{"ceiling",
         "what another training of the reference, with another seed, reaches: no method can be expected to do clearly "
         "better"},
    Term{"repeatability", "what the same reference models reach when scored again with other noise draws"},
    Term{"control", "a method without any counterfactual model, e.g. pixel similarity; what the effort must beat"},
    Term{"device time", "seconds that a device computed, summed over all devices"},
};

}  // namespace

std::string provenance_section(const ReportData& data) {
  if (data.provenance.empty())
    return section("provenance", "Provenance", missing(data, "provenance", "The run recorded no provenance."));
  std::string blocks, loose;
  for (const auto& [key, value] : data.provenance.items()) {
    if (!value.is_structured() || value.empty()) {
      add_rows(value, key, loose);
      continue;
    }
    std::string rows;
    add_rows(value, "", rows);
    blocks +=
        fmt::format("<details><summary>{}</summary>{}</details>\n", escape_html(key),
                    scrolling("Provenance: " + key, "<table class=\"provenance\"><tbody>" + rows + "</tbody></table>"));
  }
  if (!loose.empty())
    loose = scrolling("Provenance", "<table class=\"provenance\"><tbody>" + loose + "</tbody></table>");
  return section("provenance", "Provenance",
                 "<p class=\"lede\">What is needed to get the same numbers again. The comparison and all of this are "
                 "also inside this file as JSON, in the "
                 "element <code>#guda-data</code>.</p>\n" +
                     loose + blocks);
}

std::string glossary_section() {
  std::string terms;
  for (const Term& term : kTerms) terms += fmt::format("<dt>{}</dt><dd>{}</dd>\n", term.word, term.meaning);
  return section("glossary", "Terms", "<dl class=\"glossary\">" + terms + "</dl>");
}

}  // namespace guda::orchestrator::report
