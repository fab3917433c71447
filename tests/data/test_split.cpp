// Splits: the published one is drawn node for node, random ones are disjoint and follow the seed, unlabelled nodes are
// never drawn, and what cannot be done is said.
#include "host/data/split.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "host/data/dataset_reader.hpp"
#include "host/data/sbm.hpp"
#include "pdadmm/error.hpp"

using namespace pdadmm;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

/// Labels only: node i has class i % classes, every tenth node none.
Dataset labelled(Index nodes, Index classes) {
    Dataset d;
    d.name = "made";
    d.nodes = nodes;
    d.classes = classes;
    for (Index i = 0; i < nodes; ++i) d.labels.push_back(i % 10 == 9 ? -1 : static_cast<std::int32_t>(i % classes));
    return d;
}

void expect_sound(const Dataset& d, const Split& s) {
    std::set<std::int32_t> seen;
    for (const auto* part : {&s.train, &s.val, &s.test})
        for (const std::int32_t node : *part) {
            EXPECT_TRUE(seen.insert(node).second) << node << " twice";
            ASSERT_TRUE(node >= 0 && node < d.nodes);
            EXPECT_GE(d.labels[node], 0) << node << " has no label";
        }
}

std::vector<Index> train_per_class(const Dataset& d, const Split& s) {
    std::vector<Index> count(d.classes, 0);
    for (const std::int32_t node : s.train) ++count[d.labels[node]];
    return count;
}

template <typename E = UsageError>
std::string refusal(const Dataset& d, const std::string& spec) {
    try {
        make_split(d, spec, 0);
    } catch (const E& error) {
        return error.what();
    }
    return "";
}

TEST(Split, PaperTakesTwentyPerClassAndIgnoresTheSeed) {
    const Dataset d = labelled(5000, 7);
    const Split s = make_split(d, "paper", 1), t = make_split(d, "paper", 2);
    expect_sound(d, s);
    EXPECT_EQ(s.name, "paper");
    EXPECT_THAT(train_per_class(d, s), testing::Each(20));
    EXPECT_EQ(s.val.size(), 1000u);
    EXPECT_EQ(s.test.size(), 1000u);
    EXPECT_EQ(s.train, t.train);
    EXPECT_EQ(s.val, t.val);
    EXPECT_EQ(s.test, t.test);
}

TEST(Split, RandomFollowsItsSeed) {
    const Dataset d = labelled(1000, 3);
    const Split s = make_split(d, "random:20/100/200", 5);
    expect_sound(d, s);
    EXPECT_EQ(s.name, "random:20/100/200");
    EXPECT_THAT(train_per_class(d, s), testing::Each(20));
    EXPECT_EQ(s.val.size(), 100u);
    EXPECT_EQ(s.test.size(), 200u);
    EXPECT_EQ(make_split(d, "random:20/100/200", 5).train, s.train);
    EXPECT_NE(make_split(d, "random:20/100/200", 6).train, s.train);
    EXPECT_NE(make_split(d, "random:20/100/200", 6).test, s.test);
    const Split rest = make_split(d, "random:20/100/rest", 5);
    expect_sound(d, rest);
    EXPECT_EQ(rest.test.size(), 900u - 60 - 100);
    EXPECT_TRUE(make_split(d, "random:20/0/0", 5).test.empty());
}

TEST(Split, SharesAreOfTheLabelledNodes) {
    const Dataset d = labelled(1000, 3);  // 900 have a label
    const Split s = make_split(d, "random:60%/20%/20%", 5);
    expect_sound(d, s);
    EXPECT_EQ(s.name, "random:60%/20%/20%");
    EXPECT_THAT((std::vector{s.train.size(), s.val.size(), s.test.size()}), ElementsAre(540, 180, 180));
    EXPECT_EQ(make_split(d, "random:60%/20%/20%", 5).test, s.test);
    EXPECT_NE(make_split(d, "random:60%/20%/20%", 6).test, s.test);
    EXPECT_EQ(make_split(d, "random:60%/20%/rest", 5).test, s.test);
    const Split part = make_split(d, "random:50%/0%/12.5%", 5);
    expect_sound(d, part);
    EXPECT_THAT((std::vector{part.train.size(), part.val.size(), part.test.size()}), ElementsAre(450, 0, 112));
}

TEST(Split, SharesOfAllLeaveNoNodeOver) {
    for (const Index nodes : {11, 100, 997, 1001})
        for (const char* spec : {"random:60%/20%/20%", "random:33.3%/33.3%/33.4%", "random:14.2857%/14.2857%/71.4286%",
                                 "random:98%/1%/1%", "random:100%/0%/0%"}) {
            const Dataset d = labelled(nodes, 3);
            const Split s = make_split(d, spec, 1);
            expect_sound(d, s);
            EXPECT_EQ(s.train.size() + s.val.size() + s.test.size(), static_cast<std::size_t>(nodes - nodes / 10))
                << spec << " of " << nodes;
        }
}

TEST(Split, SmallClassesGiveAllTheyHave) {
    Dataset d = labelled(100, 2);
    for (std::int32_t& label : d.labels)
        if (label == 1) label = 0;
    d.labels[50] = 1;
    EXPECT_THAT(train_per_class(d, make_split(d, "random:20/10/10", 0)), ElementsAre(20, 1));
}

TEST(Split, AutoPrefersTheStoredOne) {
    Dataset d = labelled(5000, 4);
    EXPECT_EQ(make_split(d, "auto", 0).name, "paper");
    d.stored_split.train = {3, 1};
    d.stored_split.test = {2};
    EXPECT_EQ(make_split(d, "auto", 0).name, "stored");
    EXPECT_THAT(make_split(d, "stored", 0).train, ElementsAre(3, 1));
}

TEST(Split, WhatCannotBeDoneIsSaid) {
    const Dataset d = labelled(1000, 3);
    EXPECT_THAT(refusal(d, "stored"), HasSubstr("holds no split"));
    EXPECT_THAT(refusal(d, "paper"), HasSubstr("840 labelled nodes besides the training nodes, expected 2000"));
    EXPECT_THAT(refusal(d, "random:20/841/0"), HasSubstr("840 labelled nodes"));
    EXPECT_THAT(refusal(d, "random:20/800/41"), HasSubstr("40 labelled nodes"));
    for (const char* spec :
         {"random:", "random:20", "random:20/1", "random:20/1/2/3", "random:0/1/2", "random:-1/1/2", "random:20/rest/1",
          "random:20/1/-1", "random: 20/1/1", "random:20/1/99999999999999999999", "random:x/1/1", "random:20//1"})
        EXPECT_THAT(refusal(d, spec), HasSubstr("expected random:TRAIN_PER_CLASS/VAL/TEST")) << spec;
    for (const char* spec :
         {"random:60%/20%", "random:60/20%/20%", "random:60%/20%/20", "random:-60%/20%/20%", "random:60%/rest/20%",
          "random:%/20%/20%", "random:60.%/20%/20%", "random:.5%/1%/1%", "random:1.1234567%/1%/1%", "random:101%/0%/0%",
          "random:6e1%/1%/1%", "random:60%%/1%/1%", "random:60 %/1%/1%", "random:1.-5%/1%/1%"})
        EXPECT_THAT(refusal(d, spec), HasSubstr("random:60%/20%/20%")) << spec;
    EXPECT_THAT(refusal(d, "random:60%/20%/20.000001%"), HasSubstr("more than 100 % in all"));
    EXPECT_THAT(refusal(d, "random:90%/20%/rest"), HasSubstr("more than 100 % in all"));
    EXPECT_THAT(refusal(d, "random:0%/50%/50%"), HasSubstr("no training node among 900 labelled ones"));
    EXPECT_THAT(refusal(d, "random:0.1%/50%/49%"), HasSubstr("no training node"));
    for (const char* spec : {"", "public", "Paper", "random", "paper "})
        EXPECT_THAT(refusal(d, spec), HasSubstr("unknown, expected auto, stored, paper")) << spec;
}

TEST(Split, LabelsOfTwoClassesAreNeeded) {
    Dataset d = labelled(100, 1);
    for (const char* spec : {"auto", "stored", "random:1/1/rest", "random:60%/20%/20%"})
        EXPECT_THAT(refusal<DataError>(d, spec), HasSubstr("made: labels: one class only, expected two or more"));
    std::fill(d.labels.begin(), d.labels.end(), -1);
    d.classes = 0;
    EXPECT_THAT(refusal<DataError>(d, "auto"), HasSubstr("made: labels: no labelled node, expected some"));
}

TEST(Split, AutoDrawsSharesOfASmallGraphAndSaysWhy) {
    const Split paper = make_split(labelled(5000, 7), "auto", 0);
    EXPECT_EQ(described(paper), "paper (the data set holds none): 140 train, 1000 val, 1000 test");
    const Dataset d = labelled(1490, 2);
    const Split shares = make_split(d, "auto", 3);
    expect_sound(d, shares);
    EXPECT_EQ(described(shares),
              "random:60%/20%/20% (the data set holds none and is too small for paper): 804 train, 268 val, 269 test");
    EXPECT_EQ(shares.train, make_split(d, "random:60%/20%/20%", 3).train);
    // One node less than paper wants beside 20 of each class.
    EXPECT_EQ(make_split(labelled(2266, 2), "auto", 0).name, "paper");
    EXPECT_EQ(make_split(labelled(2265, 2), "auto", 0).name, "random:60%/20%/20%");
}

TEST(Split, AMissingClassMayMeanUnlabelled) {
    Dataset d = labelled(100, 3);
    d.class_ids = {0, 4, 9};
    Split s;
    s.name = "stored";
    s.train = {1, 2};
    s.val = s.test = {3};
    EXPECT_THAT(split_warnings(d, s),
                ElementsAre(HasSubstr("no training node of class 0: it cannot be learned; if 0 means unlabelled, add "
                                      "--unlabelled 0")));
    s.train = {0, 1};
    EXPECT_THAT(split_warnings(d, s), ElementsAre(HasSubstr("class 9: it cannot be learned")));
}

TEST(Split, WarningsNameWhatIsMissing) {
    const Dataset d = labelled(1000, 3);
    EXPECT_TRUE(split_warnings(d, make_split(d, "random:1/1/1", 0)).empty());
    Split s;
    s.name = "stored";
    s.train = {0, 3};
    EXPECT_THAT(split_warnings(d, s), ElementsAre(HasSubstr("no training node of classes 1, 2: they cannot be learned"),
                                                  HasSubstr("no validation nodes"), HasSubstr("no test nodes")));
}

TEST(Split, PaperGoldensOnTheRealGraphs) {
    if (!std::getenv("PDADMM_DATA")) GTEST_SKIP() << "PDADMM_DATA is not set";
    struct Golden {
        const char* name;
        std::size_t train;
        std::vector<std::int32_t> test;
    };
    int found = 0;
    for (const Golden& g :
         {Golden{"computers", 200, {8219, 9377, 3191, 9758, 13077}}, Golden{"photo", 160, {7617, 534, 918, 1175, 6639}},
          Golden{"cs", 300, {3508, 14253, 5973, 9326, 16675}},
          Golden{"physics", 100, {31948, 26112, 18734, 16452, 18849}}}) {
        try {
            find_dataset(g.name);
        } catch (const DataError&) {
            continue;
        }
        const Dataset d = load_dataset(g.name);
        const Split s = make_split(d, "auto", 7);
        ++found;
        expect_sound(d, s);
        EXPECT_EQ(s.name, "paper");
        EXPECT_EQ(s.train.size(), g.train) << g.name;
        EXPECT_TRUE(std::equal(g.test.begin(), g.test.end(), s.test.begin())) << g.name;
    }
    if (found == 0) GTEST_SKIP() << "none of the Amazon and Coauthor graphs below PDADMM_DATA";
}

}  // namespace
