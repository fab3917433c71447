// Random search and successive halving (host/tune/search.hpp).
#include "host/tune/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "host/tune/admm_search.hpp"
#include "host/tune/brackets.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr int most_draws = 1000, halving_factor = 3, halvings = 2;

class RandomSearch final : public Search {
public:
    explicit RandomSearch(SearchSettings settings) : settings_(std::move(settings)) {}

    std::vector<Task> ask() override {
        std::vector<Task> tasks;
        Random random(settings_.seed);
        while (!asked_ && static_cast<double>(tasks.size()) + 1 <= settings_.trainings)
            tasks.push_back(
                {settings_.first_trial + static_cast<int>(tasks.size()), admissible_point(settings_, random), 1, 0});
        asked_ = true;
        return tasks;
    }
    void tell(const std::vector<Outcome>&) override {}

private:
    SearchSettings settings_;
    bool asked_ = false;
};

class Halving final : public Search {
public:
    explicit Halving(SearchSettings settings)
        : settings_(std::move(settings)),
          random_(settings_.seed),
          brackets_(plan_brackets(settings_.trainings, halving_factor, halvings)),
          next_trial_(settings_.first_trial) {}

    std::vector<Task> ask() override {
        if (bracket_ == brackets_.size()) return {};
        const Rung& rung = brackets_[bracket_][rung_];
        if (rung_ == 0) {
            tasks_.clear();
            for (int i = 0; i < rung.trials; ++i)
                tasks_.push_back(
                    {next_trial_++, admissible_point(settings_, random_), 0, static_cast<int>(bracket_) + 1});
        }
        for (Task& task : tasks_) task.share = rung.share;
        return tasks_;
    }

    void tell(const std::vector<Outcome>& outcomes) override {
        std::vector<Task> kept;
        const std::size_t above = rung_ + 1;
        if (above < brackets_[bracket_].size())
            for (const std::size_t place : best_of(merits(outcomes, settings_.limits),
                                                   static_cast<std::size_t>(brackets_[bracket_][above].trials)))
                if (!std::isnan(outcomes[place].figure)) kept.push_back(tasks_[place]);
        tasks_ = std::move(kept);
        rung_ = tasks_.empty() ? 0 : above;  // where all failed the bracket is over
        if (rung_ == 0) ++bracket_;
    }

private:
    SearchSettings settings_;
    Random random_;
    std::vector<Bracket> brackets_;
    std::vector<Task> tasks_;  // of the running rung
    std::size_t bracket_ = 0, rung_ = 0;
    int next_trial_;
};

}  // namespace

Point admissible_point(const SearchSettings& settings, Random& random) {
    for (int i = 0; i < most_draws; ++i)
        if (Point point = settings.space.draw(random); excess(settings.costs(point), settings.limits) <= 0)
            return point;
    throw UsageError(
        fmt::format("--max-bytes, --max-memory, --max-parameters, --max-flops: none of {} random settings is within "
                    "them, expected some; allow more, or let --search reach smaller networks",
                    most_draws));
}

std::vector<double> merits(const std::vector<Outcome>& outcomes, const Limits& limits) {
    std::vector<double> found;
    for (const Outcome& outcome : outcomes) {
        const double beyond = excess(outcome.costs, limits);
        found.push_back(beyond > 0 && !std::isnan(outcome.figure) ? -1 - beyond : outcome.figure);
    }
    return found;
}

std::unique_ptr<Search> make_search(const std::string& method, SearchSettings settings) {
    if (method == "halving") return std::make_unique<Halving>(std::move(settings));
    if (method == "admm") return make_admm_search(std::move(settings));
    if (method == "random") return std::make_unique<RandomSearch>(std::move(settings));
    throw Error(ExitCode::internal, "no method of search " + method);
}

}  // namespace pdadmm
