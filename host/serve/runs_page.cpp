// HTML of the page of all runs (host/serve/runs_page.hpp). Texts of people are escaped by host/report/html.hpp.
#include "host/serve/runs_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "host/registry/best.hpp"
#include "host/registry/listing.hpp"
#include "host/report/chart.hpp"
#include "host/report/html.hpp"

namespace pdadmm {
namespace {

constexpr std::size_t most_rows = 500, most_curves = 8;

/// Of a page with running runs: it is made anew, unless somebody is typing or has ticked something.
constexpr const char* renewing_script =
    "<script>setInterval(() => { if (!document.querySelector('input:checked') && document.activeElement.type !== "
    "'text') "
    "location.reload(); }, 5000);</script>";

/// What only this page needs beside a report's style.
constexpr const char* own_style =
    "form{margin:.6em 0}input[type=text]{font:inherit;width:min(100%,28rem);padding:4px 8px;border:1px solid "
    "var(--line);border-radius:6px;background:var(--paper);color:var(--ink)}a{color:var(--c0)}"
    ".fault{color:var(--c1);font-weight:600}main{max-width:1200px}td:nth-child(-n+4),thead "
    "th:nth-child(-n+4){text-align:left}";

std::string link_to(const RunEntry& run, const std::string& text) {
    return fmt::format("<a href=\"/run?id={}\">{}</a>", escaped(run.origin.id), escaped(text));
}

/// The folder, and of a seed that of its whole run before it.
std::string name_of(const RunEntry& run) {
    const std::filesystem::path folder(run.folder);
    const std::string name = folder.filename().string();
    return run.parent.empty() ? name : std::filesystem::path(run.parent).filename().string() + "/" + name;
}

Curve curve_of(const RunEntry& run, const std::string& figure) {
    Curve curve{name_of(run), {}, {}, {}, {}};
    for (const HistoryPoint& p : run.history)
        if (p.name == figure) {
            curve.x.push_back(static_cast<double>(p.epoch));
            curve.y.push_back(p.value);
        }
    return curve;
}

std::string running_of(const std::vector<RunEntry>& runs) {
    std::vector<Curve> val, objective;
    for (const RunEntry& run : runs)
        if (run.state == "running" && val.size() < most_curves) {
            val.push_back(curve_of(run, "val"));
            objective.push_back(curve_of(run, "objective"));
        }
    if (val.empty()) return {};
    return "<h2>Running now</h2>\n<div class=\"charts\">\n" +
           figure_of(Chart{"Validation accuracy", "iteration", "share of nodes", false, val, {}}) +
           figure_of(Chart{"Objective", "iteration", "L_rho", true, objective, {}}) + "</div>\n";
}

std::string best_of(const std::vector<RunEntry>& runs) {
    std::map<std::string, RunEntry> best;  // by data set
    for (const RunEntry& run : ranked(runs, "val")) best.emplace(run.option("dataset"), run);
    if (best.empty()) return {};
    std::string text =
        "<h2>Best by validation accuracy</h2>\n<div class=\"wide\"><table><thead><tr><th scope=\"col\">data</th>"
        "<th scope=\"col\">run</th><th scope=\"col\">method</th><th scope=\"col\">validation</th><th "
        "scope=\"col\">test</th></tr></thead><tbody>\n";
    for (const auto& [dataset, run] : best)
        text += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                            escaped(dataset), link_to(run, name_of(run)), escaped(method_of(run)),
                            share_text(run.figure("val")), share_text(run.figure("test")));
    return text + "</tbody></table></div>\n";
}

std::string row_of(const RunEntry& run) {
    return fmt::format(
        "<tr><th scope=\"row\"><input type=\"checkbox\" name=\"id\" value=\"{0}\" aria-label=\"compare {1}\"> {2}</th>"
        "<td>{3}</td><td>{4}</td><td>{5}</td><td>{6}</td><td>{7}</td><td>{8}</td><td>{9}</td><td>{10}</td><td>{11}</td>"
        "</tr>\n",
        escaped(run.origin.id), escaped(name_of(run)), link_to(run, name_of(run)), escaped(run.state),
        escaped(run.option("dataset")), escaped(method_of(run)), escaped(run.option("layers")),
        share_text(run.figure("val")), share_text(run.figure("test")), whole_text(run.figure("iterations")),
        std::isfinite(run.figure("seconds")) ? seconds_text(run.figure("seconds")) : "", date_text(run.origin.started));
}

std::string table_of_runs(const std::vector<RunEntry>& runs) {
    std::string text = "<h2>Runs</h2>\n<form action=\"/compare\"><div class=\"wide\"><table><thead><tr>";
    for (const char* head :
         {"run", "state", "data", "method", "layers", "validation", "test", "iterations", "training", "started"})
        text += fmt::format("<th scope=\"col\">{}</th>", head);
    text += "</tr></thead><tbody>\n";
    for (std::size_t i = 0; i < std::min(runs.size(), most_rows); ++i) text += row_of(runs[i]);
    text += "</tbody></table></div>\n<p><button>Compare those that are ticked</button></p></form>\n";
    if (runs.size() > most_rows)
        text += fmt::format("<p class=\"muted\">The newest {} of {}; conditions show others.</p>\n", most_rows,
                            runs.size());
    return text;
}

}  // namespace

std::string runs_page(const std::vector<RunEntry>& runs, const std::string& conditions, const std::string& fault,
                      const std::string& program) {
    const auto running =
        std::count_if(runs.begin(), runs.end(), [](const RunEntry& run) { return run.state == "running"; });
    std::string body = fmt::format(
        "<form action=\"/\"><label>Conditions: <input type=\"text\" name=\"q\" value=\"{}\" placeholder=\"dataset=cora "
        "test&gt;0.82 state=done\"></label> <button>Show</button></form>\n",
        escaped(conditions));
    if (!fault.empty()) body += fmt::format("<p class=\"fault\">{}</p>\n", escaped(fault));
    body += running_of(runs) + best_of(runs) + table_of_runs(runs) +
            fmt::format("<p class=\"muted\">{}</p>\n", escaped(program));
    if (running > 0) body += renewing_script;
    return styled_page(fmt::format("{} runs{}", runs.size(), running > 0 ? fmt::format(", {} running", running) : ""),
                       body, own_style);
}

std::string message_page(const std::string& text) {
    return styled_page("pdadmm runs",
                       fmt::format("<p class=\"lead\">{}</p>\n<p><a href=\"/\">All runs</a></p>\n", escaped(text)),
                       own_style);
}

}  // namespace pdadmm
