// The backend that a test runs on: the CPU, or what PDADMM_TEST_BACKEND names, so that one test serves every backend.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "pdadmm/backend.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

inline std::string test_backend_name() {
    const char* name = std::getenv("PDADMM_TEST_BACKEND");
    return name && *name ? name : "cpu";
}

/// Numbers of threads to test with: `counts`, or the first of them on a backend that has none of its own to number.
inline std::vector<int> test_threads(std::vector<int> counts) {
    if (test_backend_name() != "cpu") counts.resize(1);
    return counts;
}

struct TestBackend {
    std::unique_ptr<Backend> backend;
    std::string missing;  // why there is none
};

inline TestBackend open_test_backend(int threads, bool graphs = true, bool fused = false) {
    BackendOptions options;
    options.threads = threads;
    options.graphs = graphs;
    options.fused = fused;
    try {
        return {make_backend(test_backend_name(), options), ""};
    } catch (const DeviceError& error) {
        return {nullptr, error.what()};
    }
}

}  // namespace pdadmm

/// Declares `name`, a unique_ptr<Backend>; skips the test with the reason where the machine has none.
#define PDADMM_TEST_BACKEND(name, threads)                             \
    auto name##_opened = ::pdadmm::open_test_backend(threads);         \
    if (!name##_opened.backend) GTEST_SKIP() << name##_opened.missing; \
    const std::unique_ptr<::pdadmm::Backend> name = std::move(name##_opened.backend)
