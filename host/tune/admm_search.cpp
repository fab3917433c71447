// Search by splitting (host/tune/admm_search.hpp).
#include "host/tune/admm_search.hpp"

#include <algorithm>
#include <cmath>

#include "host/tune/brackets.hpp"
#include "host/tune/surrogate.hpp"

namespace pdadmm {
namespace {

constexpr double rho = 1;
constexpr int anywhere = 300, nearby = 300;  // candidates of a theta step
constexpr double near = 0.12;                // their standard deviation around the best point
constexpr std::size_t looked_up = 20;        // candidates whose costs are
constexpr int thompson_draws = 60;           // candidates of a z step

class AdmmSearch final : public Search {
public:
    explicit AdmmSearch(SearchSettings settings)
        : settings_(std::move(settings)),
          random_(settings_.seed),
          left_(static_cast<int>(settings_.trainings)),
          next_trial_(settings_.first_trial),
          lambda_(settings_.space.size()) {}

    std::vector<Task> ask() override {
        tasks_.clear();
        const int count = std::min(left_, points_.empty() ? first_round() : settings_.round);
        if (count == 0) return {};
        if (points_.empty())
            propose_design(count);
        else
            propose_step(count);
        left_ -= count;
        return tasks_;
    }

    void tell(const std::vector<Outcome>& outcomes) override {
        for (std::size_t i = 0; i < outcomes.size(); ++i) {
            points_.push_back(tasks_[i].point);
            outcomes_.push_back(outcomes[i]);
        }
        merits_ = merits(outcomes_, settings_.limits);
        best_ = best_of(merits_, 1).front();
        update_limit_duals();
        theta_turn_ = !theta_turn_;
    }

private:
    using Kind = Dimension::Kind;

    Kind kind(std::size_t dimension) const { return settings_.space.dimensions()[dimension].kind; }
    std::size_t size() const { return settings_.space.size(); }
    /// A third of the trainings, before there is anything to learn from.
    int first_round() const { return std::max(settings_.round, left_ / 3); }
    bool within(const Point& point) const { return excess(settings_.costs(point), settings_.limits) <= 0; }

    void propose(Point point) { tasks_.push_back({next_trial_++, std::move(point), 1, 0}); }

    void propose_design(int count) {
        if (settings_.start && within(*settings_.start)) propose(*settings_.start);
        while (static_cast<int>(tasks_.size()) < count) propose(admissible_point(settings_, random_));
    }

    void propose_step(int count) {
        Surrogate surrogate(settings_.space, points_, merits_);
        for (int i = 0; i < count; ++i) {
            Point point = theta_turn_ ? theta_step(surrogate) : z_step(surrogate);
            if (point.empty()) point = admissible_point(settings_, random_);
            surrogate.believe(point);
            propose(std::move(point));
        }
    }

    /// Numbers anew, choices of the best point; whole numbers as delta has them. Empty where no candidate is within the
    /// limits.
    Point theta_step(const Surrogate& surrogate) {
        const Point& held = points_[best_];
        std::vector<Point> candidates;
        std::vector<double> found;
        for (int i = 0; i < anywhere + nearby; ++i) {
            Point candidate = held;
            for (std::size_t k = 0; k < size(); ++k)
                if (kind(k) != Kind::choice)
                    candidate[k] =
                        i < anywhere ? random_.uniform() : std::clamp(held[k] + near * random_.normal(), 0.0, 1.0);
            found.push_back(surrogate.expected_gain(candidate) - apart_from_whole(candidate, held));
            candidates.push_back(std::move(candidate));
        }
        // What a candidate costs is looked up for the most promising alone.
        Point relaxed;
        double most = -INFINITY;
        for (const std::size_t place : best_of(found, looked_up))
            if (const double merit = found[place] - beyond_limits(candidates[place]);
                merit > most && within(projected(candidates[place]))) {
                most = merit;
                relaxed = candidates[place];
            }
        return relaxed.empty() ? relaxed : delta_step(relaxed);
    }

    Point projected(Point point) const {
        for (std::size_t k = 0; k < size(); ++k) point[k] = settings_.space.projected(k, point[k]);
        return point;
    }

    /// Augmented terms of whole numbers, which are those of `held` while theta moves.
    double apart_from_whole(const Point& relaxed, const Point& held) const {
        double sum = 0;
        for (std::size_t k = 0; k < size(); ++k)
            if (kind(k) == Kind::whole) {
                const double apart = relaxed[k] - held[k];
                sum += lambda_[k] * apart + rho / 2 * apart * apart;
            }
        return sum;
    }

    /// Augmented terms of limits on costs that are known.
    double beyond_limits(const Point& point) const {
        double sum = 0;
        const Costs costs = settings_.costs(point);
        for (std::size_t i = 0; i < costs.size(); ++i)
            if (std::isfinite(settings_.limits[i]) && std::isfinite(costs[i])) {
                const double c = residual(i, costs);
                sum += mu_[i] * c + rho / 2 * c * c;
            }
        return sum;
    }

    /// c_i with the slack that minimises its terms.
    double residual(std::size_t limit, const Costs& costs) const {
        const double g = costs[limit] / settings_.limits[limit];
        return g - 1 + std::clamp(1 - g - mu_[limit] / rho, 0.0, 1.0);
    }

    Point delta_step(const Point& relaxed) {
        Point point = relaxed;
        for (std::size_t k = 0; k < size(); ++k) {
            if (kind(k) != Kind::whole) continue;
            point[k] = settings_.space.projected(k, relaxed[k] + lambda_[k] / rho);
            lambda_[k] += rho * (relaxed[k] - point[k]);
        }
        return within(point) ? point : projected(relaxed);
    }

    /// Choices anew, numbers of the best point.
    Point z_step(const Surrogate& surrogate) {
        Point best;
        double most = -INFINITY;
        for (int i = 0; i < thompson_draws; ++i) {
            Point candidate = points_[best_];
            for (std::size_t k = 0; k < size(); ++k)
                if (kind(k) == Kind::choice) candidate[k] = static_cast<double>(likely_choice(k));
            const bool seen =
                std::find(points_.begin(), points_.end(), candidate) != points_.end() ||
                std::any_of(tasks_.begin(), tasks_.end(), [&](const Task& task) { return task.point == candidate; });
            const double gain = surrogate.expected_gain(candidate);
            if (seen || !(gain > most) || !within(candidate)) continue;
            most = gain;
            best = std::move(candidate);
        }
        return best;
    }

    /// The choice with the largest draw of its law: Beta(1 + trainings above the median, 1 + those below).
    std::size_t likely_choice(std::size_t dimension) {
        std::vector<double> sorted = merits_;
        for (double& merit : sorted)
            if (std::isnan(merit)) merit = -INFINITY;
        std::sort(sorted.begin(), sorted.end());
        const double median = sorted[sorted.size() / 2];
        const std::size_t choices = settings_.space.dimensions()[dimension].choices.size();
        std::vector<int> above(choices, 1), below(choices, 1);
        for (std::size_t i = 0; i < points_.size(); ++i)
            ++(merits_[i] >= median ? above : below)[static_cast<std::size_t>(points_[i][dimension])];
        std::size_t best = 0;
        double most = -1;
        for (std::size_t choice = 0; choice < choices; ++choice)
            if (const double draw = beta(above[choice], below[choice]); draw > most) {
                most = draw;
                best = choice;
            }
        return best;
    }

    /// A draw of Beta(a, b) of whole a and b: sums of exponential draws are Gamma draws.
    double beta(int a, int b) {
        const auto gamma = [&](int count) {
            double sum = 0;
            for (int i = 0; i < count; ++i) sum -= std::log(1 - random_.uniform());
            return sum;
        };
        const double x = gamma(a), y = gamma(b);
        return x / (x + y);
    }

    void update_limit_duals() {
        const Costs& costs = outcomes_[best_].costs;
        for (std::size_t i = 0; i < costs.size(); ++i)
            if (std::isfinite(settings_.limits[i]) && std::isfinite(costs[i])) mu_[i] += rho * residual(i, costs);
    }

    SearchSettings settings_;
    Random random_;
    int left_, next_trial_;
    std::vector<Task> tasks_;  // of this round
    std::vector<Point> points_;
    std::vector<Outcome> outcomes_;
    std::vector<double> merits_;
    std::size_t best_ = 0;
    bool theta_turn_ = false;  // the first step after the design is theta's
    std::vector<double> lambda_;
    std::array<double, cost_names.size()> mu_{};
};

}  // namespace

std::unique_ptr<Search> make_admm_search(SearchSettings settings) {
    return std::make_unique<AdmmSearch>(std::move(settings));
}

}  // namespace pdadmm
