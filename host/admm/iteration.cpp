// The forms of an iteration (host/admm/iteration.hpp).
#include "host/admm/iteration.hpp"

#include <utility>
#include <vector>

namespace pdadmm {
namespace {

bool watches(const IterationParts& parts) { return parts.schedule.watch != RhoSchedule::Watch::off; }

void archive(const IterationParts& p) {
    p.network.backend().archive(p.network.figures(), p.network.controls(), p.history);
}

/// On one rank: one phase, or its steps one by one.
class OneRank final : public Iteration {
public:
    explicit OneRank(const IterationParts& parts) : recorder_(parts.recorder) {
        Network& net = parts.network;
        Backend& be = net.backend();
        const Rules& rules = parts.rules;
        const auto figures = [parts, &be, &net] {
            archive(parts);
            if (watches(parts)) be.schedule(parts.schedule, parts.watched(), net.controls());
        };
        if (recorder_) {  // to be timed one by one
            add(be, Activity::update_p, [&be, &net, &rules] { update_p(be, net.groups(), net.controls(), rules); });
            add(be, Activity::update_W_b_zqu,
                [&be, &net, &rules] { update_W_b_zqu(be, net.groups(), net.controls(), rules); });
            add(be, Activity::figures, figures);
        } else {
            add(be, Activity::iteration, [figures, &be, &net, &rules] {
                iterate(be, net.groups(), net.controls(), rules);
                figures();
            });
        }
    }

    Index run(Index first, Index) override {
        for (const Step& step : steps_) recorded(recorder_, step.activity, [&] { step.phase->run(); });
        return first + 1;
    }

private:
    struct Step {
        Activity activity;
        std::unique_ptr<Phase> phase;
    };
    void add(Backend& be, Activity activity, std::function<void()> body) {
        steps_.push_back({activity, be.record(std::move(body))});
    }

    Recorder* recorder_;
    std::vector<Step> steps_;
};

/// On a rank that holds some of the layers.
class SeveralRanks final : public Iteration {
public:
    explicit SeveralRanks(const IterationParts& parts)
        : parts_(parts),
          sent_(parts.sent),
          iteration_(parts.network, parts.ranks, parts.rules, {&sent_, parts.recorder, parts.by_kind}),
          figures_(parts.network.backend().record([this] { archive(parts_); })) {}

    Index run(Index first, Index) override {
        iteration_.run();
        recorded(parts_.recorder, Activity::figures, [&] { figures_->run(); });
        if (watches(parts_)) move_penalties();
        return first + 1;
    }
    void settle() override { iteration_.settle(); }
    SentBytes sent() const override { return sent_; }

private:
    void move_penalties() {
        const Network& net = parts_.network;
        if (parts_.schedule.watch == RhoSchedule::Watch::cost) settle();  // its forward pass has messages of its own
        const double* figure = parts_.ranks.share(parts_.watched(), parts_.ranks.first_owner(net.shape().layers));
        settle();
        net.backend().schedule(parts_.schedule, figure, net.controls());
    }

    IterationParts parts_;
    SentBytes sent_;
    RankedIteration iteration_;
    std::unique_ptr<Phase> figures_;
};

/// Many at once, by the backend.
class Fused final : public Iteration {
public:
    Fused(std::unique_ptr<FusedIterations> iterations, Recorder* recorder)
        : iterations_(std::move(iterations)), recorder_(recorder) {}

    Index run(Index first, Index end) override {
        recorded(recorder_, Activity::fused, [&] { iterations_->run(first, static_cast<int>(end - first)); });
        return end;
    }

private:
    std::unique_ptr<FusedIterations> iterations_;
    Recorder* recorder_;
};

/// Null where the backend has no such form for this network.
std::unique_ptr<FusedIterations> fused_iterations(const IterationParts& parts) {
    Network& net = parts.network;
    const bool plain = parts.rules.step.rule != StepRule::block && net.options().decay == DecayTo::zero &&
                       parts.rules.p.codec == Codec::none && !watches(parts) && !net.options().rebuild_q;
    return plain ? net.backend().fuse(net.groups(), net.controls(), parts.rules.step, parts.history) : nullptr;
}

}  // namespace

std::unique_ptr<Iteration> make_iteration(const IterationParts& parts) {
    if (parts.ranks.several()) return std::make_unique<SeveralRanks>(parts);
    if (auto iterations = fused_iterations(parts))
        return std::make_unique<Fused>(std::move(iterations), parts.recorder);
    return std::make_unique<OneRank>(parts);
}

}  // namespace pdadmm
