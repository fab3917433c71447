// What a rank did when: its phases, and its messages from start to finish. For traces (--trace), and for the costs of
// layers that placement is calibrated with.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "host/network/layer_kind.hpp"
#include "pdadmm/transport.hpp"

namespace pdadmm {

/// Of a span. The first ones are phases of an iteration (host/admm/ranked_iteration.cpp, host/admm/iteration.cpp).
enum class Activity : std::uint8_t {
    refresh,
    before_q,
    wait_q,
    decode_q,
    update_p,
    before_p,
    wait_p,
    decode_p,
    close,
    iteration,
    update_W_b_zqu,
    fused,
    figures,
    gather,
    evaluation,
    checkpoint,
    growth,
    moving_layers,
    message_p,
    message_q
};
const char* name_of(Activity activity);

/// Trivially copyable: spans travel to rank 0 as bytes.
struct Span {
    Activity activity{};
    std::optional<LayerKind> layers;        // of work on one kind of the rank's layers alone
    Direction direction = Direction::send;  // of a message
    std::int32_t peer = -1;                 // of a message; -1: this is work
    std::int64_t iteration = 0;             // counted over all stages
    std::uint64_t bytes = 0;
    double begin = 0, end = 0;  // seconds of this rank's steady clock
};

/// Times come from the backend's timeline, so nothing waits within an iteration. Where work is recorded as spans that
/// follow each other, the end of one is the beginning of the next as far as marks can tell.
class Recorder {
public:
    explicit Recorder(Order& order) : timeline_(order.timeline()) {}

    /// What comes is recorded from now on, as of `iteration`, or not.
    void turn(bool on, Index iteration) {
        on_ = on;
        iteration_ = iteration;
    }
    bool on() const { return on_; }

    /// body(), as a span.
    template <typename Body>
    void work(Activity activity, std::optional<LayerKind> layers, Body&& body) {
        if (!on_) return body();
        const std::size_t begin = mark();
        body();
        add({activity, layers, Direction::send, -1, iteration_}, begin, mark());
    }

    /// The messages that a transport was just given, and that it has them all delivered: between the two lies one span
    /// a message.
    void started(Activity activity, std::span<const Message> messages);
    void finished();

    /// Ends open times: after work that the host has waited for, while no message is under way.
    void settle();
    const std::vector<Span>& spans() const { return spans_; }

private:
    std::size_t mark() {
        timeline_->mark();
        return marks_++;
    }
    void add(Span span, std::size_t begin, std::size_t end) {
        spans_.push_back(span);
        ends_.push_back({begin, end});
    }

    struct Ends {
        std::size_t begin, end;  // marks
    };
    std::unique_ptr<Timeline> timeline_;
    bool on_ = false;
    Index iteration_ = 0;
    std::size_t marks_ = 0;  // since the last settle()
    std::vector<Span> spans_;
    std::vector<Ends> ends_;  // of the last spans, whose times are not known yet
    std::vector<Span> under_way_;
    std::size_t under_way_since_ = 0;
};

/// Seconds of work on each kind of layer, each in the iteration that took least of it; 0 where there was none.
ByKind least_seconds(std::span<const Span> spans);

/// body(), recorded where there is a recorder.
template <typename Body>
void recorded(Recorder* recorder, Activity activity, std::optional<LayerKind> layers, Body&& body) {
    recorder ? recorder->work(activity, layers, body) : body();
}
template <typename Body>
void recorded(Recorder* recorder, Activity activity, Body&& body) {
    recorded(recorder, activity, std::nullopt, body);
}

}  // namespace pdadmm
