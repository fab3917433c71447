// pdadmm report: the page of a run, or of several side by side.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "host/cli/commands.hpp"
#include "host/cli/parse.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/format/file.hpp"
#include "host/report/report_page.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

int report_command(const std::vector<std::string>& arguments) {
    const auto options_begin =
        std::find_if(arguments.begin(), arguments.end(), [](const std::string& a) { return a.starts_with("-"); });
    const std::vector<std::string> folders(arguments.begin(), options_begin);
    std::string out;
    const Command line{"pdadmm report",
                       "One page of HTML of a run's folder, or of several side by side: pdadmm report DIR [DIR ...]",
                       "pdadmm report runs/unquantised runs/4-bits --out both.html"};
    const Options options{
        {"--out,-o", &out, "FILE.html (default: report.html in the folder of a single run)", {.named = true}}};
    const std::optional<Given> given = parse_options(line, options, {options_begin, arguments.end()});
    if (!given) return 0;
    if (folders.empty())
        throw UsageError("report: no folder, expected those of runs; name what pdadmm train --out wrote");
    if (out.empty() && folders.size() > 1)
        throw UsageError(fmt::format("--out: none, expected a file for the page of {} runs; give one", folders.size()));
    std::vector<RunRecord> runs;
    for (const std::string& folder : folders) runs.push_back(read_run(folder));
    const std::filesystem::path path =
        out.empty() ? std::filesystem::path(folders[0]) / "report.html" : std::filesystem::path(out);
    const std::string page = report_page(runs, version_line());
    write_file_atomically(path, std::as_bytes(std::span(page)));
    put_result(fmt::format("{}: written\n", printable_path(path)));
    return 0;
}

}  // namespace pdadmm
