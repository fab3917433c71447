// The NCCL that stands in: what it delivers, and planted misuse that it must find. Both ranks are in one thread.
#include "emulation/nccl_hooks.hpp"
#include "tests/emulation/emulation_bench.hpp"

using namespace emulation_test;
using testing::HasSubstr;

namespace {

class EmulationNccl : public EmulationTest {
protected:
    void SetUp() override {
        ncclUniqueId id{};
        ncclConfig_t configuration = NCCL_CONFIG_INITIALIZER;
        configuration.blocking = 0;
        ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
        for (const int rank : {0, 1})
            ASSERT_EQ(ncclCommInitRankConfig(&ranks[rank], 2, id, rank, &configuration), ncclInProgress);
        for (const int rank : {0, 1}) poll(rank);
        sent = filled<unsigned char>({1, 2, 3, 4});
        received = filled<unsigned char>({0, 0, 0, 0});
    }
    void TearDown() override { emulation::reset_nccl(); }

    void poll(int rank) {
        for (ncclResult_t state = ncclInProgress; state == ncclInProgress;)
            ASSERT_EQ(ncclCommGetAsyncError(ranks[rank], &state), ncclSuccess);
    }
    /// Rank 0 gives a message to NCCL, on `stream`; rank 1 takes it, on `other`.
    void send(std::size_t bytes = 4, cudaStream_t on = nullptr) {
        EXPECT_EQ(ncclGroupStart(), ncclSuccess);
        EXPECT_EQ(ncclSend(sent, bytes, ncclUint8, 1, ranks[0], on ? on : stream), ncclSuccess);
        ncclGroupEnd();
        poll(0);
    }
    void receive(std::size_t bytes = 4) {
        EXPECT_EQ(ncclGroupStart(), ncclSuccess);
        EXPECT_EQ(ncclRecv(received, bytes, ncclUint8, 0, ranks[1], other), ncclSuccess);
        ncclGroupEnd();
        poll(1);
    }
    /// Lets the device go on as far as it can.
    void settle() {
        for (int step = 0; step < 10; ++step) cudaStreamQuery(stream);
    }

    ncclComm_t ranks[2] = {};
    unsigned char *sent = nullptr, *received = nullptr;
};

TEST_F(EmulationNccl, DeliversInTheOrderOfStreams) {
    for (unsigned char value = 1; value < 20; ++value) {
        ASSERT_EQ(cudaMemsetAsync(sent, value, 4, stream), cudaSuccess);
        if (value % 2) send();
        receive();
        if (value % 2 == 0) send();
        EXPECT_EQ(read(received, 4), std::vector<unsigned char>(4, value));
    }
}

TEST_F(EmulationNccl, FindsSizesThatDiffer) {
    send(4);
    receive(3);
    EXPECT_THAT(fault(), HasSubstr("message from rank 0 to rank 1: 4 bytes sent, 3 awaited"));
}

TEST_F(EmulationNccl, FindsAWriteToWhatIsSent) {
    send();
    settle();
    ASSERT_EQ(cudaMemset(sent + 3, 9, 1), cudaSuccess);
    receive();
    EXPECT_THAT(fault(), HasSubstr("written while it was sent"));
}

TEST_F(EmulationNccl, FindsAWriteToWhereAMessageArrives) {
    receive();
    settle();
    ASSERT_EQ(cudaMemset(received, 0, 1), cudaSuccess);
    send();
    EXPECT_THAT(fault(), HasSubstr("written where it arrives"));
}

TEST_F(EmulationNccl, WhatIsReadTooEarlyIsNoValue) {
    receive();
    settle();
    unsigned char early = 0;
    ASSERT_EQ(cudaMemcpy(&early, received, 1, cudaMemcpyDeviceToHost), cudaSuccess);
    EXPECT_EQ(early, 0xFF);
    send();
    EXPECT_EQ(read(received, 4), (std::vector<unsigned char>{1, 2, 3, 4}));
}

TEST_F(EmulationNccl, FindsAMessageOutsideAGroup) {
    EXPECT_EQ(ncclSend(sent, 4, ncclUint8, 1, ranks[0], stream), ncclInvalidUsage);
    EXPECT_THAT(fault(), HasSubstr("outside a group"));
}

TEST_F(EmulationNccl, FindsAGroupInAGroup) {
    EXPECT_EQ(ncclGroupStart(), ncclSuccess);
    EXPECT_EQ(ncclGroupStart(), ncclSuccess);
    EXPECT_THAT(fault(), HasSubstr("a group of messages in a group"));
}

TEST_F(EmulationNccl, FindsACallBeforeTheLastOneIsQueued) {
    for (ncclResult_t result = ncclSuccess; result == ncclSuccess;) {  // a set may be queued at once
        ASSERT_EQ(ncclGroupStart(), ncclSuccess);
        ASSERT_EQ(ncclSend(sent, 4, ncclUint8, 1, ranks[0], stream), ncclSuccess);
        result = ncclGroupEnd();
    }
    ASSERT_EQ(ncclGroupStart(), ncclSuccess);
    EXPECT_EQ(ncclSend(sent, 4, ncclUint8, 1, ranks[0], stream), ncclInvalidArgument);
    emulation::reset_nccl();
    EXPECT_THAT(fault(), HasSubstr("before the communicator was polled"));
}

TEST_F(EmulationNccl, FindsMessagesInACapture) {
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(other, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    send(4, other);
    cudaStreamEndCapture(other, &graph);
    EXPECT_THAT(fault(), HasSubstr("in a stream that is captured"));
    if (graph) cudaGraphDestroy(graph);
}

TEST_F(EmulationNccl, FindsMemoryThatIsNotTheDevices) {
    unsigned char host[4] = {};
    sent = host;
    send();
    EXPECT_THAT(fault(), HasSubstr("not in the device's memory"));
}

}  // namespace
