// Any bytes as a configuration file: UsageError in one line, or options that are known, each once, and that are the
// same after having been written and read again.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "host/cli/config_file.hpp"
#include "pdadmm/error.hpp"
#include "tests/files/fuzz/require.hpp"

using namespace pdadmm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::vector<std::string> known{"--rho", "--grow", "--step", "--weight-decay", "--quiet", "--dataset",
                                         "--a",   "--b",    "--c"};
    std::vector<std::string> arguments;
    try {
        arguments = config_arguments({reinterpret_cast<const char*>(data), size}, "fuzz.toml", known);
    } catch (const UsageError& error) {
        PDADMM_FUZZ_REQUIRE(std::strchr(error.what(), '\n') == nullptr && std::strlen(error.what()) < 1000);
        return 0;
    }
    std::set<std::string> names;
    std::string written;
    for (const std::string& argument : arguments) {
        const std::string name = argument.substr(0, argument.find('='));
        PDADMM_FUZZ_REQUIRE(std::find(known.begin(), known.end(), name) != known.end());
        PDADMM_FUZZ_REQUIRE(names.insert(name).second && argument.size() <= size + name.size());
        written += config_line(name.substr(2), argument.substr(name.size() + 1));
    }
    // A file that is only just short enough may be longer when every character is escaped.
    if (written.size() <= std::size_t{64} << 10)
        PDADMM_FUZZ_REQUIRE(config_arguments(written, "again.toml", known) == arguments);
    return 0;
}
