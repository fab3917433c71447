// What made a run (host/store/run_origin.hpp).
#include "host/store/run_origin.hpp"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "host/format/digest.hpp"
#include "host/format/file.hpp"
#include "host/machine/processors.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

using Json = nlohmann::ordered_json;

/// Digest of the program's own file: versions alone do not tell builds apart. "" where it cannot be read.
std::string build_digest() {
    try {
        const std::filesystem::path file = std::filesystem::read_symlink("/proc/self/exe");
        return digest_hex(read_file(file, std::uint64_t{1} << 32)).substr(0, 16);
    } catch (const std::exception&) {
        return {};
    }
}

std::string text_of(const Json& json, const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

RunOrigin new_origin(const std::string& program) {
    static const std::string build = build_digest();  // the seeds of a command share it
    std::random_device dice;
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    return {fmt::format("{:08x}{:08x}", dice(), dice()), program, build, host_name(), processor_name(), now.count()};
}

std::string to_json(const RunOrigin& o) {
    const Json json{{"id", o.id},     {"program", o.program},     {"build", o.build},
                    {"host", o.host}, {"processor", o.processor}, {"started", o.started}};
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

RunOrigin read_origin(const std::string& folder) {
    std::string text;
    try {
        text = read_text(std::filesystem::path(folder) / "origin.json", 1 << 16);
    } catch (const DataError&) {
        return {};
    }
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) return {};
    const auto started = json.find("started");
    return {text_of(json, "id"),        text_of(json, "program"),
            text_of(json, "build"),     text_of(json, "host"),
            text_of(json, "processor"), started != json.end() && started->is_number() ? started->get<double>() : 0.0};
}

}  // namespace pdadmm
