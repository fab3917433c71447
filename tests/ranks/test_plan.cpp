// The clock of planned ranks against schedules worked out by hand, and what their sums send (host/plan/).
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "host/plan/schedule.hpp"
#include "host/plan/sum_costs.hpp"

namespace pdadmm {
namespace {

TEST(Schedule, FreeMessagesLeaveTheSlowestRank) {
    const std::vector<RankStages> ranks{{1, 1, 1, 1}, {2, 3, 1, 1}, {1, 1, 1, 2}};
    const std::vector<BorderSeconds> free(2);
    EXPECT_NEAR(iteration_seconds(ranks, free), 7, 1e-9);
}

TEST(Schedule, MessagesHideUnderWorkAndLongerOnesWait) {
    const std::vector<RankStages> ranks(2, {2, 1, 2, 1});
    const auto with = [&](double p, double q) { return iteration_seconds(ranks, std::array{BorderSeconds{p, q}}); };
    EXPECT_NEAR(with(2, 2), 6, 1e-9);  // p under 2, q under 2
    EXPECT_NEAR(with(5, 4), 11, 1e-9);
    EXPECT_NEAR(with(5, 0), 9, 1e-9);
    EXPECT_NEAR(with(3, 3), 8, 1e-9);
}

TEST(Schedule, SumsTravelUnderTheOtherHalf) {
    const auto of = [](std::vector<SummedWork> parts, double link_free = 0) {
        return summed_seconds(parts, link_free);
    };
    EXPECT_NEAR(of({{2, 3, 1}}), 6, 1e-12);              // nothing hides them
    EXPECT_NEAR(of({{2, 2, 2}, {2, 2, 2}}), 8, 1e-12);   // the first under r p' of the second, that under G p
    EXPECT_NEAR(of({{2, 5, 1}, {2, 5, 1}}), 13, 1e-12);  // the link is the slowest
    EXPECT_NEAR(of({{2, 3, 1}}, 4), 8, 1e-12);           // p has the link until 4
    EXPECT_NEAR(of({{2, 0, 1}, {2, 0, 1}}, 9), 6, 1e-12);
}

TEST(Schedule, Pipeline) {
    const std::array work{6.0, 6.0};
    // Forward 1 each, back 2 each: forward ends at 3, back at 3 + 6.
    EXPECT_NEAR(pipeline_seconds(work, std::array{0.0, 0.0}, 2), 9, 1e-12);
    EXPECT_NEAR(pipeline_seconds(work, std::array{1.0, 0.0}, 2), 11, 1e-12);  // a message more in each direction
    EXPECT_NEAR(pipeline_seconds(std::array{12.0}, std::array{1.0}, 1), 12, 1e-12);
}

TEST(SumCosts, PowersOfTwoSendEveryCrossingEdgeForthAndBack) {
    const Machines machines{4, {1e-6, 1e9}, {1e-5, 1e8}};
    for (const SumSchedule schedule : {SumSchedule::waiting, SumSchedule::hidden, SumSchedule::by_machine})
        for (const int nodes : {1, 2, 4, 8, 16}) {
            const SumCosts costs({1, nodes}, 0, NodeRanges(20000), machines, schedule);
            EXPECT_NEAR(costs.sent(1000), 2.0 * (nodes - 1) * 1000, 1e-9);
        }
    // Two machines of four: between them an edge of the tree, or what each of eight has for the other four.
    EXPECT_NEAR(SumCosts({1, 8}, 0, NodeRanges(20000), machines, SumSchedule::by_machine).sent_between(1000), 2000,
                1e-9);
    for (const SumSchedule schedule : {SumSchedule::waiting, SumSchedule::hidden})
        EXPECT_NEAR(SumCosts({1, 8}, 0, NodeRanges(20000), machines, schedule).sent_between(1000), 8000, 1e-9);
}

}  // namespace
}  // namespace pdadmm
