// Report as a table and as JSON (report.hpp).
#include "bench/gpu/report.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "pdadmm/error.hpp"

namespace pdadmm::bench {
namespace {

using Json = nlohmann::ordered_json;

Json number(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }
Json text(const std::string& s) { return s.empty() ? Json(nullptr) : Json(s); }

Json to_json(const Figure& f) {
    Json target = nullptr;
    if (f.target)
        target = {{"of", f.target->of == Target::Of::ratio ? "ratio" : "value"},
                  {"relation", f.target->relation == Target::Relation::at_least ? ">=" : "<="},
                  {"bound", f.target->bound}};
    const auto met = f.met();
    return {{"group", f.group},
            {"name", f.name},
            {"value", number(f.value)},
            {"unit", f.unit},
            {"floor", number(f.floor)},
            {"floor_is", text(f.floor_is)},
            {"ratio", number(f.ratio())},
            {"target", target},
            {"met", met ? Json(*met) : Json(nullptr)},
            {"note", text(f.note)},
            {"missing", text(f.missing)}};
}

}  // namespace

std::optional<bool> Figure::met() const {
    if (!target) return {};
    return missing.empty() && target->met(target->of == Target::Of::ratio ? ratio() : value);
}

void Report::add(Figure f) {
    const auto met = f.met();
    if (!f.missing.empty())
        fmt::print("{:<10} {:<52} no figure: {}\n", f.group, f.name, f.missing);
    else
        fmt::print("{:<10} {:<52} {:>11.4g} {:<6}{:>24}{}{}\n", f.group, f.name, f.value, f.unit,
                   std::isfinite(f.floor) ? fmt::format("of {:.4g}: {:.3f}", f.floor, f.ratio()) : "",
                   !f.target
                       ? ""
                       : fmt::format("  {} {:g} {}", f.target->relation == Target::Relation::at_least ? ">=" : "<=",
                                     f.target->bound, *met ? "met" : "MISSED"),
                   f.note.empty() ? "" : "  " + f.note);
    std::fflush(stdout);
    figures_.push_back(std::move(f));
}

void Report::missing(const std::string& group, const std::string& name, const std::string& why,
                     std::optional<Target> target) {
    Figure f;
    f.group = group;
    f.name = name;
    f.target = target;
    f.missing = why;
    add(std::move(f));
}

const Figure* Report::find(const std::string& group, const std::string& name) const {
    for (const Figure& f : figures_)
        if (f.group == group && f.name == name) return &f;
    return nullptr;
}

void Report::write() const {
    if (path_.empty()) return;
    Json document;
    for (const auto& [name, value] : facts_) document[name] = value;
    document["figures"] = Json::array();
    for (const Figure& f : figures_) document["figures"].push_back(to_json(f));
    std::ofstream file(path_);
    file << document.dump(1) << "\n";
    if (!file.flush())
        throw Error(ExitCode::output, path_ + ": cannot be written, expected a file in a folder that exists");
}

}  // namespace pdadmm::bench
