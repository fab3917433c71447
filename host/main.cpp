// pdadmm: picks the subcommand and turns exceptions into one line and an exit code.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <new>

#include "host/cli/commands.hpp"
#include "pdadmm/error.hpp"

namespace {

using pdadmm::ExitCode;
using Command = std::function<int(const std::vector<std::string>&)>;

constexpr const char* help =
    "pdadmm trains graph-augmented MLPs by layer-parallel ADMM (pdADMM-G, and pdADMM-G-Q with quantised messages).\n"
    "\n"
    "Usage: pdadmm COMMAND [OPTIONS]\n"
    "\n"
    "  train     train a network on a graph\n"
    "  evaluate  accuracy of a saved model on a data set\n"
    "  predict   classes of nodes by a saved model, also on a new graph\n"
    "  augment   compute and keep the augmented features\n"
    "  info      a data set, or this program: backends, build, versions\n"
    "\n"
    "pdadmm COMMAND --help shows a command's options. Try: pdadmm train\n";

int fail(ExitCode code, const char* text) {
    std::fflush(stdout);
    fmt::print(stderr, "pdadmm: error: {}\n", text);
    return static_cast<int>(code);
}

int run(int argc, char** argv) {
    const std::map<std::string, Command> commands{{"train", pdadmm::train_command},
                                                  {"evaluate", pdadmm::evaluate_command},
                                                  {"predict", pdadmm::predict_command},
                                                  {"augment", pdadmm::augment_command},
                                                  {"info", pdadmm::info_command}};
    const std::string name = argc > 1 ? argv[1] : "";
    if (name == "--help" || name == "-h" || name == "help") {
        fmt::print("{}", help);
        return 0;
    }
    if (name == "--version") {
        fmt::print("{}\n", pdadmm::version_line());
        return 0;
    }
    const auto command = commands.find(name);
    if (command == commands.end())
        throw pdadmm::UsageError(fmt::format("command '{}': unknown, expected train, evaluate, predict, augment or info; see pdadmm --help", name));
    return command->second({argv + 2, argv + argc});
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const pdadmm::Error& error) {
        return fail(error.code(), error.what());
    } catch (const std::bad_alloc&) {
        return fail(ExitCode::device, "memory: none left, expected more; use a smaller network, fewer hops or a larger machine");
    } catch (const std::exception& error) {
        return fail(ExitCode::internal, fmt::format("internal: {}; please report this", error.what()).c_str());
    }
}
