// pdadmm tune: proposals, trials, and the winner.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/file.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "host/cli/commands.hpp"
#include "host/cli/config_file.hpp"
#include "host/cli/optuna.hpp"
#include "host/cli/tune_options.hpp"
#include "host/cli/tune_space.hpp"
#include "host/cli/tune_table.hpp"
#include "host/cli/tune_trials.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/console/signals.hpp"
#include "host/format/file.hpp"
#include "host/report/search_page.hpp"
#include "host/run/progress.hpp"
#include "host/tune/tpe_search.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char *base_file = "base.toml", *winner_file = "winner.toml", *result_file = "search.json",
                     *page_file = "report.html", *winner_folder = "winner";

constexpr std::uint64_t most_bytes = std::uint64_t{1} << 20;  // of a file that it reads

/// The folder of a search, locked while it runs.
class SearchFolder {
public:
    /// Makes it, or opens that of the search that goes on. Throws UsageError where it is not empty, or another
    /// search's.
    explicit SearchFolder(const TuneArguments& arguments, const std::string& base)
        : folder_(arguments.resumes ? Folder::open(arguments.folder) : Folder::open_or_make(arguments.folder)) {
        if (!arguments.resumes && !folder_.names().empty())
            throw OutputError(
                fmt::format("{}: not empty, expected a new folder; name another --out, or go on with: "
                            "pdadmm tune --resume {}",
                            printable_path(arguments.folder), printable_path(arguments.folder)));
        lock_ = folder_.open_or_make_file("lock");
        if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            throw OutputError(
                fmt::format("{}: another search runs in it, expected none; wait for it, or name another "
                            "--out",
                            printable_path(arguments.folder)));
        if (!arguments.resumes) {
            write(base_file, base);
            write(tune_file, arguments.file);
        } else if (read_text(folder_.path_of(base_file), most_bytes) != base) {
            throw DataError(
                fmt::format("{}: not what options, data and program are now, expected the same; begin anew "
                            "with another --out",
                            printable_path(folder_.path_of(base_file))));
        }
    }

    const Folder& folder() const { return folder_; }
    void write(const char* name, const std::string& text) const {
        folder_.replace(name, std::as_bytes(std::span(text)));
    }

private:
    Folder folder_;
    Descriptor lock_;
};

/// `work` for each of `jobs` jobs, in threads of their own where there are several; `over` is set where one threw.
/// Throws what was thrown first.
void run_jobs(std::size_t jobs, std::atomic<bool>& over, const std::function<void(int job)>& work) {
    if (jobs == 1) return work(0);
    std::exception_ptr failure;
    std::mutex mutex;
    std::vector<std::thread> threads;
    for (std::size_t job = 0; job < jobs; ++job)
        threads.emplace_back([&, job] {
            try {
                work(static_cast<int>(job));
            } catch (...) {
                const std::lock_guard lock(mutex);
                if (!failure) failure = std::current_exception();
                over = true;
            }
        });
    for (std::thread& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
}

/// One search from its first proposal to its winner.
class TuneRun {
public:
    explicit TuneRun(const TuneArguments& arguments)
        : arguments_(arguments),
          space_(search_space(arguments)),
          line_(arguments.options.quiet),
          trials_(arguments, [this](const std::string& text) { line_.note(text); }),
          folder_(arguments, base_text()),
          table_(folder_.folder()) {}

    int run() {
        if (!search()) {
            line_.note(fmt::format("stopped after {} trials; go on with: pdadmm tune --resume {}", trials_done(),
                                   printable_path(arguments_.folder)));
            return exit_code_of_signal(stop_signal());
        }
        return finish();
    }

private:
    /// What a search that goes on must agree with: every option of the preset's trial, and the data.
    std::string base_text() const {
        return fmt::format("{}# data {}\n", config_toml(arguments_.base, {arguments_.seed}), trials_.data_digest());
    }

    OptionTexts options_of(const Settings& settings) const { return trial_options(arguments_, space_, settings); }

    /// Whether all trials were trained; else a signal stopped it.
    bool search() {
        if (!run_round({Task{}})) return false;  // the preset: no setting
        SearchSettings settings{
            space_,
            arguments_.seed,
            1,
            arguments_.options.trials - spent_,
            arguments_.options.round,
            arguments_.limits(),
            [this](const Point& point) { return trials_.known_costs(options_of(space_.settings(point))); },
            start_of(arguments_, space_)};
        const std::string& name = arguments_.options.method;
        const std::unique_ptr<Search> method =
            name == "tpe" ? make_tpe_search(std::move(settings), ask_optuna) : make_search(name, std::move(settings));
        for (;;) {
            const std::vector<Task> tasks = method->ask();
            if (tasks.empty()) return true;
            const auto outcomes = run_round(tasks);
            if (!outcomes) return false;
            method->tell(*outcomes);
        }
    }

    /// Outcomes of tasks in their order, whichever jobs they ran on; none where a signal stopped one.
    std::optional<std::vector<Outcome>> run_round(const std::vector<Task>& tasks) {
        std::vector<std::optional<TrialRow>> rows(tasks.size());
        std::vector<std::size_t> pending;
        for (std::size_t i = 0; i < tasks.size(); ++i)
            if (const TrialRow* known = table_.find(tasks[i].trial, tasks[i].share, space_.settings(tasks[i].point)))
                rows[i] = *known, spent_before_ += count(*known);
            else
                pending.push_back(i);
        std::atomic<std::size_t> next = 0;
        std::atomic<bool> over = false;
        std::size_t written = 0;
        std::mutex mutex;
        run_jobs(std::min(static_cast<std::size_t>(arguments_.options.jobs), pending.size()), over, [&](int job) {
            for (std::size_t at; !over && !stop_signal() && (at = next++) < pending.size();) {
                const Task& task = tasks[pending[at]];
                const Settings settings = space_.settings(task.point);
                std::optional<TrialRow> row = trained(task, settings, job, mutex);
                if (!row) return;
                const std::lock_guard lock(mutex);
                rows[pending[at]] = std::move(row);
                for (; written < pending.size() && rows[pending[written]]; ++written) {
                    table_.append(*rows[pending[written]]);
                    count(*rows[pending[written]]);
                    say(*rows[pending[written]]);
                }
            }
        });
        std::vector<Outcome> outcomes;
        for (const std::optional<TrialRow>& row : rows) {
            if (!row) return std::nullopt;
            outcomes.push_back(row->outcome());
        }
        return outcomes;
    }

    /// None where a signal stopped it.
    std::optional<TrialRow> trained(const Task& task, const Settings& settings, int job, std::mutex& mutex) {
        {
            const std::lock_guard lock(mutex);
            show(task, settings);
        }
        TrialRow row = trials_.train(task.trial, options_of(settings), task.share, job);
        if (row.state.empty()) return std::nullopt;
        row.bracket = task.bracket;
        row.settings = settings;
        return row;
    }

    /// In trainings, as --trials counts them: a training that goes on does not begin anew.
    double count(const TrialRow& row) {
        if (row.state == "refused") return 0;
        double& before = share_of_[row.trial];
        const double more = row.share - before;
        before = row.share;
        spent_ += more;
        return more;
    }

    void show(const Task& task, const Settings& settings) {
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
        std::vector<std::string> parts{
            fmt::format("trial {}, {:.1f} of {} trainings done", task.trial, spent_, arguments_.options.trials)};
        if (const TrialRow* best = winner_of(table_.rows()))
            parts.push_back(fmt::format("best {} {:.4f} (trial {})", metric_name(), best->figure, best->trial));
        if (const double here = spent_ - spent_before_; here > 0)
            parts.push_back(
                fmt::format("{} left", duration_text(seconds / here * (arguments_.options.trials - spent_))));
        parts.push_back(text_of(settings));
        line_.draw(parts);
    }

    /// Every trial in a pipe; on a terminal those that are the best so far.
    void say(const TrialRow& row) {
        const TrialRow* best = winner_of(table_.rows());
        if (line_.live() && !(best && best->trial == row.trial && row.state == "done")) return;
        const std::string found = std::isnan(row.figure)
                                      ? row.why
                                      : fmt::format("{} {:.4f} after {} epochs, {:.2f} s{}", metric_name(), row.figure,
                                                    row.epochs, row.costs[0], row.beyond > 0 ? ", beyond a limit" : "");
        line_.note(fmt::format("trial {:>3} {}: {}  {}", row.trial, row.state, found, text_of(row.settings)));
    }

    std::string metric_name() const { return fmt::format("validation {}", trials_.metric()); }

    static std::string text_of(const Settings& settings) {
        if (settings.empty()) return "the preset's settings";
        std::vector<std::string> words;
        for (const auto& [name, value] : settings) words.push_back(name + "=" + value);
        return fmt::format("{}", fmt::join(words, " "));
    }

    int trials_done() const { return static_cast<int>(share_of_.size()); }

    int finish() {
        const TrialRow* found = winner_of(table_.rows());
        if (!found)
            throw UsageError(fmt::format(
                "tune: none of {} trials was trained within the limits, expected one; allow more, or search "
                "smaller networks",
                trials_done()));
        const TrialRow winner = *found;
        const TrainArguments options = trials_.arguments_of(options_of(winner.settings));
        const std::string toml = config_toml(options, {arguments_.seed});
        folder_.write(winner_file, toml);
        const Json result = result_of(winner);
        folder_.write(result_file, result.dump(2) + "\n");
        folder_.write(page_file, search_page({fmt::format("{}: {} trials, {}", arguments_.base.options.dataset,
                                                          trials_done(), arguments_.options.method),
                                              arguments_.folder, trials_.metric(), toml, space_, table_.rows(), winner,
                                              result["test"].is_number() ? result["test"].get<double>() : NAN, spent_},
                                             version_line()));
        if (arguments_.options.json)
            put_result(result.dump(2) + "\n");
        else
            put_result(summary_of(winner, result));
        return arguments_.options.seeds.empty() ? 0 : repeat();
    }

    Json result_of(const TrialRow& winner) const {
        const Json summary = Json::parse(read_text(trials_.folder_of(winner.trial) / "summary.json", most_bytes));
        const std::string part = summary.contains("best") ? "best" : "last";
        const Json& figures = summary.at(summary.contains("metric") ? part + "_metric" : part);
        Json json = to_json(winner);
        json["metric"] = trials_.metric();
        json["validation"] = figures.at("val");
        json["test"] = figures.at("test");
        json["trials"] = trials_done();
        json["trainings"] = spent_;
        json["method"] = arguments_.options.method;
        json["preset_validation"] = Json();
        for (const TrialRow& row : table_.rows())
            if (row.trial == 0 && !std::isnan(row.figure)) json["preset_validation"] = row.figure;
        return json;
    }

    std::string summary_of(const TrialRow& winner, const Json& result) const {
        const std::string path = printable_path(folder_.folder().path_of(winner_file));
        std::string text = fmt::format("# trial {}: {} {:.4f}", winner.trial, metric_name(), winner.figure);
        if (result["preset_validation"].is_number())
            text += fmt::format(", with the preset's settings {:.4f}", result["preset_validation"].get<double>());
        text += "\n";
        for (const auto& [name, value] : options_of(winner.settings)) text += config_line(name, value);
        const std::string test =
            result["test"].is_number() ? fmt::format("{:.4f}", result["test"].get<double>()) : "none";
        return text + fmt::format(
                          "# test {} {}, looked at once. The best of {} trials on the same validation nodes: their "
                          "figure flatters it\n"
                          "# train it with: pdadmm train --config {}\n",
                          trials_.metric(), test, trials_done(), path);
    }

    /// The winner with --seeds, as pdadmm train makes its runs.
    int repeat() const {
        const fs::path folder = fs::path(arguments_.folder) / winner_folder;
        std::error_code ignored;
        std::vector<std::string> words;
        if (fs::exists(folder / "config.toml", ignored))
            words = {"--resume", folder.string()};
        else
            words = {"--config", folder_.folder().path_of(winner_file),
                     "--seeds",  arguments_.options.seeds,
                     "--out",    folder.string()};
        const BackendChoice& backend = arguments_.base.options.backend;
        words.push_back(fmt::format("--threads={}", backend.threads));
        if (!backend.blas.empty()) words.push_back("--blas=" + backend.blas);
        words.push_back("--registry=" + arguments_.registry());
        if (arguments_.options.quiet) words.push_back("--quiet");
        if (arguments_.options.json) words.push_back("--json");
        return train_command(words);
    }

    const TuneArguments& arguments_;
    Space space_;
    LiveLine line_;
    Trials trials_;
    SearchFolder folder_;
    TrialTable table_;
    std::map<int, double> share_of_;  // of its epochs, that each trial has done
    double spent_ = 0, spent_before_ = 0;
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace

int tune_command(const std::vector<std::string>& arguments) {
    const std::optional<TuneArguments> parsed = parse_tune(arguments);
    if (!parsed) return 0;
    ignore_signals_of_writing();
    if (parsed->options.method == "tpe") require_optuna();
    return TuneRun(*parsed).run();
}

}  // namespace pdadmm
