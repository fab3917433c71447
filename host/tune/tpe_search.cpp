// Search by Optuna (host/tune/tpe_search.hpp).
#include "host/tune/tpe_search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

using Json = nlohmann::json;

constexpr int spare = 4;  // settings asked for each that is wanted: some are beyond a limit

class TpeSearch final : public Search {
public:
    TpeSearch(SearchSettings settings, Oracle oracle)
        : settings_(std::move(settings)),
          oracle_(std::move(oracle)),
          random_(settings_.seed),
          left_(static_cast<int>(settings_.trainings)),
          next_trial_(settings_.first_trial) {}

    std::vector<Task> ask() override {
        tasks_.clear();
        const int count = std::min(left_, settings_.round);
        if (count == 0) return {};
        for (Point& point : proposals(spare * count)) {
            if (static_cast<int>(tasks_.size()) == count) break;
            if (excess(settings_.costs(point), settings_.limits) <= 0) propose(std::move(point));
        }
        while (static_cast<int>(tasks_.size()) < count) propose(admissible_point(settings_, random_));
        left_ -= count;
        ++round_;
        return tasks_;
    }

    void tell(const std::vector<Outcome>& outcomes) override {
        const std::vector<double> found = merits(outcomes, settings_.limits);
        for (std::size_t i = 0; i < found.size(); ++i)
            if (!std::isnan(found[i])) told_.push_back({{"params", params_of(tasks_[i].point)}, {"value", found[i]}});
    }

private:
    void propose(Point point) { tasks_.push_back({next_trial_++, std::move(point), 1, 0}); }

    Json params_of(const Point& point) const {
        Json params = Json::object();
        for (std::size_t i = 0; i < settings_.space.size(); ++i) {
            const Dimension& d = settings_.space.dimensions()[i];
            if (d.kind == Dimension::Kind::choice)
                params[d.name] = d.choices[static_cast<std::size_t>(point[i])];
            else
                params[d.name] = settings_.space.value(i, point[i]);
        }
        return params;
    }

    Json space() const {
        Json list = Json::array();
        for (const Dimension& d : settings_.space.dimensions())
            list.push_back({{"name", d.name},
                            {"low", d.low},
                            {"high", d.high},
                            {"log", d.logarithmic},
                            {"whole", d.kind == Dimension::Kind::whole},
                            {"choices", d.choices}});
        return list;
    }

    std::vector<Point> proposals(int count) const try {
        const Json request{
            {"seed", settings_.seed + 1000003 * round_}, {"count", count}, {"space", space()}, {"trials", told_}};
        std::vector<Point> points;
        for (const Json& params : Json::parse(oracle_(request.dump()))) {
            Point point;
            for (std::size_t i = 0; i < settings_.space.size(); ++i) point.push_back(coordinate(i, params));
            points.push_back(std::move(point));
        }
        return points;
    } catch (const Json::exception& error) {
        throw DeviceError(fmt::format("optuna: {}, expected settings; use another --method", error.what()));
    }

    double coordinate(std::size_t i, const Json& params) const {
        const Dimension& d = settings_.space.dimensions()[i];
        const Json& value = params.at(d.name);
        if (d.kind != Dimension::Kind::choice) return settings_.space.coordinate(i, value.get<double>());
        const auto found = std::find(d.choices.begin(), d.choices.end(), value.get<std::string>());
        return static_cast<double>(std::min<std::ptrdiff_t>(found - d.choices.begin(), std::ssize(d.choices) - 1));
    }

    SearchSettings settings_;
    Oracle oracle_;
    Random random_;
    int left_, next_trial_;
    std::uint64_t round_ = 0;
    std::vector<Task> tasks_;  // of this round
    Json told_ = Json::array();
};

}  // namespace

std::unique_ptr<Search> make_tpe_search(SearchSettings settings, Oracle oracle) {
    return std::make_unique<TpeSearch>(std::move(settings), std::move(oracle));
}

}  // namespace pdadmm
