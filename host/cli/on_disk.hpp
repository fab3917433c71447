// Where memory has no room for a graph or its X: the command that augments it on disk.
#pragma once

#include <new>
#include <string>

#include "host/cli/train_options.hpp"
#include "host/machine/memory.hpp"

namespace pdadmm {

/// "on disk it takes little memory: pdadmm augment --dataset X ... --out FOLDER, then --dataset FOLDER", with the
/// options that make the same X.
std::string on_disk_advice(const TrainOptions& options);

/// work(), which reads or augments the graph of these options. What it throws because of too little memory ends with
/// that advice.
template <typename Work>
auto or_advise_disk(const TrainOptions& options, const Work& work) {
    try {
        return work();
    } catch (const TooLargeError& error) {
        throw DataError(std::string(error.what()) + "; " + on_disk_advice(options));
    } catch (const NoRoomError& error) {
        throw DeviceError(std::string(error.what()) + "; " + on_disk_advice(options));
    } catch (const std::bad_alloc&) {
        throw DeviceError("memory: none left for this graph, expected more; " + on_disk_advice(options));
    }
}

}  // namespace pdadmm
