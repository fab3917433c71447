// Optuna's TPE in a Python process of its own.
#pragma once

#include <string>

namespace pdadmm {

/// The answer to a request of host/tune/tpe_search.hpp. Throws DeviceError where there is no python3, or none with
/// Optuna.
std::string ask_optuna(const std::string& request);

/// Throws what ask_optuna would, before anything is trained.
void require_optuna();

}  // namespace pdadmm
