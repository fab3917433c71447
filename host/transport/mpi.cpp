// MPI_Isend and MPI_Irecv, polled (host/transport/mpi.hpp).
#include "host/transport/mpi.hpp"

#include <fmt/format.h>
#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr int tag = 0;  // two ranks' messages match in order

std::string words_of(int error) {
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    if (MPI_Error_string(error, text.data(), &length) != MPI_SUCCESS) return fmt::format("MPI error {}", error);
    return printable(std::string(text.data(), static_cast<std::size_t>(length)), 300);
}

/// `call` is what MPI returned; `peer` (or -1) the rank that it was about.
void check(int call, const char* what, int peer = -1) {
    if (call == MPI_SUCCESS) return;
    throw PeerError(fmt::format("{}: {}: {}, expected the message to arrive; restart with --resume",
                                peer < 0 ? "mpi" : fmt::format("rank {}", peer), what, words_of(call)));
}

/// Bytes as MPI counts them: one by one, or as blocks of 1 MiB and a rest, in one message all the same.
class ByteType {
public:
    ByteType(std::size_t bytes, std::size_t largest_plain) {
        if (bytes <= largest_plain) {
            count_ = static_cast<int>(bytes);
            return;
        }
        constexpr std::size_t block = std::size_t{1} << 20;
        MPI_Datatype blocks;
        check(MPI_Type_contiguous(static_cast<int>(block), MPI_BYTE, &blocks), "MPI_Type_contiguous");
        const int lengths[] = {static_cast<int>(bytes / block), static_cast<int>(bytes % block)};
        const MPI_Aint offsets[] = {0, static_cast<MPI_Aint>(bytes / block * block)};
        const MPI_Datatype types[] = {blocks, MPI_BYTE};
        const int made = MPI_Type_create_struct(2, lengths, offsets, types, &type_);
        MPI_Type_free(&blocks);
        check(made, "MPI_Type_create_struct");
        check(MPI_Type_commit(&type_), "MPI_Type_commit");
        count_ = 1;
    }
    ~ByteType() {
        if (type_ != MPI_BYTE) MPI_Type_free(&type_);  // MPI keeps it until the messages that use it have ended
    }
    ByteType(const ByteType&) = delete;
    ByteType& operator=(const ByteType&) = delete;

    int count() const { return count_; }
    MPI_Datatype get() const { return type_; }

private:
    MPI_Datatype type_ = MPI_BYTE;
    int count_ = 0;
};

class MpiTransport final : public Transport {
public:
    MpiTransport(MPI_Comm communicator, int rank, int size, std::size_t largest_plain)
        : Transport(rank, size), communicator_(communicator), largest_plain_(largest_plain) {}
    std::string name() const override { return "mpi"; }

private:
    void start_messages(std::span<const Message> messages) override {
        requests_.assign(messages.size(), MPI_REQUEST_NULL);
        for (std::size_t i = 0; i < messages.size(); ++i)  // receives first: what arrives then has its place
            if (messages[i].direction == Direction::receive) {
                const ByteType type(messages[i].bytes, largest_plain_);
                check(MPI_Irecv(messages[i].data, type.count(), type.get(), messages[i].peer, tag, communicator_,
                                &requests_[i]),
                      "MPI_Irecv", messages[i].peer);
            }
        for (std::size_t i = 0; i < messages.size(); ++i)
            if (messages[i].direction == Direction::send) {
                const ByteType type(messages[i].bytes, largest_plain_);
                check(MPI_Isend(messages[i].data, type.count(), type.get(), messages[i].peer, tag, communicator_,
                                &requests_[i]),
                      "MPI_Isend", messages[i].peer);
            }
    }

    // Polls instead of waiting in MPI, whose wait takes a whole processor: ranks often share one with the peer's thread
    // that they wait for.
    void finish_messages(std::span<const Message> messages) override {
        constexpr int spins_before_yield = 100;
        int spins = 0;
        for (std::size_t done = 0; done < messages.size();) {
            MPI_Status status;
            int arrived = 0;
            const Message& message = messages[done];
            const int result = MPI_Test(&requests_[done], &arrived, &status);
            if (result != MPI_SUCCESS && class_of(result) == MPI_ERR_TRUNCATE) throw wrong_size(message, "more");
            check(result, "MPI_Test", message.peer);
            if (!arrived) {
                if (++spins > spins_before_yield) ::sched_yield();
                continue;
            }
            if (message.direction == Direction::receive) {
                MPI_Count bytes = 0;
                check(MPI_Get_elements_x(&status, MPI_BYTE, &bytes), "MPI_Get_elements_x", message.peer);
                if (static_cast<std::size_t>(bytes) != message.bytes) throw wrong_size(message, std::to_string(bytes));
            }
            ++done;
        }
    }

    static int class_of(int error) {
        int kind = MPI_ERR_UNKNOWN;
        MPI_Error_class(error, &kind);
        return kind;
    }
    PeerError wrong_size(const Message& message, const std::string& sent) const {
        return PeerError(fmt::format(
            "rank {}: sent {} bytes to rank {}, expected {}; start all ranks with the same build and options",
            message.peer, sent == "more" ? "more" : sent, rank(), message.bytes));
    }

    MPI_Comm communicator_;
    std::size_t largest_plain_;
    std::vector<MPI_Request> requests_;
};

class RealMpi final : public Mpi {
public:
    explicit RealMpi(const Launch& launch) {
        int held = MPI_THREAD_SINGLE;
        // An error here is fatal in MPI itself, with its own words: no communicator has a handler yet.
        if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &held) != MPI_SUCCESS)
            throw DeviceError("mpi: MPI_Init_thread failed, expected a working MPI; start with mpirun");
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
        if (held < MPI_THREAD_FUNNELED)
            throw DeviceError("mpi: built without threads, expected MPI_THREAD_FUNNELED; use another MPI");
        check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
        check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
        if (rank_ != launch.rank || size_ != launch.size)
            throw UsageError(fmt::format(
                "mpi: rank {} of {} in MPI and rank {} of {} in the environment, expected the same; start all ranks "
                "with one mpirun",
                rank_, size_, launch.rank, launch.size));
        check(MPI_Comm_dup(MPI_COMM_WORLD, &communicator_), "MPI_Comm_dup");
        MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN);
    }

    Listener agree_address(Launch& launch) override {
        if (size_ == 1 || !launch.host.empty()) return {};
        MPI_Comm machine;  // the ranks that share memory with this one
        check(MPI_Comm_split_type(communicator_, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine),
              "MPI_Comm_split_type");
        int here = 0;
        MPI_Comm_size(machine, &here);
        MPI_Comm_free(&machine);
        std::array<char, 256> host{};
        std::string problem;
        int port = 0;
        Listener listener;
        if (rank_ == 0) {
            if (here == size_)
                std::strcpy(host.data(), "127.0.0.1");
            else if (::gethostname(host.data(), host.size() - 1) != 0)
                problem = std::strerror(errno);
            try {
                if (problem.empty()) listener = Listener({host.data(), 0}, std::chrono::seconds(0));
                port = listener ? listener.port() : 0;
            } catch (const Error& error) {
                problem = error.what();
            }
        }
        // Told even where it failed: the others wait for it.
        check(MPI_Bcast(host.data(), static_cast<int>(host.size()), MPI_CHAR, 0, communicator_), "MPI_Bcast", 0);
        check(MPI_Bcast(&port, 1, MPI_INT, 0, communicator_), "MPI_Bcast", 0);
        if (port == 0)
            throw UsageError(
                fmt::format("rendezvous: rank 0 cannot listen: {}, expected a free port; pass --rendezvous host:port",
                            problem.empty() ? "see its message" : problem));
        launch.host = host.data();
        launch.port = port;
        return listener;
    }

    std::unique_ptr<Transport> make_transport(std::size_t largest_plain) override {
        of_transports_.push_back(MPI_COMM_NULL);
        check(MPI_Comm_dup(communicator_, &of_transports_.back()), "MPI_Comm_dup");
        MPI_Comm_set_errhandler(of_transports_.back(), MPI_ERRORS_RETURN);
        return std::make_unique<MpiTransport>(of_transports_.back(), rank_, size_,
                                              std::min(largest_plain, std::size_t{1} << 30));
    }

    void finalize() override {
        for (MPI_Comm& of_transport : of_transports_) check(MPI_Comm_free(&of_transport), "MPI_Comm_free");
        check(MPI_Comm_free(&communicator_), "MPI_Comm_free");
        check(MPI_Finalize(), "MPI_Finalize");
    }

private:
    int rank_ = 0, size_ = 1;
    MPI_Comm communicator_ = MPI_COMM_NULL;
    std::vector<MPI_Comm> of_transports_;
};

}  // namespace

bool mpi_built() { return true; }

std::unique_ptr<Mpi> make_mpi(const Launch& launch) { return std::make_unique<RealMpi>(launch); }

}  // namespace pdadmm
