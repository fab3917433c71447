// Search by splitting (host/tune/admm_search.hpp).
#include "host/tune/admm_search.hpp"

#include <algorithm>
#include <cmath>

#include "host/tune/brackets.hpp"
#include "host/tune/surrogate.hpp"

namespace pdadmm {
namespace {

constexpr double rho = 1;
constexpr int drawn = 60, nearby = 40;  // candidates of a theta step: by the good points, and near the one at hand
constexpr double design_share = 1.0 / 3, rounding = 1e-9;
constexpr double near = 0.1;           // standard deviation of those
constexpr std::size_t looked_up = 20;  // candidates whose costs are
constexpr int thompson_draws = 60;     // candidates of a z step
constexpr int most_turns = 4;
constexpr int most_starts = 3;  // points that a round starts from

class AdmmSearch final : public Search {
public:
    explicit AdmmSearch(SearchSettings settings)
        : settings_(std::move(settings)),
          random_(settings_.seed),
          left_(settings_.trainings),
          next_trial_(settings_.first_trial),
          limited_(std::any_of(settings_.limits.begin(), settings_.limits.end(),
                               [](double limit) { return std::isfinite(limit); })) {}

    std::vector<Task> ask() override {
        tasks_.clear();
        if (points_.empty())
            propose_design(std::min(left_, std::max<double>(settings_.round, left_ / 3)));
        else if (!design_done_)
            finish_design();
        else
            propose_step(std::min(static_cast<int>(left_ + rounding), settings_.round));
        for (const Task& task : tasks_) left_ -= task.share - (unfinished(task.trial) ? design_share : 0);
        return tasks_;
    }

    void tell(const std::vector<Outcome>& outcomes) override {
        for (std::size_t i = 0; i < outcomes.size(); ++i) {
            const auto place = static_cast<std::size_t>(tasks_[i].trial - settings_.first_trial);
            if (place == points_.size()) {
                points_.push_back(tasks_[i].point);
                outcomes_.emplace_back();
            }
            outcomes_[place] = outcomes[i];
        }
        merits_ = merits(outcomes_, settings_.limits);
        update_limit_duals(outcomes_[best_of(merits_, 1).front()].costs);
    }

private:
    using Kind = Dimension::Kind;

    Kind kind(std::size_t dimension) const { return settings_.space.dimensions()[dimension].kind; }
    std::size_t size() const { return settings_.space.size(); }
    bool within(const Point& point) const { return excess(settings_.costs(point), settings_.limits) <= 0; }

    void propose(Point point, double share = 1) { tasks_.push_back({next_trial_++, std::move(point), share, 0}); }
    /// A trial of the design that may go on.
    bool unfinished(int trial) const { return trial - settings_.first_trial < static_cast<int>(points_.size()); }

    /// Before there is anything to learn from, `trainings` are spent on as many points as they suffice for: each a
    /// third of its epochs, and the best third of them the rest.
    void propose_design(double trainings) {
        const double each = design_share + design_share * (1 - design_share);
        const int count = trainings < 2 ? static_cast<int>(trainings) : static_cast<int>(trainings / each);
        const double share = trainings < 2 ? 1 : design_share;
        design_done_ = share == 1;
        if (count > 0 && settings_.start && within(*settings_.start)) propose(*settings_.start, share);
        while (static_cast<int>(tasks_.size()) < count) propose(admissible_point(settings_, random_), share);
    }

    void finish_design() {
        design_done_ = true;
        for (const std::size_t place :
             best_of(merits_, static_cast<std::size_t>(design_share * static_cast<double>(points_.size()))))
            tasks_.push_back({settings_.first_trial + static_cast<int>(place), points_[place], 1, 0});
    }

    /// Each proposal from the best point of other choices than those before it, as far as there are any.
    void propose_step(int count) {
        Surrogate surrogate(settings_.space, points_, merits_);
        std::vector<double> left;
        for (int i = 0; i < count; ++i) {
            if (i % most_starts == 0) left = merits_;
            const std::size_t from = best_of(left, 1).front();
            for (std::size_t k = 0; k < left.size(); ++k)
                if (same_choices(points_[k], points_[from])) left[k] = NAN;
            Point point = split(surrogate, points_[from]);
            if (seen(point) || !within(point)) point = admissible_point(settings_, random_);
            surrogate.believe(point);
            propose(std::move(point));
        }
    }

    /// Turns of the subproblems on the surrogate, until they change nothing.
    Point split(const Surrogate& surrogate, Point point) {
        std::vector<double> lambda(size());
        for (int turn = 0; turn < most_turns; ++turn) {
            const Point before = point;
            point = delta_step(theta_step(surrogate, point, lambda), lambda);
            point = z_step(surrogate, point);
            if (point == before) break;
        }
        return point;
    }

    /// Numbers anew, choices as they are. What a candidate costs is looked up for the most promising alone.
    Point theta_step(const Surrogate& surrogate, const Point& held, const std::vector<double>& lambda) {
        std::vector<Point> candidates{held};
        for (int i = 0; i < drawn + nearby; ++i) {
            Point candidate = held;
            for (std::size_t k = 0; k < size(); ++k)
                if (kind(k) != Kind::choice)
                    candidate[k] = i < drawn ? surrogate.draw(k, random_)
                                             : std::clamp(held[k] + near * random_.normal(), 0.0, 1.0);
            candidates.push_back(std::move(candidate));
        }
        std::vector<double> found;
        for (const Point& candidate : candidates)
            found.push_back(surrogate.gain(candidate) - apart_from_whole(candidate, held, lambda));
        std::size_t best = 0;
        double most = -INFINITY;
        for (const std::size_t place : best_of(found, looked_up))
            if (const double merit = found[place] - beyond_limits(candidates[place]); merit > most) {
                most = merit;
                best = place;
            }
        return candidates[best];
    }

    /// Augmented terms of whole numbers, which are those of `held` while theta moves.
    double apart_from_whole(const Point& relaxed, const Point& held, const std::vector<double>& lambda) const {
        double sum = 0;
        for (std::size_t k = 0; k < size(); ++k)
            if (kind(k) == Kind::whole) {
                const double apart = relaxed[k] - held[k];
                sum += lambda[k] * apart + rho / 2 * apart * apart;
            }
        return sum;
    }

    /// Augmented terms of limits on costs that are known.
    double beyond_limits(const Point& point) const {
        if (!limited_) return 0;
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

    Point delta_step(Point point, std::vector<double>& lambda) const {
        for (std::size_t k = 0; k < size(); ++k) {
            if (kind(k) != Kind::whole) continue;
            const double relaxed = point[k];
            point[k] = settings_.space.projected(k, relaxed + lambda[k] / rho);
            lambda[k] += rho * (relaxed - point[k]);
        }
        return point;
    }

    /// Choices anew, numbers as they are: draws by what was good so far, and single changes, so that none is forgotten.
    Point z_step(const Surrogate& surrogate, const Point& held) {
        Point best = held;
        double most = surrogate.gain(held) - beyond_limits(held);
        for (int i = 0; i < thompson_draws; ++i) {
            Point candidate = held;
            if (i % 2 == 0)
                draw_choices(surrogate, candidate);
            else
                change_a_choice(candidate);
            const double gain = surrogate.gain(candidate);
            if (!(gain > most)) continue;  // its costs are not looked up
            if (const double merit = gain - beyond_limits(candidate); merit > most) {
                most = merit;
                best = std::move(candidate);
            }
        }
        return best;
    }

    bool same_choices(const Point& a, const Point& b) const {
        for (std::size_t k = 0; k < size(); ++k)
            if (kind(k) == Kind::choice && a[k] != b[k]) return false;
        return true;
    }

    void draw_choices(const Surrogate& surrogate, Point& point) {
        for (std::size_t k = 0; k < size(); ++k)
            if (kind(k) == Kind::choice) point[k] = static_cast<double>(likely_choice(surrogate, k));
    }

    void change_a_choice(Point& point) {
        const std::size_t k = random_.below(size());
        if (kind(k) == Kind::choice)
            point[k] = static_cast<double>(random_.below(settings_.space.dimensions()[k].choices.size()));
    }

    bool seen(const Point& point) const {
        return std::find(points_.begin(), points_.end(), point) != points_.end() ||
               std::any_of(tasks_.begin(), tasks_.end(), [&](const Task& task) { return task.point == point; });
    }

    /// The choice with the largest draw of its law: Beta(1 + good points that have it, 1 + others that do).
    std::size_t likely_choice(const Surrogate& surrogate, std::size_t dimension) {
        const std::size_t choices = settings_.space.dimensions()[dimension].choices.size();
        const auto counted = [&](const std::vector<Point>& points) {
            std::vector<int> counts(choices, 1);
            for (const Point& point : points) ++counts[static_cast<std::size_t>(point[dimension])];
            return counts;
        };
        const std::vector<int> above = counted(surrogate.good()), below = counted(surrogate.others());
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

    void update_limit_duals(const Costs& costs) {
        for (std::size_t i = 0; i < costs.size(); ++i)
            if (std::isfinite(settings_.limits[i]) && std::isfinite(costs[i])) mu_[i] += rho * residual(i, costs);
    }

    SearchSettings settings_;
    Random random_;
    double left_;  // trainings
    int next_trial_;
    bool design_done_ = false;
    std::vector<Task> tasks_;  // of this round
    std::vector<Point> points_;
    std::vector<Outcome> outcomes_;
    std::vector<double> merits_;
    bool limited_;
    std::array<double, cost_names.size()> mu_{};
};

}  // namespace

std::unique_ptr<Search> make_admm_search(SearchSettings settings) {
    return std::make_unique<AdmmSearch>(std::move(settings));
}

}  // namespace pdadmm
