// The words of host/cli/on_disk.hpp.
#include "host/cli/on_disk.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "host/cli/option_table.hpp"
#include "host/console/printable.hpp"

namespace pdadmm {

std::string on_disk_advice(const TrainOptions& options) {
    const auto arguments = [](const TrainOptions& o) {
        std::vector<std::string> all = augment_arguments(o);
        all.push_back("--split=" + o.split);
        all.push_back(fmt::format("--split-seed={}", o.split_seed));
        return all;
    };
    const std::vector<std::string> usual = arguments(TrainOptions{});
    std::string command = "pdadmm augment --dataset " + printable(options.dataset);
    for (const std::string& argument : arguments(options))
        if (std::find(usual.begin(), usual.end(), argument) == usual.end()) command += " " + printable(argument);
    return fmt::format("on disk it takes little memory: {} --out FOLDER, then --dataset FOLDER", command);
}

}  // namespace pdadmm
