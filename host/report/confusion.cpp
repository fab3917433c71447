// Accuracy by class (host/report/confusion.hpp).
#include "host/report/confusion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "host/report/html.hpp"

namespace pdadmm {
namespace {

constexpr std::size_t most_in_matrix = 20;

/// Cells of a line of CSV (RFC 4180).
std::vector<std::string> cells_of(const std::string& line) {
    std::vector<std::string> cells(1);
    bool quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"')
            cells.back() += line[i++];
        else if (line[i] == '"')
            quoted = !quoted;
        else if (line[i] == ',' && !quoted)
            cells.emplace_back();
        else
            cells.back() += line[i];
    }
    return cells;
}

std::string matrix(const ConfusionCounts& c, const std::string& title) {
    std::string text = fmt::format(
        "<div class=\"wide\"><table class=\"matrix\"><caption>{}: rows are the nodes' classes, columns what was "
        "predicted"
        "</caption><thead><tr><th scope=\"col\">class</th>",
        escaped(title));
    for (const std::string& name : c.classes) text += fmt::format("<th scope=\"col\">{}</th>", escaped(name));
    text += "</tr></thead><tbody>\n";
    for (std::size_t label = 0; label < c.classes.size(); ++label) {
        const double nodes = std::accumulate(c.counts[label].begin(), c.counts[label].end(), 0.0);
        text += fmt::format("<tr><th scope=\"row\">{}</th>", escaped(c.classes[label]));
        for (const double count : c.counts[label])
            text += fmt::format("<td style=\"--share:{:.2f}\">{}</td>", nodes > 0 ? count / nodes : 0, count);
        text += "</tr>\n";
    }
    return text + "</tbody></table></div>\n";
}

}  // namespace

ConfusionCounts read_confusion(const std::string& csv, const std::string& set) {
    ConfusionCounts found;
    for (std::size_t begin = 0, end; (end = csv.find('\n', begin)) != std::string::npos; begin = end + 1) {
        std::vector<std::string> cells = cells_of(csv.substr(begin, end - begin));
        if (begin == 0) {
            if (cells.size() < 3 || cells[0] != "set") return {};
            found.classes.assign(cells.begin() + 2, cells.end());
        } else if (cells[0] == set) {
            if (cells.size() != found.classes.size() + 2) return {};
            found.counts.emplace_back();
            for (std::size_t i = 2; i < cells.size(); ++i) {
                double count = 0;
                std::from_chars(cells[i].data(), cells[i].data() + cells[i].size(), count);
                found.counts.back().push_back(count);
            }
        }
    }
    return found.counts.size() == found.classes.size() ? found : ConfusionCounts{};
}

bool add(ConfusionCounts& a, const ConfusionCounts& b) {
    if (a.classes.empty()) a = {b.classes, std::vector(b.classes.size(), std::vector(b.classes.size(), 0.0))};
    if (a.classes != b.classes) return false;
    for (std::size_t i = 0; i < a.classes.size(); ++i)
        for (std::size_t j = 0; j < a.classes.size(); ++j) a.counts[i][j] += b.counts[i][j];
    return true;
}

std::string section_of(const ConfusionCounts& c, const std::string& title) {
    std::vector<std::vector<std::string>> rows;
    double all = 0;
    for (std::size_t label = 0; label < c.classes.size(); ++label) {
        const std::vector<double>& row = c.counts[label];
        const double nodes = std::accumulate(row.begin(), row.end(), 0.0);
        all += nodes;
        std::vector<double> wrong = row;
        wrong[label] = 0;
        const auto worst = static_cast<std::size_t>(std::max_element(wrong.begin(), wrong.end()) - wrong.begin());
        rows.push_back(
            {c.classes[label], number_text(nodes), nodes > 0 ? fmt::format("{:.3f}", row[label] / nodes) : "",
             wrong[worst] > 0 ? fmt::format("{} ({:.0f} %)", c.classes[worst], 100 * wrong[worst] / nodes) : ""});
    }
    if (all == 0) return {};
    return fmt::format("<h2>Accuracy by class</h2>\n{}{}",
                       table(title, {"class", "nodes", "share predicted rightly", "most often taken for"}, rows),
                       c.classes.size() <= most_in_matrix ? matrix(c, "Confusion matrix") : "");
}

}  // namespace pdadmm
