// origin.json of a run's folder: what made the run, and where. No part of its identity: a run may be resumed by another
// program on another machine, which then stands here.
#pragma once

#include <string>

namespace pdadmm {

struct RunOrigin {
    std::string id;              // 16 hexadecimal digits, by chance; a folder keeps it
    std::string program, build;  // version line, and digest of the executable file
    std::string host, processor;
    double started = 0;  // seconds since 1970, of the first start

    bool operator==(const RunOrigin&) const = default;
};

/// Of a run that this process begins now. `program` is its version line.
RunOrigin new_origin(const std::string& program);

std::string to_json(const RunOrigin& origin);

/// What the folder holds; without an id where it holds none that can be read.
RunOrigin read_origin(const std::string& folder);

}  // namespace pdadmm
