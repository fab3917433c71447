// pdadmm: picks the subcommand and turns exceptions into one line and an exit code.
#include <fmt/format.h>

#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <new>
#include <string_view>

#include "host/cli/commands.hpp"
#include "host/cli/options_page.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
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
    "  tune      search settings by the validation nodes, under limits\n"
    "  plan      what train would do with the same options: layers, memory and messages of each rank\n"
    "  evaluate  accuracy, F1, ROC AUC and confusions of a saved model on a graph\n"
    "  predict   classes of nodes by a saved model, also on a new graph\n"
    "  report    one page of a run, or of several side by side\n"
    "  runs      all runs that are known: list, compare, the best of a data set\n"
    "  augment   compute and keep the augmented features\n"
    "  info      a data set, or this program: backends, build, versions\n"
    "\n"
    "pdadmm COMMAND --help shows a command's options. Try: pdadmm train\n";

int fail(ExitCode code, const char* text) {
    pdadmm::put_note(fmt::format("pdadmm: error: {}", text));
    return static_cast<int>(code);
}

/// Prints OPTIONS.md.
int print_options(const std::map<std::string, Command>& commands) {
    pdadmm::put_result(pdadmm::options_page_head());
    for (const char* name : {"train", "tune", "plan", "evaluate", "predict", "report", "runs", "augment", "info"}) {
        commands.at(name)({"--help-markdown"});
        if (name == std::string_view("train")) pdadmm::put_result(pdadmm::presets_section());
    }
    return 0;
}

/// A path that could not even be asked about: most often the current folder was removed under the shell.
std::string what_of(const std::filesystem::filesystem_error& error) {
    std::error_code gone;
    if (std::filesystem::current_path(gone).empty())
        return fmt::format("the current folder: {}, expected one that exists; change into another, or back into it",
                           gone.message());
    return fmt::format("{}: {}, expected the file system to take it; mend that or name another path",
                       pdadmm::printable_path(error.path1()), error.code().message());
}

int run(int argc, char** argv) {
    const std::map<std::string, Command> commands{
        {"train", pdadmm::train_command},     {"tune", pdadmm::tune_command},
        {"plan", pdadmm::plan_command},       {"evaluate", pdadmm::evaluate_command},
        {"predict", pdadmm::predict_command}, {"report", pdadmm::report_command},
        {"runs", pdadmm::runs_command},       {"augment", pdadmm::augment_command},
        {"info", pdadmm::info_command}};
    if (argc < 2)
        throw pdadmm::UsageError(
            "command: none, expected train, tune, plan, evaluate, predict, report, runs, augment or info; see pdadmm "
            "--help");
    std::vector<std::string> arguments(argv + 2, argv + argc);
    std::string name = argv[1];
    if (name == "help" && arguments == std::vector<std::string>{"options"}) return print_options(commands);
    if (name == "help" && !arguments.empty()) {  // help COMMAND
        name = arguments[0];
        arguments = {"--help"};
    }
    if (name == "--help" || name == "-h" || name == "help") {
        pdadmm::put_result(help);
        return 0;
    }
    if (name == "--version") {
        pdadmm::put_result(pdadmm::version_line() + "\n");
        return 0;
    }
    const auto command = commands.find(name);
    if (command == commands.end())
        throw pdadmm::UsageError(fmt::format(
            "command '{}': unknown, expected train, tune, plan, evaluate, predict, report, runs, augment or info; see "
            "pdadmm --help",
            pdadmm::printable(name)));
    return command->second(arguments);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        pdadmm::prepare_console();
        return run(argc, argv);
    } catch (const pdadmm::Error& error) {
        return fail(error.code(), error.what());
    } catch (const std::bad_alloc&) {
        return fail(ExitCode::device,
                    "memory: none left, expected more; use a smaller network, fewer hops or a larger machine");
    } catch (const std::filesystem::filesystem_error& error) {
        return fail(ExitCode::output, what_of(error).c_str());
    } catch (const std::exception& error) {
        return fail(ExitCode::internal,
                    fmt::format("internal: {}; please report this", pdadmm::printable(error.what(), 400)).c_str());
    }
}
