// An iteration in phases between messages (host/ranks/ranked_iteration.hpp).
// With layers a..b: p_a goes left and p_{b+1} comes from the right under W, b and the z, q, u that do not need it; q_b goes right
// and q_{a-1} comes from the left under the figures and the next iteration's first product.
#include "host/ranks/ranked_iteration.hpp"

#include <algorithm>

namespace pdadmm {
namespace {

enum Slot { p_out, p_in, q_out, q_in };

}  // namespace

RankedIteration::RankedIteration(Network& net, Ranks& ranks, const Rules& rules) : net_(net), ranks_(ranks), rules_(rules) {
    const LayerRange own = net.layers();
    left_ = own.count() > 0 && own.first > 1;
    right_ = own.count() > 0 && own.last < net.shape().layers;
    Backend& be = net.backend();
    const Index elements = net.shape().hidden * net.shape().nodes;
    p_bytes_ = message_bytes(elements, rules.p);
    q_bytes_ = message_bytes(elements, rules.q);
    constexpr std::uint64_t alignment = 256;
    const std::uint64_t most = std::max(message_capacity(elements, rules.p), message_capacity(elements, rules.q));
    capacity_ = static_cast<Index>((most + alignment - 1) / alignment * alignment);
    if (left_ || right_) messages_ = {be, 4 * capacity_};
    before_q_ = be.record([this] { before_q(); });
    update_p_ = be.record([this] { update_p(); });
    before_p_ = be.record([this] { before_p(); });
    close_ = be.record([this] { close(); });
    decode_p_ = be.record([this, &be, own] {
        if (right_) be.decode(rules_.p, message(p_in), net_.p(own.last + 1));
    });
    decode_q_ = be.record([this, &be, own] {
        if (!left_) return;
        be.decode(rules_.q, message(q_in), net_.q(own.first - 1));
        be.dual_step(net_.p(own.first), net_.q(own.first - 1), net_.controls(), net_.u(own.first - 1));
    });
}

RankedIteration::~RankedIteration() {
    if (ranks_.several()) ranks_.transport().abandon();  // an error between start and finish: the messages' memory goes now
}

void RankedIteration::run() {
    if (net_.layers().count() == 0) return;
    const int rank = ranks_.rank();
    std::vector<Message> messages;
    before_q_->run();
    settle();
    update_p_->run();
    if (left_) messages.push_back(Message::send(rank - 1, message(p_out), p_bytes_));
    if (right_) messages.push_back(Message::receive(rank + 1, message(p_in), p_bytes_));
    ranks_.transport().start(messages);
    before_p_->run();
    ranks_.transport().finish();
    decode_p_->run();
    close_->run();
    messages.clear();
    if (right_) messages.push_back(Message::send(rank + 1, message(q_out), q_bytes_));
    if (left_) messages.push_back(Message::receive(rank - 1, message(q_in), q_bytes_));
    ranks_.transport().start(messages);
    q_under_way_ = true;
}

void RankedIteration::settle() {
    if (!q_under_way_) return;
    ranks_.transport().finish();
    q_under_way_ = false;
    decode_q_->run();
}

void RankedIteration::before_q() {
    if (left_) begin_p(net_.backend(), net_.groups().front());
}

void RankedIteration::update_p() {
    Backend& be = net_.backend();
    for (LayerGroup& s : net_.groups()) {
        const bool first = &s == &net_.groups().front();
        if (s.is_first) continue;
        if (!first) begin_p(be, s);
        finish_p(be, s, net_.controls(), rules_);
        // At once: the next group may use the same scratch.
        if (first) be.encode(rules_.p, (rules_.p.codec == Codec::difference ? s.d_p : s.p).layers(0, 1), s.headers, message(p_out));
    }
}

void RankedIteration::before_p() {
    Backend& be = net_.backend();
    for (LayerGroup& s : net_.groups()) {  // the border's group last, so that its H stays in the scratch until close()
        update_W_b(be, s, net_.controls(), rules_);
        if (!right_ || &s != &net_.groups().back()) update_zqu(be, s, net_.controls(), rules_);
    }
}

void RankedIteration::close() {
    if (!right_) return;
    Backend& be = net_.backend();
    LayerGroup& s = net_.groups().back();
    update_zqu(be, s, net_.controls(), rules_);
    const Index last = s.count - 1;
    be.encode(rules_.q, (rules_.q.codec == Codec::difference ? s.h : s.q).layers(last, 1), s.headers + last, message(q_out));
}

}  // namespace pdadmm
