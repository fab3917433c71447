// A property that must hold for every input of a fuzz target: where it does not, the process ends and the input is
// kept.
#pragma once

#include <cstdio>
#include <cstdlib>

#define PDADMM_FUZZ_REQUIRE(condition)                                                         \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                      \
        }                                                                                      \
    } while (false)
