// An iteration in phases between messages (host/admm/ranked_iteration.hpp).
// With layers a..b: p_a goes left and p_{b+1} comes from the right under W, b and the z, q, u that do not need it; q_b
// goes right and q_{a-1} comes from the left under the figures and the next iteration's first product. Without a codec
// they go from where they are to where they belong: nothing else touches them on the way. (A rebuilt q is scratch, and
// goes by a copy.)
#include "host/admm/ranked_iteration.hpp"

#include <algorithm>

namespace pdadmm {
namespace {

LayerKind kind_of(const LayerGroup& s) {
    return s.is_first ? LayerKind::first : s.is_last ? LayerKind::last : LayerKind::hidden;
}

}  // namespace

RankedIteration::RankedIteration(Network& net, Ranks& ranks, const Rules& rules, IterationWatch watch)
    : net_(net), ranks_(ranks), rules_(rules), watch_(watch) {
    const LayerRange own = net.layers();
    if (own.count() == 0) return;
    left_ = own.first > 1;
    right_ = own.last < net.shape().layers;
    p_bytes_ = bytes(rules.p);
    q_bytes_ = bytes(rules.q);
    p_as_it_is_ = rules.p.codec == Codec::none;
    q_as_it_is_ = rules.q.codec == Codec::none && !net.options().rebuild_q;
    constexpr std::uint64_t alignment = 256;
    const std::uint64_t most = std::max(p_as_it_is_ ? 0 : p_bytes_, q_as_it_is_ ? 0 : q_bytes_);
    capacity_ = static_cast<Index>((most + alignment - 1) / alignment * alignment);
    if ((left_ || right_) && capacity_ > 0) messages_ = {net.backend(), 4 * capacity_};
    const std::size_t groups = net.groups().size(), first = net.groups().front().is_first ? 1 : 0;
    before_q_ = step(Activity::before_q, 0, left_ ? 1 : 0, &RankedIteration::begin_front_p);
    decode_q_ = step(Activity::decode_q, 0, left_ ? 1 : 0, &RankedIteration::decode_q);
    update_p_ = step(Activity::update_p, first, groups, &RankedIteration::update_p);
    before_p_ = step(Activity::before_p, 0, groups, &RankedIteration::before_p);
    decode_p_ = step(Activity::decode_p, groups - (right_ && !p_as_it_is_ ? 1 : 0), groups, &RankedIteration::decode_p);
    close_ = step(Activity::close, groups - (right_ ? 1 : 0), groups, &RankedIteration::close);
}

RankedIteration::~RankedIteration() {
    if (ranks_.several())
        ranks_.transport().abandon();  // an error between start and finish: the messages' memory goes now
}

RankedIteration::Step RankedIteration::step(Activity activity, std::size_t from, std::size_t until,
                                            void (RankedIteration::*body)(LayerGroup&)) {
    Step made{activity, {}};
    if (from >= until) return made;
    const auto record = [&](std::optional<LayerKind> layers, std::size_t begin, std::size_t end) {
        made.parts.push_back({layers, net_.backend().record([this, begin, end, body] {
                                  for (std::size_t g = begin; g < end; ++g) (this->*body)(net_.groups()[g]);
                              })});
    };
    if (!watch_.by_kind)
        record(std::nullopt, from, until);
    else
        for (std::size_t g = from; g < until; ++g) record(kind_of(net_.groups()[g]), g, g + 1);
    return made;
}

void RankedIteration::perform(const Step& step) {
    for (const Step::Part& part : step.parts)
        recorded(watch_.recorder, step.activity, part.layers, [&] { part.phase->run(); });
}

void RankedIteration::start(Activity activity, const std::vector<Message>& messages, int receiver,
                            std::uint64_t SentBytes::*sent) {
    Transport& transport = ranks_.transport();
    const bool counts = watch_.sent && !messages.empty() && messages.front().direction == Direction::send;
    const std::uint64_t before = counts ? transport.traffic(receiver, Direction::send).bytes : 0;
    if (watch_.recorder) watch_.recorder->started(activity, messages);
    transport.start(messages);
    if (counts) watch_.sent->*sent += transport.traffic(receiver, Direction::send).bytes - before;
}

void RankedIteration::finish(Activity wait) {
    recorded(watch_.recorder, wait, [&] { ranks_.transport().finish(); });
    if (watch_.recorder) watch_.recorder->finished();
}

void RankedIteration::run() {
    if (watch_.sent) ++watch_.sent->iterations;
    if (net_.layers().count() == 0) return;
    const int left = ranks_.left(), right = ranks_.right();
    std::vector<Message> messages;
    perform(before_q_);
    settle();
    perform(update_p_);
    if (left_) messages.push_back(Message::send(left, message(p_out), p_bytes_));
    if (right_) messages.push_back(Message::receive(right, message(p_in), p_bytes_));
    start(Activity::message_p, messages, left, &SentBytes::left);
    perform(before_p_);
    finish(Activity::wait_p);
    perform(decode_p_);
    perform(close_);
    messages.clear();
    if (right_) messages.push_back(Message::send(right, message(q_out), q_bytes_));
    if (left_) messages.push_back(Message::receive(left, message(q_in), q_bytes_));
    start(Activity::message_q, messages, right, &SentBytes::right);
    q_under_way_ = true;
}

void RankedIteration::settle() {
    if (!q_under_way_) return;
    finish(Activity::wait_q);
    q_under_way_ = false;
    perform(decode_q_);
}

std::byte* RankedIteration::message(Slot slot) const {
    const bool of_p = slot == p_out || slot == p_in;
    if (!(of_p ? p_as_it_is_ : q_as_it_is_)) return messages_.data() + slot * capacity_;
    const LayerRange own = net_.layers();
    const Mat lies = slot == p_out   ? net_.p(own.first)
                     : slot == p_in  ? net_.p(own.last + 1)
                     : slot == q_out ? net_.q(own.last)
                                     : net_.q(own.first - 1);
    return reinterpret_cast<std::byte*>(lies.data);
}

std::uint64_t RankedIteration::bytes(const Quantizer& q) const {
    const NodeData& data = net_.data();
    const NodeRange held = data.range_numbers();
    return ranges_message_bytes(net_.shape().hidden, data.ranges(), held.first, held.count, q);
}

void RankedIteration::encode(const Quantizer& q, CMat x, const MessageHeader* headers, Index count,
                             std::byte* message) {
    const NodeData& data = net_.data();
    const NodeRange held = data.range_numbers();
    for (Index range = 0; range < held.count; ++range) {
        net_.backend().encode(q, nodes_of(x, range), headers + range * count, message);
        message += range_message_bytes(x.rows, data.ranges(), held.first + range, q);
    }
}

void RankedIteration::decode(const Quantizer& q, const std::byte* message, Mat x) {
    const NodeData& data = net_.data();
    const NodeRange held = data.range_numbers();
    for (Index range = 0; range < held.count; ++range) {
        net_.backend().decode(q, message, nodes_of(x, range));
        message += range_message_bytes(x.rows, data.ranges(), held.first + range, q);
    }
}

void RankedIteration::begin_front_p(LayerGroup& s) { begin_p(net_.backend(), s, net_.controls()); }

void RankedIteration::update_p(LayerGroup& s) {
    Backend& be = net_.backend();
    pdadmm::update_p(be, s, net_.controls(), rules_, is_front(s));
    // At once: the next group may use the same scratch.
    if (is_front(s) && !p_as_it_is_)
        encode(rules_.p, (rules_.p.codec == Codec::difference ? s.d_p : s.p).layer(0), s.headers, s.count,
               message(p_out));
}

void RankedIteration::before_p(
    LayerGroup& s) {  // the border's group last, so that its H stays in the scratch until close()
    update_W_b(net_.backend(), s, net_.controls(), rules_);
    if (!is_border(s)) update_zqu(net_.backend(), s, net_.controls(), rules_);
}

void RankedIteration::decode_p(LayerGroup&) { decode(rules_.p, message(p_in), net_.p(net_.layers().last + 1)); }

void RankedIteration::close(LayerGroup& s) {
    Backend& be = net_.backend();
    update_zqu(be, s, net_.controls(), rules_);
    if (q_as_it_is_) return;
    const Index last = s.count - 1;
    encode(rules_.q, (rules_.q.codec == Codec::difference ? s.h : s.q).layer(last), s.headers + last, s.count,
           message(q_out));
}

void RankedIteration::decode_q(LayerGroup&) {
    Backend& be = net_.backend();
    const int first = net_.layers().first;
    if (!q_as_it_is_) decode(rules_.q, message(q_in), net_.q(first - 1));
    be.dual_step(net_.p(first), net_.q(first - 1), net_.controls(), net_.u(first - 1));
}

}  // namespace pdadmm
