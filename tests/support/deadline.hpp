// Every wait in a test has a limit: past it the process is killed by SIGALRM, and the test has failed.
#pragma once

#include <unistd.h>

namespace pdadmm {

class Deadline {
public:
    explicit Deadline(unsigned seconds) { ::alarm(seconds); }
    ~Deadline() { ::alarm(0); }
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;
};

}  // namespace pdadmm
