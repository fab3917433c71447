// oracle_check DIR: compares the program with every worked example (*.json of tests/oracle/make_oracle.py) in DIR,
// prints the largest relative error per file, and exits with 1 if one is above 1e-8 (a double build; in a float build
// 1e-3).
#include <fmt/format.h>

#include <exception>

#include "tests/algorithm/oracle_case.hpp"

int main(int argc, char** argv) {
    using namespace pdadmm;
    if (argc != 2) {
        fmt::print(stderr, "usage: oracle_check DIR\n");
        return 2;
    }
    constexpr double bound = sizeof(real) == 8 ? 1e-8 : 1e-3;
    bool good = true;
    try {
        const auto backend = make_backend("cpu", {});
        const auto files = oracle_files(argv[1]);
        if (files.empty()) throw std::runtime_error("no *.json files here");
        for (const std::string& file : files)
            for (const FirstLayer first : {FirstLayer::direct, FirstLayer::node_space}) {
                const OracleError worst = compare_with_oracle(*backend, file, first, 0);
                const bool within = worst.error <= bound;
                good = good && within;
                fmt::print("{:9.2e}  {}  {}, first layer {}  ({})\n", worst.error, within ? "ok  " : "FAIL", file,
                           first == FirstLayer::direct ? "direct" : "in node space", worst.where);
            }
    } catch (const std::exception& error) {
        fmt::print(stderr, "oracle_check: {}: {}\n", argv[1], error.what());
        return 2;
    }
    return good ? 0 : 1;
}
