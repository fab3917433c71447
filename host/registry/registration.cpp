// Entering of runs by the commands that make them (host/registry/registration.hpp).
#include "host/registry/registration.hpp"

#include <fmt/format.h>

#include "host/console/printable.hpp"
#include "host/console/words.hpp"
#include "host/registry/run_registry.hpp"

namespace pdadmm {
namespace {

constexpr double patience_s = 2;

}  // namespace

Registration::Registration(std::string choice, std::function<void(const std::string&)> warn)
    : choice_(std::move(choice)), warn_(std::move(warn)), off_(choice_ == "off") {}

std::filesystem::path Registration::file_of(const std::filesystem::path& run_folder) const {
    return choice_.empty() ? registry_beside(run_folder) : registry_file(choice_);
}

bool Registration::has_registry(const std::filesystem::path& run_folder) const {
    std::error_code ignored;
    return !off_ && std::filesystem::exists(file_of(run_folder), ignored);
}

void Registration::attempt(const std::function<void()>& act) noexcept {
    if (off_) return;
    try {
        act();
    } catch (const std::exception& error) {
        if (off_.exchange(true)) return;  // for the rest of the command: nothing is waited for twice
        try {
            warn_(warning_line(fmt::format("runs are not entered: {}", printable(error.what(), 600))));
        } catch (...) {
            return;
        }
    }
}

void Registration::enter(const std::filesystem::path& run_folder) noexcept {
    attempt([&] {
        if (is_run(run_folder))
            RunRegistry(file_of(run_folder), RunRegistry::Access::make, patience_s).enter(read_entry(run_folder));
    });
}

void Registration::enter_evaluation(const std::filesystem::path& run_folder,
                                    const EvaluationEntry& evaluation) noexcept {
    attempt([&] {
        if (has_registry(run_folder))
            RunRegistry(file_of(run_folder), RunRegistry::Access::write, patience_s)
                .enter_evaluation(run_folder, evaluation);
    });
}

}  // namespace pdadmm
