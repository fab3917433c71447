// pdadmm_serve REGISTRY PORT: the page of runs for this machine alone, started by pdadmm runs serve. A program of its
// own, since its HTTP library brings others that no training should load.
//
// It listens on 127.0.0.1, answers GET alone, and whoever asks must know a token of chance that is printed with the
// address: other users of the machine, and pages of other sites in the same browser, do not. The Host header is checked
// too, so that a foreign name which is made to lead here is refused. Requests change nothing.
#include <fmt/format.h>
#include <httplib.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>

#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/console/words.hpp"
#include "host/registry/best.hpp"
#include "host/registry/listing.hpp"
#include "host/report/report_page.hpp"
#include "host/serve/runs_page.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

using Request = httplib::Request;
using Response = httplib::Response;

constexpr int seconds_between_looks = 5;  // at what is running
constexpr std::size_t most_compared = 8;

std::string token_of_chance() {
    std::random_device dice;
    std::string token;
    for (int i = 0; i < 4; ++i) token += fmt::format("{:08x}", dice());
    return token;
}

/// Without telling by its time how much of them is alike.
bool alike(const std::string& a, const std::string& b) {
    unsigned difference = a.size() == b.size() ? 0 : 1;
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
        difference |= static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]));
    return difference == 0;
}

void put_page(Response& response, const std::string& page, bool live) {
    response.set_content(page, "text/html; charset=utf-8");
    if (live) response.set_header("Refresh", std::to_string(seconds_between_looks));
}

class RunsServer {
public:
    RunsServer(std::string registry, std::string program)
        : registry_(std::move(registry)), program_(std::move(program)), token_(token_of_chance()) {
        server_.set_socket_options([](socket_t socket) {  // not SO_REUSEPORT: a port has one server
            const int yes = 1;
            ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        });
        server_.set_pre_routing_handler([this](const Request& request, Response& response) {
            return admitted(request, response) ? httplib::Server::HandlerResponse::Unhandled
                                               : httplib::Server::HandlerResponse::Handled;
        });
        server_.set_exception_handler([](const Request&, Response& response, const std::exception_ptr& thrown) {
            try {
                std::rethrow_exception(thrown);
            } catch (const Error& error) {
                response.status = error.code() == ExitCode::usage ? 404 : 500;
                put_page(response, message_page(error.what()), false);
            } catch (const std::exception& error) {
                response.status = 500;
                put_page(response, message_page(fmt::format("internal: {}; please report this", error.what())), false);
            }
        });
        server_.Get("/", [this](const Request& request, Response& response) { list(request, response); });
        server_.Get("/run", [this](const Request& request, Response& response) { report(request, response, 1); });
        server_.Get("/compare",
                    [this](const Request& request, Response& response) { report(request, response, most_compared); });
        server_.Get("/runs.json", [this](const Request& request, Response& response) { json(request, response); });
    }

    int run(int port) {
        port_ = port == 0 ? server_.bind_to_any_port("127.0.0.1") : server_.bind_to_port("127.0.0.1", port) ? port : -1;
        if (port_ <= 0)
            throw OutputError(
                fmt::format("--port: {} cannot be listened on, expected a free port; name another one, or 0", port));
        put_result(fmt::format("http://127.0.0.1:{}/?token={}\n", port_, token_));
        std::fflush(stdout);
        put_note("Ctrl-C ends it");
        return server_.listen_after_bind() ? 0 : static_cast<int>(ExitCode::output);
    }

private:
    std::string cookie() const { return fmt::format("pdadmm-{}={}", port_, token_); }

    bool refuse(Response& response, int status, const char* why) const {
        response.status = status;
        response.set_content(fmt::format("{}\n", why), "text/plain");
        return false;
    }

    bool admitted(const Request& request, Response& response) const {
        response.set_header("Content-Security-Policy",
                            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; form-action "
                            "'self'; base-uri 'none'; frame-ancestors 'none'");
        response.set_header("X-Content-Type-Options", "nosniff");
        response.set_header("Referrer-Policy", "no-referrer");
        response.set_header("Cache-Control", "no-store");
        const std::string host = request.get_header_value("Host");
        if (host != fmt::format("127.0.0.1:{}", port_) && host != fmt::format("localhost:{}", port_))
            return refuse(response, 403, "Host: expected this machine's own address");
        if (request.method != "GET" && request.method != "HEAD") return refuse(response, 405, "expected GET");
        if (request.has_param("token") && alike(request.get_param_value("token"), token_)) {
            response.set_header("Set-Cookie", cookie() + "; HttpOnly; SameSite=Strict; Path=/");
            response.set_redirect("/", 303);  // so that the token stays out of the history
            return false;
        }
        for (const std::string& part : words_of(request.get_header_value("Cookie")))
            if (alike(part.substr(0, part.find(';')), cookie())) return true;
        return refuse(response, 403, "no token: open the address that pdadmm runs serve printed");
    }

    std::vector<RunEntry> runs_of(RunRegistry& registry, const Request& request) const {
        return registry.runs(parse_filters(words_of(request.get_param_value("q"))));
    }

    void list(const Request& request, Response& response) const {
        RunRegistry registry = open_fresh(registry_);
        std::vector<RunEntry> runs;
        std::string fault;
        try {
            runs = runs_of(registry, request);
        } catch (const UsageError& error) {
            fault = error.what();
        }
        for (RunEntry& run : runs)
            if (run.state == "running") run = registry.run(run.folder);
        put_page(response, runs_page(runs, request.get_param_value("q"), fault, program_), false);
    }

    void report(const Request& request, Response& response, std::size_t most) const {
        RunRegistry registry = open_fresh(registry_);
        std::vector<RunRecord> records;
        bool live = false;
        for (std::size_t i = 0; i < std::min(request.get_param_value_count("id"), most); ++i) {
            const RunEntry run = registry.run(request.get_param_value("id", i));
            records.push_back(read_run(run.folder));
            live = live || run.state == "running";
        }
        if (records.empty()) throw UsageError("runs: none named, expected some; tick them in the list");
        put_page(response, report_page(records, program_), live);
    }

    void json(const Request& request, Response& response) const {
        RunRegistry registry = open_fresh(registry_);
        auto all = nlohmann::ordered_json::array();
        for (const RunEntry& run : runs_of(registry, request)) all.push_back(to_json(run));
        response.set_content(all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n",
                             "application/json");
    }

    std::string registry_, program_, token_;
    int port_ = 0;
    httplib::Server server_;
};

}  // namespace
}  // namespace pdadmm

/// Arguments: registry, port, version line; pdadmm runs serve has checked them.
int main(int argc, char** argv) {
    try {
        pdadmm::prepare_console();
        if (argc != 4) throw pdadmm::UsageError("pdadmm_serve: started by hand, expected pdadmm runs serve; use that");
        return pdadmm::RunsServer(argv[1], argv[3]).run(std::stoi(argv[2]));
    } catch (const pdadmm::Error& error) {
        pdadmm::put_note(fmt::format("pdadmm: error: {}", error.what()));
        return static_cast<int>(error.code());
    } catch (const std::exception& error) {
        pdadmm::put_note(
            fmt::format("pdadmm: error: internal: {}; please report this", pdadmm::printable(error.what(), 400)));
        return 1;
    }
}
