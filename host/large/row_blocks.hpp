// Work over all rows of something large, cut into blocks that depend on shapes alone.
#pragma once

#include <functional>

#include "host/cpu/thread_pool.hpp"
#include "host/large/part.hpp"

namespace pdadmm {

/// Rows of a block where rows are nodes.
inline constexpr Index rows_of_task = 4096;

/// work(first, last) for blocks of rows, by all threads; stops at the first exception, which is thrown again, and where
/// `stopped`, asked before every block, says so.
void each_row_block(ThreadPool& pool, Index rows, Index rows_a_block, const std::function<bool()>& stopped,
                    const std::function<void(Index first, Index last)>& work);

/// Reads a part once; throws DataError where its digest is another.
void verify_part(const PartReader& part, ThreadPool& pool);

}  // namespace pdadmm
