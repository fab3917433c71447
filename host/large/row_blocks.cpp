// Blocks of rows on the thread pool (host/large/row_blocks.hpp).
#include "host/large/row_blocks.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <vector>

namespace pdadmm {

void each_row_block(ThreadPool& pool, Index rows, Index rows_a_block, const std::function<bool()>& stopped,
                    const std::function<void(Index, Index)>& work) {
    std::atomic<bool> ended{false};
    std::exception_ptr failure;
    std::mutex order;
    pool.run((rows + rows_a_block - 1) / rows_a_block, [&](Index block) {
        if (ended || (stopped && stopped())) return;
        try {
            work(block * rows_a_block, std::min(rows, (block + 1) * rows_a_block));
        } catch (...) {
            const std::lock_guard<std::mutex> lock(order);
            if (!failure) failure = std::current_exception();
            ended = true;
        }
    });
    if (failure) std::rethrow_exception(failure);
}

void verify_part(const PartReader& reader, ThreadPool& pool) {
    const std::uint64_t bytes = reader.part().bytes, record = reader.part().record;
    RecordDigest digest;
    each_row_block(pool, static_cast<Index>((bytes + record - 1) / record), 1, {}, [&](Index first, Index) {
        const std::uint64_t offset = static_cast<std::uint64_t>(first) * record;
        std::vector<std::byte> content(static_cast<std::size_t>(std::min(record, bytes - offset)));
        reader.read(offset, content, digest);
    });
    reader.require(digest);
}

}  // namespace pdadmm
