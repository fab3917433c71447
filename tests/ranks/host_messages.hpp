// Messages from and to the host's memory over a transport whose messages lie in a backend's memory, so that random
// schedules (tests/ranks/message_schedule.hpp) play on every transport.
#pragma once

#include <vector>

#include "pdadmm/backend.hpp"
#include "pdadmm/transport.hpp"

namespace pdadmm {

class HostMessages final : public Transport {
public:
    HostMessages(Transport& below, Backend& backend)
        : Transport(below.rank(), below.size()), below_(below), backend_(backend) {}
    std::string name() const override { return below_.name(); }

private:
    void start_messages(std::span<const Message> messages) override {
        buffers_.clear();
        std::vector<Message> moved(messages.begin(), messages.end());
        for (Message& message : moved) {
            if (message.bytes == 0) continue;
            const Buffer<std::byte>& buffer = buffers_.emplace_back(backend_, static_cast<Index>(message.bytes));
            if (message.direction == Direction::send) backend_.upload(message.data, buffer.data(), message.bytes);
            message.data = buffer.data();
        }
        below_.start(moved);
    }
    void finish_messages(std::span<const Message> messages) override {
        below_.finish();
        std::size_t next = 0;
        for (const Message& message : messages) {
            if (message.bytes == 0) continue;
            const Buffer<std::byte>& buffer = buffers_[next++];
            if (message.direction == Direction::receive)
                backend_.download(buffer.data(), message.data, message.bytes);
            else
                backend_.zero(buffer.data(), message.bytes);  // what was sent may be overwritten by later work
        }
    }
    void abandon_messages() noexcept override { below_.abandon(); }

    Transport& below_;
    Backend& backend_;
    std::vector<Buffer<std::byte>> buffers_;  // of messages with bytes
};

}  // namespace pdadmm
