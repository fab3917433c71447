// Searches (host/tune/): spaces hold what they say, brackets cost what they may, limits are kept, and every method
// gives the same proposals twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "host/cli/shared_features.hpp"
#include "host/tune/brackets.hpp"
#include "host/tune/search.hpp"
#include "host/tune/surrogate.hpp"
#include "host/tune/tpe_search.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

using testing::ElementsAre;
using Kind = Dimension::Kind;

constexpr double any = std::numeric_limits<double>::infinity();
constexpr Limits no_limits{any, any, any, any, any};

Space small_space() {
    return Space({{"rho", Kind::number, 1e-4, 10, true, {}},
                  {"hops", Kind::whole, 1, 16, true, {}},
                  {"dropout", Kind::number, 0, 0.8, false, {}},
                  {"norm", Kind::choice, 0, 1, false, {"none", "row", "l2"}}});
}

double number_of(const Settings& settings, const std::string& name) {
    for (const auto& [key, value] : settings)
        if (key == name) return std::stod(value);
    return NAN;
}

TEST(Spaces, DrawsFillTheirRanges) {
    const Space space = small_space();
    Random random(1);
    std::set<std::string> hops, norms;
    int below = 0;
    constexpr int draws = 4000;
    for (int i = 0; i < draws; ++i) {
        const Settings s = space.settings(space.draw(random));
        const double rho = number_of(s, "rho");
        EXPECT_TRUE(rho >= 1e-4 && rho <= 10) << rho;
        below += rho < std::sqrt(1e-4 * 10);
        hops.insert(s[1].second);
        norms.insert(s[3].second);
    }
    EXPECT_NEAR(below, draws / 2, 5 * std::sqrt(draws / 4.0));  // half of a logarithmic range is below its middle
    EXPECT_EQ(hops.size(), 16u);
    EXPECT_THAT(norms, ElementsAre("l2", "none", "row"));
}

TEST(Spaces, EndsAndWholeNumbers) {
    const Space space = small_space();
    EXPECT_EQ(space.settings({0, 0, 0, 0}),
              (Settings{{"rho", "0.0001"}, {"hops", "1"}, {"dropout", "0"}, {"norm", "none"}}));
    EXPECT_EQ(space.settings({1, 1, 1, 2}),
              (Settings{{"rho", "10"}, {"hops", "16"}, {"dropout", "0.8"}, {"norm", "l2"}}));
    for (const double c : {0.0, 0.1, 0.37, 0.5, 0.83, 1.0}) {
        const double on_grid = space.projected(1, c);
        EXPECT_NEAR(space.projected(1, on_grid), on_grid, 1e-12);
        EXPECT_EQ(space.value(1, on_grid), space.value(1, c));
    }
    EXPECT_EQ(space.value(1, 0.5), 4);  // of 1 to 16
}

TEST(Spaces, RefusesWhatHoldsNothing) {
    EXPECT_THROW(Space({{"rho", Kind::number, 1, 0.1, false, {}}}), UsageError);
    EXPECT_THROW(Space({{"rho", Kind::number, 0, 1, true, {}}}), UsageError);
    EXPECT_THROW(Space({{"norm", Kind::choice, 0, 1, false, {}}}), UsageError);
    EXPECT_THROW(Space({{"a", Kind::number, 0, 1, false, {}}, {"a", Kind::number, 0, 1, false, {}}}), UsageError);
}

TEST(Brackets, OfHyperband) {
    const auto plan = plan_brackets(100, 3, 2);
    ASSERT_GE(plan.size(), 3u);
    const auto trials = [](const Bracket& b) {
        std::vector<int> found;
        for (const Rung& rung : b) found.push_back(rung.trials);
        return found;
    };
    EXPECT_THAT(trials(plan[0]), ElementsAre(9, 3, 1));
    EXPECT_THAT(trials(plan[1]), ElementsAre(5, 1));
    EXPECT_THAT(trials(plan[2]), ElementsAre(3));
    EXPECT_DOUBLE_EQ(plan[0][0].share, 1.0 / 9);
    EXPECT_DOUBLE_EQ(cost_of(plan[0]), 9.0 / 9 + 3 * 2.0 / 9 + 2.0 / 3);
}

TEST(Brackets, CostNearlyAllAndNeverMore) {
    for (int trainings = 1; trainings < 60; ++trainings) {
        double cost = 0;
        for (const Bracket& bracket : plan_brackets(trainings, 3, 2)) {
            cost += cost_of(bracket);
            EXPECT_EQ(bracket.back().share, 1);
            EXPECT_GE(bracket.back().trials, 1);
        }
        EXPECT_LE(cost, trainings + 1e-9);
        EXPECT_GT(cost, trainings - 1);
    }
}

TEST(Brackets, TheBestGoOn) {
    EXPECT_THAT(best_of(std::vector<double>{0.5, NAN, 0.7, 0.5, 0.9}, 3), ElementsAre(0, 2, 4));
    EXPECT_THAT(best_of(std::vector<double>{NAN, 0.1}, 5), ElementsAre(0, 1));
}

TEST(Limited, Excess) {
    EXPECT_LE(excess({9, 9, 9, 9, 9}, no_limits), 0);
    EXPECT_DOUBLE_EQ(excess({1, 30, 5, 1, 1}, {any, 20, 10, any, any}), 0.5);
    EXPECT_DOUBLE_EQ(excess({1, 30, 5, 1, 8e9}, {any, 20, 10, any, 2e9}), 3);
    EXPECT_LE(excess({NAN, 20, 10, NAN, 7}, {1, 20, 10, 1, 7}), 0);  // not known, and at the limit
    EXPECT_GT(excess({NAN, any, any, any, any}, no_limits), 1e300);
    EXPECT_EQ(excess_text({1, 30, 5, 1, 8e9}, {any, 20, 10, any, 2e9}), "flops: 8e+09, expected at most 2e+09");
    const Limits a_second{1, any, any, any, any};
    const std::vector<Outcome> outcomes{{0.9, {2}}, {0.1, {1}}, {NAN, {}}, {0.95, {8}}};
    EXPECT_THAT(best_of(merits(outcomes, a_second), 2), ElementsAre(0, 1));
    EXPECT_THAT(best_of(merits(outcomes, a_second), 1), ElementsAre(1));
}

/// A training that can be looked up: best at rho 0.1, with norm l2, and the more so the more of it was done.
double figure_at(const Space& space, const Task& task) {
    const double rho = std::log10(space.value(0, task.point[0])) + 1;
    return (0.9 - 0.1 * rho * rho - (task.point[3] == 2 ? 0 : 0.1)) * (0.5 + 0.5 * task.share);
}

SearchSettings settings_of(int trainings, const Limits& limits = no_limits) {
    const Space space = small_space();
    return {space, 7, 1, static_cast<double>(trainings), 5, limits, [space](const Point& p) {
                return Costs{NAN, space.value(1, p[1]), 0, 0, 1e9 * space.value(1, p[1])};
            }};
}

struct Log {
    std::vector<Task> tasks;
    double best = -1, trainings = 0;
};

/// An oracle that knows nothing: settings of the middle and of the ends of ranges in turn.
std::string answer(const std::string& request) {
    const nlohmann::json asked = nlohmann::json::parse(request);
    nlohmann::json list = nlohmann::json::array();
    for (int i = 0; i < asked.at("count"); ++i) {
        nlohmann::json params;
        for (const auto& d : asked.at("space")) {
            const double low = d.at("low"), high = d.at("high"), share = 0.5 * (i % 3);
            if (!d.at("choices").empty())
                params[d.at("name")] = d.at("choices")[static_cast<std::size_t>(i) % d.at("choices").size()];
            else
                params[d.at("name")] = low + share * (high - low);
        }
        list.push_back(params);
    }
    return list.dump();
}

std::unique_ptr<Search> made(const std::string& method, const SearchSettings& settings) {
    return method == "tpe" ? make_tpe_search(settings, answer) : make_search(method, settings);
}

Log searched(const std::string& method, const SearchSettings& settings) {
    const auto search = made(method, settings);
    Log log;
    std::map<int, double> shares;
    for (std::vector<Task> tasks; !(tasks = search->ask()).empty();) {
        std::vector<Outcome> outcomes;
        for (const Task& task : tasks) {
            outcomes.push_back({figure_at(settings.space, task), settings.costs(task.point)});
            log.trainings += task.share - shares[task.trial];
            shares[task.trial] = task.share;
            if (task.share == 1) log.best = std::max(log.best, outcomes.back().figure);
            log.tasks.push_back(task);
        }
        search->tell(outcomes);
    }
    return log;
}

class Methods : public testing::TestWithParam<const char*> {};

TEST_P(Methods, SpendWhatTheyMayAndSaySameTwice) {
    const SearchSettings settings = settings_of(20);
    const Log log = searched(GetParam(), settings), again = searched(GetParam(), settings);
    EXPECT_LE(log.trainings, 20 + 1e-9);
    EXPECT_GT(log.trainings, 19);
    ASSERT_EQ(log.tasks.size(), again.tasks.size());
    std::map<int, Point> points;
    for (std::size_t i = 0; i < log.tasks.size(); ++i) {
        const Task &one = log.tasks[i], &other = again.tasks[i];
        EXPECT_TRUE(one.trial == other.trial && one.point == other.point && one.share == other.share);
        EXPECT_GE(one.trial, 1);
        EXPECT_EQ(points.emplace(one.trial, one.point).first->second, one.point);  // a trial keeps its settings
    }
    if (GetParam() != std::string("tpe")) {
        EXPECT_GT(log.best, 0.75);
    }
}

TEST_P(Methods, StayWithinLimitsThatAreKnown) {
    for (const Limits& limits : {Limits{any, 3, any, any, any}, Limits{any, any, any, any, 3e9}})
        for (const Task& task : searched(GetParam(), settings_of(20, limits)).tasks)
            EXPECT_LE(small_space().value(1, task.point[1]), 3);
    EXPECT_THROW(searched(GetParam(), settings_of(20, {any, 0.5, any, any, any})), UsageError);
}

INSTANTIATE_TEST_SUITE_P(All, Methods, testing::Values("random", "halving", "admm", "tpe"),
                         [](const auto& method) { return std::string(method.param); });

TEST(Halvings, TheBestOfARungGoOn) {
    const SearchSettings settings = settings_of(20);
    const auto search = make_search("halving", settings);
    const std::vector<Task> first = search->ask();
    ASSERT_EQ(first.size(), 9u);
    std::vector<Outcome> outcomes(9, Outcome{0.1, {}});
    outcomes[8].figure = 0.3, outcomes[4].figure = 0.4, outcomes[2].figure = 0.2, outcomes[0].figure = NAN;
    search->tell(outcomes);
    std::vector<int> trials;
    for (const Task& task : search->ask()) trials.push_back(task.trial);
    EXPECT_THAT(trials, ElementsAre(first[2].trial, first[4].trial, first[8].trial));
}

TEST(Halvings, ABracketWithoutSurvivorsIsOver) {
    const auto search = make_search("halving", settings_of(20));
    const auto first = search->ask();
    search->tell(std::vector<Outcome>(first.size(), Outcome{NAN, {}}));
    const auto next = search->ask();
    ASSERT_EQ(next.size(), 5u);
    EXPECT_DOUBLE_EQ(next[0].share, 1.0 / 3);
}

TEST(Features, AreMadeOnceAndLetGoWhereTheyAreTooLarge) {
    int made = 0;
    SharedFeatures features(3 * 100 * sizeof(real));
    const auto get = [&](const std::string& key) {
        return features.get(key, [&] {
            ++made;
            AugmentedNodes nodes;
            nodes.X.resize(100);
            return nodes;
        });
    };
    const SharedFeatures::Nodes held = get("a");
    EXPECT_EQ(get("a"), held);
    for (const char* key : {"b", "c"}) get(key);
    get("b");
    EXPECT_EQ(made, 3);
    get("d");  // c is the longest unused of those that nobody holds
    for (const char* key : {"a", "b", "d"}) get(key);
    EXPECT_EQ(made, 4);
    get("c");
    EXPECT_EQ(made, 5);
}

TEST(Surrogates, KnowWhatTheySaw) {
    const Space space = small_space();
    Random random(3);
    std::vector<Point> points;
    std::vector<double> values;
    for (int i = 0; i < 40; ++i) {
        points.push_back(space.draw(random));
        values.push_back(figure_at(space, {0, points.back(), 1, 0}));
    }
    values[0] = NAN;  // failed: the worst
    Surrogate surrogate(space, points, values);
    Point good{space.coordinate(0, 0.1), 0.5, 0.5, 2}, bad{space.coordinate(0, 10), 0.5, 0.5, 0};
    EXPECT_EQ(surrogate.good().size(), 6u);
    EXPECT_GT(surrogate.gain(good), surrogate.gain(bad) + 1);
    const double before = surrogate.gain(good);
    surrogate.believe(good);
    EXPECT_LT(surrogate.gain(good), before);
    double sum = 0;
    for (int i = 0; i < 1000; ++i) {
        const double drawn = surrogate.draw(0, random);
        EXPECT_TRUE(drawn >= 0 && drawn <= 1) << drawn;
        sum += drawn / 1000;
    }
    EXPECT_NEAR(sum, good[0], 0.1);
}

TEST(Admm, FindsMoreThanRandomTrials) {
    double missed = 0, missed_by_random = 0;  // of the best that there is
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
        SearchSettings settings = settings_of(20);
        settings.seed = seed;
        missed += 0.9 - searched("admm", settings).best;
        missed_by_random += 0.9 - searched("random", settings).best;
    }
    EXPECT_LT(missed, missed_by_random / 4) << missed << " and " << missed_by_random;
}

TEST(Admm, BeginsWhereItIsToldAndLearnsALimit) {
    SearchSettings settings = settings_of(40, {2, any, any, any, any});
    settings.start = Point{0.5, 0.5, 0.5, 1};
    const auto search = make_search("admm", settings);
    std::vector<Task> tasks = search->ask();
    EXPECT_EQ(tasks.front().point, *settings.start);
    EXPECT_LT(tasks.front().share, 1);  // many begin, the best go on
    std::vector<bool> beyond;
    for (; !tasks.empty(); tasks = search->ask()) {  // seconds, which nothing tells before
        std::vector<Outcome> outcomes;
        for (const Task& task : tasks) {
            const double seconds = 5 * settings.space.value(2, task.point[2]);
            outcomes.push_back({figure_at(settings.space, task), {seconds}});
            beyond.push_back(seconds > 2);
        }
        search->tell(outcomes);
    }
    EXPECT_LE(std::count(beyond.end() - 15, beyond.end(), true), 5);  // half of the space is
}

TEST(Tpe, TellsWhatItKnowsAndRefusesNonsense) {
    std::vector<nlohmann::json> requests;
    const SearchSettings settings = settings_of(11, {any, 10, any, any, any});
    const auto search = make_tpe_search(settings, [&](const std::string& request) {
        requests.push_back(nlohmann::json::parse(request));
        return answer(request);
    });
    for (std::vector<Task> tasks; !(tasks = search->ask()).empty();) {
        std::vector<Outcome> outcomes(tasks.size(), Outcome{0.5, {}});
        outcomes.front().figure = NAN;
        search->tell(outcomes);
    }
    ASSERT_EQ(requests.size(), 3u);
    EXPECT_EQ(requests[0]["trials"].size(), 0u);
    EXPECT_EQ(requests[2]["trials"].size(), 8u);  // two of ten failed
    EXPECT_NE(requests[1]["seed"], requests[2]["seed"]);
    EXPECT_EQ(requests[2]["trials"][0]["params"].size(), 4u);
    const auto broken = make_tpe_search(settings, [](const std::string&) { return "[{}]"; });
    EXPECT_THROW(broken->ask(), DeviceError);
}

}  // namespace
}  // namespace pdadmm
