// Search by splitting (host/tune/admm_search.hpp).
#include "host/tune/admm_search.hpp"

#include <algorithm>
#include <cmath>

#include "host/tune/brackets.hpp"
#include "host/tune/surrogate.hpp"

namespace pdadmm {
namespace {

constexpr double rho = 1;
// Candidates of a theta step: numbers of good points mixed anew, as a Parzen estimator does it, and those near the
// point at hand. Draws from the whole cube would nearly all be at its ends, where a surrogate knows least.
constexpr int mixed = 400, nearby = 200;
constexpr double wide = 0.2, near = 0.1;  // standard deviations
constexpr double anywhere = 0.3;          // share of a mixed candidate's numbers that are drawn from their whole range
constexpr int most_starts = 3;            // points that a round starts from
constexpr std::size_t looked_up = 20;     // candidates whose costs are
constexpr int thompson_draws = 60;        // candidates of a z step
constexpr int most_turns = 4;

class AdmmSearch final : public Search {
public:
    explicit AdmmSearch(SearchSettings settings)
        : settings_(std::move(settings)),
          random_(settings_.seed),
          left_(static_cast<int>(settings_.trainings)),
          next_trial_(settings_.first_trial),
          limited_(std::any_of(settings_.limits.begin(), settings_.limits.end(),
                               [](double limit) { return std::isfinite(limit); })) {}

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
        const std::vector<std::size_t> good = best_of(merits_, std::max<std::size_t>(3, points_.size() / 4));
        std::vector<Point> candidates{held};
        for (int i = 0; i < mixed + nearby; ++i) {
            Point candidate = held;
            for (std::size_t k = 0; k < size(); ++k) {
                if (kind(k) == Kind::choice) continue;
                const Point& from = i < mixed ? points_[good[random_.below(good.size())]] : held;
                candidate[k] = i < mixed && random_.uniform() < anywhere ? random_.uniform()
                                                                         : beside(from[k], i < mixed ? wide : near);
            }
            candidates.push_back(std::move(candidate));
        }
        std::vector<double> found;
        for (const Point& candidate : candidates)
            found.push_back(surrogate.expected_gain(candidate) - apart_from_whole(candidate, held, lambda));
        std::size_t best = 0;
        double most = -INFINITY;
        for (const std::size_t place : best_of(found, looked_up))
            if (const double merit = found[place] - beyond_limits(candidates[place]); merit > most) {
                most = merit;
                best = place;
            }
        return candidates[best];
    }

    /// A draw around a coordinate, reflected at the ends of the range, so that they are no likelier than the rest.
    double beside(double coordinate, double deviation) {
        const double draw = std::abs(coordinate + deviation * random_.normal());
        return std::clamp(draw > 1 ? 2 - draw : draw, 0.0, 1.0);
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
        double most = surrogate.expected_gain(held) - beyond_limits(held);
        for (int i = 0; i < thompson_draws; ++i) {
            Point candidate = held;
            if (i % 2 == 0)
                draw_choices(candidate);
            else
                change_a_choice(candidate);
            const double gain = surrogate.expected_gain(candidate);
            if (!(gain > most) || !(gain - beyond_limits(candidate) > most)) continue;
            most = gain - beyond_limits(candidate);
            best = std::move(candidate);
        }
        return best;
    }

    bool same_choices(const Point& a, const Point& b) const {
        for (std::size_t k = 0; k < size(); ++k)
            if (kind(k) == Kind::choice && a[k] != b[k]) return false;
        return true;
    }

    void draw_choices(Point& point) {
        for (std::size_t k = 0; k < size(); ++k)
            if (kind(k) == Kind::choice) point[k] = static_cast<double>(likely_choice(k));
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
    bool limited_;
    std::array<double, cost_names.size()> mu_{};
};

}  // namespace

std::unique_ptr<Search> make_admm_search(SearchSettings settings) {
    return std::make_unique<AdmmSearch>(std::move(settings));
}

}  // namespace pdadmm
