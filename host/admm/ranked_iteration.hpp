// One iteration on a rank that holds some of the layers (design 3): the work between messages as recorded phases, and
// the messages, which travel under the phases that do not need them. Same bits as iterate() over all layers.
#pragma once

#include <memory>
#include <vector>

#include "host/admm/admm.hpp"
#include "host/ranks/ranks.hpp"
#include "host/trace/recorder.hpp"

namespace pdadmm {

/// What a rank has sent in iterations to the one before it and to the one behind it, as the transport counts.
struct SentBytes {
    std::uint64_t left = 0, right = 0;
    Index iterations = 0;
};

/// Who looks on, if anybody: `sent` is counted up, and phases and messages become spans of a recorder that is on, those
/// of all layers of the rank together or `by_kind` of layer.
struct IterationWatch {
    SentBytes* sent = nullptr;
    Recorder* recorder = nullptr;
    bool by_kind = false;
};

class RankedIteration {
public:
    /// Of the layers of `net`, which with the others must outlive this.
    RankedIteration(Network& net, Ranks& ranks, const Rules& rules, IterationWatch watch = {});
    RankedIteration(const RankedIteration&) = delete;
    RankedIteration& operator=(const RankedIteration&) = delete;
    ~RankedIteration();

    /// One iteration; the message with q may still be under way when it returns.
    void run();
    /// Ends it: q and u of the left neighbour are here. Before the penalties change and before other messages.
    void settle();

private:
    /// A phase: one recorded piece of work, or one for each group of layers.
    struct Step {
        struct Part {
            std::optional<LayerKind> layers;
            std::unique_ptr<Phase> phase;
        };
        Activity activity;
        std::vector<Part> parts;
    };
    /// body(group), for the groups `from` <= g < `until`.
    Step step(Activity activity, std::size_t from, std::size_t until, void (RankedIteration::*body)(LayerGroup&));
    void perform(const Step& step);
    void start(Activity activity, const std::vector<Message>& messages, int receiver, std::uint64_t SentBytes::*sent);
    void finish(Activity wait);

    bool is_front(const LayerGroup& s) const { return &s == &net_.groups().front(); }
    bool is_border(const LayerGroup& s) const { return right_ && &s == &net_.groups().back(); }
    void begin_front_p(LayerGroup& s);
    void update_p(LayerGroup& s);
    void before_p(LayerGroup& s);
    void close(LayerGroup& s);
    void decode_p(LayerGroup& s);
    void decode_q(LayerGroup& s);
    enum Slot { p_out, p_in, q_out, q_in };
    /// Where a message is read or written: a copy's or a code's memory, or the tensor itself.
    std::byte* message(Slot slot) const;
    /// The message of `x`, one layer, or back into x, range by range; `headers` are those of a stack of `count` layers.
    void encode(const Quantizer& q, CMat x, const MessageHeader* headers, Index count, std::byte* message);
    void decode(const Quantizer& q, const std::byte* message, Mat x);
    std::uint64_t bytes(const Quantizer& q) const;

    Network& net_;
    Ranks& ranks_;
    const Rules& rules_;
    IterationWatch watch_;
    bool left_ = false, right_ = false;             // there is a neighbour with layers
    bool p_as_it_is_ = false, q_as_it_is_ = false;  // no code: sent from the state and received into it
    Index capacity_ = 0;
    std::size_t p_bytes_ = 0, q_bytes_ = 0;
    Buffer<std::byte> messages_;  // p out, p in, q out, q in
    Step before_q_, decode_q_, update_p_, before_p_, decode_p_, close_;
    bool q_under_way_ = false;
};

}  // namespace pdadmm
