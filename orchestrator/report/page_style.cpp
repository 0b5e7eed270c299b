#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "orchestrator/report/charts.hpp"
#include "orchestrator/report/sections.hpp"

namespace guda::orchestrator::report {
namespace {

constexpr std::string_view kLight =
    R"(:root{--page:#fcfcfb;--panel:#fff;--text:#1b1f24;--muted:#56606b;--rule:#dfe3e6;--soft:#eff1f3;--link:#1f4f8f;
--guda:#3568a8;--control:#98a2ad;--reference:#30363d;--other:#7a68a6;--whisker:#11151a;--chance:#5b6570;--ceiling:#a06a00;--ceiling-band:#f3dfae;
--own:#b8500a;--others:#4f7dab;--agree:#1f4f8f;--differ:#8a3d06;--warn:#fdf4dc;--warn-rule:#d9a42b;}
)";
constexpr std::string_view kDark =
    R"(:root{--page:#14171a;--panel:#1b1f23;--text:#e7e9eb;--muted:#a7b0b9;--rule:#343b42;--soft:#242a2f;--link:#8fbcf0;
--guda:#6a9bd8;--control:#717c87;--reference:#d7dbdf;--other:#a594d4;--whisker:#f4f6f8;--chance:#a7b0b9;--ceiling:#e0ae4a;--ceiling-band:#4a3c1c;
--own:#f0954f;--others:#86b2dd;--agree:#8fbcf0;--differ:#f0a873;--warn:#2b2412;--warn-rule:#a97f22;}
)";

constexpr std::string_view kStyleSheet = R"(
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",Arial,sans-serif;
font-variant-numeric:tabular-nums;overflow-wrap:break-word}
header.page,main{max-width:1320px;margin:0 auto;padding:0 20px}
header.page{padding-top:28px}
h1{font-size:28px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
header.page p{margin:0;color:var(--muted)}
nav{margin:14px 0 0;padding:10px 0;border-top:1px solid var(--rule);border-bottom:1px solid var(--rule);display:flex;flex-wrap:wrap;gap:4px 18px;font-size:15px}
a{color:var(--link);text-underline-offset:3px}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
section{padding:30px 0 6px}
h2{font-size:21px;line-height:1.25;margin:0 0 8px}
h3{font-size:15px;margin:0}
p{margin:0 0 12px;max-width:76ch}
.lede{color:var(--muted)}
.answer{font-size:19px;line-height:1.45}
.missing{color:var(--muted);border-left:3px solid var(--rule);padding:2px 0 2px 12px}
code{font:0.92em/1.3 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
.note,.interval,.score,.error{color:var(--muted);font-weight:400;font-size:12px}
.warnings{background:var(--warn);border-left:4px solid var(--warn-rule);padding:10px 16px;margin:14px 0;max-width:76ch}
.warnings ul{margin:4px 0 0;padding-left:20px}
dl{margin:12px 0;display:grid;grid-template-columns:max-content 1fr;gap:3px 16px;font-size:14.5px;max-width:100ch}
dt{font-weight:600}
dl.methods dt{font-weight:400}
dd{margin:0;color:var(--muted)}
.swatch{display:inline-block;width:12px;height:12px;margin-right:7px;border-radius:2px;vertical-align:-1px}
.swatch.k-guda{background:var(--guda)}.swatch.k-control{background:var(--control)}.swatch.k-reference{background:var(--reference)}.swatch.k-other{background:var(--other)}
.ceiling-swatch{background:var(--ceiling-band);border-left:2px solid var(--ceiling);width:16px}
.chance-swatch{width:0;border-left:2px dashed var(--chance);border-radius:0;height:14px;margin-left:6px}
.own-swatch{height:3px;width:20px;vertical-align:4px;background:var(--own)}
.others-swatch{height:0;width:20px;vertical-align:4px;border-top:3px dashed var(--others);border-radius:0}
.legend{list-style:none;padding:0;margin:0 0 12px;display:flex;flex-wrap:wrap;gap:4px 20px;font-size:14px}
.scroll{overflow-x:auto;max-width:100%;margin:0 0 12px}
table{border-collapse:collapse;font-size:14px;line-height:1.35}
th,td{padding:5px 10px 5px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}
thead th{color:var(--muted);font-weight:500;font-size:13px;vertical-align:bottom}
tbody th{font-weight:500}
.num{text-align:right;white-space:nowrap;padding-left:10px}
.num .interval{font-size:11.5px}
abbr{text-decoration:underline dotted;text-underline-offset:3px;cursor:help}
.best{font-weight:700}
tr.extra th,tr.extra td{color:var(--muted)}
.agreement .num{padding:5px 4px 5px 6px}.agreement .num .interval{font-size:11px}
.agreement tbody th{white-space:nowrap;position:sticky;left:0;background:var(--page)}
.agreement thead th:first-child{position:sticky;left:0;background:var(--page)}
details.view{border-top:1px solid var(--rule);padding:4px 0}
details.view:last-of-type{border-bottom:1px solid var(--rule)}
summary{cursor:pointer;padding:6px 0;font-weight:600}
details.numbers summary{font-weight:400;font-size:13px;color:var(--link);padding:2px 0}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:22px 28px;margin:10px 0 16px}
figure{margin:0;min-width:0}
figcaption{font-size:14px;line-height:1.35;margin-bottom:4px}
figcaption span{color:var(--muted);font-size:13px}
svg{display:block;max-width:100%;height:auto}
svg text{font-size:12px;fill:var(--text)}
svg .tick,svg .axis-name{fill:var(--muted);font-size:11px}
svg .value{font-weight:600}
.grid{stroke:var(--rule)}.axis{stroke:var(--muted)}
svg .k-guda{fill:var(--guda)}svg .k-control{fill:var(--control)}svg .k-reference{fill:var(--reference)}svg .k-other{fill:var(--other)}
.whisker{stroke:var(--whisker);stroke-width:1.2}
.chance{stroke:var(--chance);stroke-width:1.5;stroke-dasharray:4 3}
.ceiling{stroke:var(--ceiling);stroke-width:1.5}.ceiling-band{fill:var(--ceiling-band)}
.series{fill:none;stroke-width:1.8}.series.s-own{stroke:var(--own)}.series.s-others{stroke:var(--others);stroke-dasharray:5 3}
.dot.s-own{fill:var(--own)}.dot.s-others{fill:var(--others)}
.band{opacity:.18}.band.s-own{fill:var(--own)}.band.s-others{fill:var(--others)}
.heat-none{fill:none;stroke:var(--rule);stroke-dasharray:2 2}
.own-cell{stroke:var(--text);stroke-width:1.2}
img{image-rendering:pixelated;display:block;background:var(--soft)}
.no-picture{display:flex;align-items:center;justify-content:center;font-size:10px;line-height:1.1;text-align:center;color:var(--muted);border:1px dashed var(--rule)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,350px),1fr));gap:18px}
.card{background:var(--panel);border:1px solid var(--rule);border-radius:6px;padding:12px;min-width:0;break-inside:avoid}
.card header{display:flex;gap:12px;align-items:center;margin-bottom:8px}
.card header p{margin:2px 0 0;color:var(--muted);font-size:13px}
.card table{width:100%;table-layout:fixed;font-size:13px}
.card th,.card td{padding:4px 5px 4px 0}
.card th:first-child{width:28%}
.card tr:last-child th,.card tr:last-child td{border-bottom:0}
.card tbody th{line-height:1.25}
.card .score,.card .error{white-space:nowrap;font-size:11.5px}
.card .error{display:block}
.agrees,.differs,.undecided{font-size:12px;font-weight:400}
.agrees{color:var(--agree)}.differs{color:var(--differ)}
.undecided{border:1px solid var(--muted);border-radius:3px;padding:0 3px;color:var(--muted);white-space:nowrap}
.meter{display:block;height:5px;background:var(--soft);border-radius:2px;margin-top:2px}
.meter span{display:block;height:5px;border-radius:2px;background:var(--other)}
.k-guda .meter span{background:var(--guda)}.k-control .meter span{background:var(--control)}.k-reference .meter span{background:var(--reference)}
.galleries{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,370px),1fr));gap:22px 28px}
.gallery th,.gallery td{border:0;padding:2px 4px 2px 0;vertical-align:middle}
.gallery th{font-size:12px;white-space:nowrap;padding-right:8px}
.gallery thead th{text-align:center}
.gallery tbody tr:first-child td,.gallery tbody tr:first-child th{padding-bottom:8px}
.gallery .prompt{white-space:nowrap;font-size:12px;padding-left:12px}
.side{display:flex;flex-wrap:wrap;gap:20px 48px;align-items:flex-start}.side figure{flex:0 1 370px}.side .scroll{flex:0 1 auto}
.side th{white-space:nowrap}
.provenance th{white-space:nowrap;font-weight:400;color:var(--muted);padding-right:18px}
.provenance td{overflow-wrap:anywhere;min-width:200px}
@media (max-width:560px){header.page,main{padding-left:14px;padding-right:14px}.answer{font-size:17px}h1{font-size:23px}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}.card{padding:10px}}
@media print{body{font-size:11pt;background:#fff}nav{display:none}.scroll{overflow:visible}details::details-content{content-visibility:visible;block-size:auto}
figure,.card,tr{break-inside:avoid}section{padding-top:14px}.swatch,rect,.meter span{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
)";

struct Rgb {
  double r, g, b;
};

/// Zero, middle, end of one arm of the diverging palette; interpolated piecewise in sRGB.
using Arm = std::array<Rgb, 3>;

std::string colour_of(const Arm& arm, double share) {
  const std::size_t part = share < 0.5 ? 0 : 1;
  const double within = 2 * share - static_cast<double>(part);
  const auto mix = [&](double a, double b) { return static_cast<int>(std::lround(a + (b - a) * within)); };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(arm[part].r, arm[part + 1].r), mix(arm[part].g, arm[part + 1].g),
                     mix(arm[part].b, arm[part + 1].b));
}

std::string heat_palette(const Arm& negative, const Arm& positive) {
  std::string css;
  for (int step = -kHeatSteps; step <= kHeatSteps; ++step)
    css += fmt::format(".h{}{{fill:{}}}", step,
                       colour_of(step < 0 ? negative : positive, std::abs(step) / static_cast<double>(kHeatSteps)));
  return css + "\n";
}

}  // namespace

std::string page_style() {
  const std::string light = heat_palette({{{244, 244, 242}, {126, 172, 214}, {25, 70, 132}}},
                                         {{{244, 244, 242}, {240, 164, 92}, {150, 54, 4}}});
  const std::string dark =
      heat_palette({{{38, 43, 48}, {48, 102, 156}, {160, 206, 255}}}, {{{38, 43, 48}, {168, 92, 36}, {255, 190, 128}}});
  return fmt::format("\n{}{}@media screen and (prefers-color-scheme:dark){{{}{}}}{}", kLight, light, kDark, dark,
                     kStyleSheet);
}

}  // namespace guda::orchestrator::report
