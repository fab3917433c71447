// Reading refuses what is no regular file without waiting; writing leaves the old or the new content and nothing else;
// no byte of untrusted text reaches a terminal as a command.
#include "host/console/printable.hpp"
#include "host/format/file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <random>

#include "pdadmm/error.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
namespace fs = std::filesystem;
using testing::HasSubstr;

namespace {

/// A fresh folder, removed with what is in it at the end of a test.
class File : public testing::Test {
protected:
    File() {
        std::string pattern = testing::TempDir() + "/pdadmm_file_XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
    }
    ~File() override { fs::remove_all(folder_); }

    fs::path put(const std::string& name, const std::string& text) const {
        std::ofstream(folder_ / name, std::ios::binary) << text;
        return folder_ / name;
    }
    static std::string get(const fs::path& path) {
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    std::vector<std::string> names() const {
        std::vector<std::string> out;
        for (const auto& entry : fs::directory_iterator(folder_)) out.push_back(entry.path().filename());
        return out;
    }
    fs::path folder_;
};

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

template <typename E>
std::string message(const std::function<void()>& act) {
    try {
        act();
    } catch (const E& error) {
        for (const char* c = error.what(); *c; ++c) EXPECT_FALSE(static_cast<unsigned char>(*c) < 0x20) << error.what();
        return error.what();
    }
    return "";
}
std::string read_message(const fs::path& path, std::uint64_t limit = 1000) {
    return message<DataError>([&] { read_file(path, limit); });
}

/// Runs `act` in a child process that is killed after a minute; its exit code, or -1 when it was killed.
int in_child(const std::function<int()>& act) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(60);
        int code = 99;
        try {
            code = act();
        } catch (...) {
        }
        ::_exit(code);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST(Printable, EscapesWhatSteersATerminal) {
    EXPECT_EQ(printable("plain text, with 'quotes'"), "plain text, with 'quotes'");
    EXPECT_EQ(printable("\x1b[31mred\n\r\t\x7f"), "\\x1b[31mred\\x0a\\x0d\\x09\\x7f");
    EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
    EXPECT_EQ(printable("Gr\xc3\xb6\xc3\x9f"
                        "e \xe2\x82\xac \xf0\x9f\x99\x82"),
              "Gr\xc3\xb6\xc3\x9f"
              "e \xe2\x82\xac \xf0\x9f\x99\x82");
    EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");                             // C1: one-character CSI
    EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae");                    // right-to-left override
    EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");                             // not UTF-8, cut UTF-8
    EXPECT_EQ(printable("\xc0\x80\xed\xa0\x80"), "\\xc0\\x80\\xed\\xa0\\x80");  // overlong, surrogate
    EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");           // above U+10FFFF
}

TEST(Printable, CutsAtTheLimit) {
    EXPECT_EQ(printable(std::string(80, 'x')), std::string(80, 'x'));
    EXPECT_EQ(printable(std::string(81, 'x')), std::string(77, 'x') + "...");
    EXPECT_EQ(printable(std::string(1'000'000, '\x1b')).size(), 79u);  // 19 whole escapes
    EXPECT_EQ(printable("abcdef", 5), "ab...");
    EXPECT_EQ(printable(""), "");
}

TEST(Printable, NoByteIsRawControl) {
    PDADMM_SEEDED();
    std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
    for (int round = 0; round < 2000; ++round) {
        std::string text(random() % 100, 0);
        for (char& c : text) c = static_cast<char>(random());
        for (const char c : printable(text)) ASSERT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
        ASSERT_LE(printable(text).size(), 4 * 80u);
    }
}

TEST_F(File, ReadsRegularFiles) {
    const fs::path path = put("a", std::string("x\0y", 3));
    const auto content = read_file(path, 3);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(content.data()), content.size()), std::string("x\0y", 3));
    fs::create_symlink(path, folder_ / "link");
    EXPECT_EQ(read_file(folder_ / "link", 100).size(), 3u);
    EXPECT_THAT(read_message(path, 2), HasSubstr("a: has 3 bytes, expected at most 2"));
}

TEST_F(File, MappedItIsReadWhereItLies) {
    const std::string text(3 * 4096 + 5, 'x');
    std::shared_ptr<const std::byte> memory = InputFile(put("a", text)).map();
    fs::remove(folder_ / "a");  // stays there while it is mapped
    EXPECT_EQ(std::memcmp(memory.get(), text.data(), text.size()), 0);
    char* writable = const_cast<char*>(reinterpret_cast<const char*>(memory.get()));
    EXPECT_DEATH(*writable = 'y', "");
    memory.reset();
}

TEST_F(File, MappedAndShortenedItEndsTheProcessInOneLine) {
    const auto last_of = [](const fs::path& path, std::uintmax_t left) {
        const InputFile file(path);
        const std::shared_ptr<const std::byte> memory = file.map();
        fs::resize_file(path, left);
        const volatile std::byte* last = memory.get() + file.size() - 1;
        ::_exit(*last == std::byte{'x'} ? 0 : 1);
    };
    const std::string text(5 * 4096, 'x');
    EXPECT_EXIT(last_of(put("a", text), 4096), testing::ExitedWithCode(3),
                "^pdadmm: error: [^\n]*/a: became shorter, or its disk failed, while it was in use, expected 20480 "
                "bytes; make it anew\n$");
    EXPECT_EXIT(last_of(put("b", text), text.size()), testing::ExitedWithCode(0), "");
}

TEST_F(File, RefusesWhatIsNoRegularFile) {
    EXPECT_THAT(read_message(folder_ / "missing"), HasSubstr("missing: cannot be opened: No such file"));
    EXPECT_THAT(read_message(folder_), HasSubstr("is a directory, expected a regular file"));
    EXPECT_THAT(read_message(put("empty", "")), HasSubstr("empty: is empty"));
    EXPECT_THAT(read_message("/dev/zero"), HasSubstr("/dev/zero: is a device or socket"));
    EXPECT_THAT(read_message(""), HasSubstr("cannot be opened"));
    EXPECT_THAT(read_message(folder_ / "a\x1b[2J"), HasSubstr("a\\x1b[2J: cannot be opened"));
    fs::create_symlink("self", folder_ / "self");
    EXPECT_THAT(read_message(folder_ / "self"), HasSubstr("self: cannot be opened"));
    if (::geteuid() != 0) {
        const fs::path secret = put("secret", "x");
        fs::permissions(secret, fs::perms::none);
        EXPECT_THAT(read_message(secret), HasSubstr("Permission denied"));
    }
}

TEST_F(File, DoesNotWaitForAPipe) {
    const fs::path pipe = folder_ / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_EQ(in_child([&] {
                  return read_message(pipe).find("is a pipe, expected a regular file") != std::string::npos ? 0 : 1;
              }),
              0);
}

TEST_F(File, NoticesChangesWhileReading) {
    const fs::path path = put("a", "0123456789");
    const InputFile file(path);
    std::vector<std::byte> part(4);
    file.read_at(6, part);
    EXPECT_EQ(static_cast<char>(part[0]), '6');
    EXPECT_THAT(message<DataError>([&] { file.read_at(7, part); }),
                HasSubstr("has 10 bytes, expected at least 4 more from byte 7"));
    EXPECT_THAT(message<DataError>([&] { file.read_at(~0ull, part); }), HasSubstr("has 10 bytes"));
    file.check_unchanged();
    fs::resize_file(path, 5);
    EXPECT_THAT(message<DataError>([&] { file.read_at(4, part); }), HasSubstr("became shorter"));
    EXPECT_THAT(message<DataError>([&] { file.check_unchanged(); }), HasSubstr("was changed"));
}

TEST_F(File, DescriptorsAreGivenBack) {
    const fs::path path = put("a", "content");
    const int before = ::dup(0);
    ::close(before);
    for (int i = 0; i < 50; ++i) {
        InputFile one(path), two(path);
        one = std::move(two);
        const InputFile three(std::move(one));
        read_message(folder_);
        write_file_atomically(path, bytes("content"));
        EXPECT_THROW(write_file_atomically(folder_, {}), OutputError);
    }
    const int after = ::dup(0);
    ::close(after);
    EXPECT_EQ(before, after);
}

TEST_F(File, WhatIsNoFileIsNotReplacedByOne) {
    const fs::path pipe = folder_ / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_THAT(message<OutputError>([&] { write_file_atomically(pipe, bytes("x")); }),
                HasSubstr("pipe: is a device or a pipe, expected a file name"));
    EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST_F(File, BudgetIsPlausible) {
    EXPECT_GT(default_input_budget(), std::uint64_t{16} << 20);
    EXPECT_LE(default_input_budget(), std::uint64_t{16} << 30);
}

TEST_F(File, WritesAndReplaces) {
    const fs::path path = folder_ / "out";
    write_file_atomically(path, bytes("first"));
    EXPECT_EQ(get(path), "first");
    write_file_atomically(path, {});
    EXPECT_EQ(get(path), "");
    const std::string large(5'000'000, 'z');
    write_file_atomically(path, bytes(large));
    EXPECT_EQ(get(path), large);
    EXPECT_THAT(names(), testing::ElementsAre("out"));
    const fs::path here = fs::current_path();
    fs::current_path(folder_);
    write_file_atomically("relative", bytes("x"));
    fs::current_path(here);
    EXPECT_EQ(get(folder_ / "relative"), "x");
    const std::string longest(255, 'n');
    write_file_atomically(folder_ / longest, bytes("x"));
    EXPECT_EQ(get(folder_ / longest), "x");
}

TEST_F(File, ReplacesALinkAndNotItsTarget) {
    const fs::path target = put("target", "precious"), link = folder_ / "link";
    fs::create_symlink(target, link);
    write_file_atomically(link, bytes("new"));
    EXPECT_EQ(get(target), "precious");
    EXPECT_EQ(get(link), "new");
    EXPECT_FALSE(fs::is_symlink(link));
}

TEST_F(File, StepsAroundPlantedTemporaryNames) {
    const fs::path target = put("target", "precious");
    EXPECT_EQ(in_child([&] {
                  // Whatever number is next, the name is taken by a link to the precious file.
                  for (int i = 0; i < 90; ++i)
                      fs::create_symlink(
                          target, folder_ / (".pdadmm-tmp-" + std::to_string(::getpid()) + "-" + std::to_string(i)));
                  write_file_atomically(folder_ / "out", bytes("new"));
                  return 0;
              }),
              0);
    EXPECT_EQ(get(target), "precious");
    EXPECT_EQ(get(folder_ / "out"), "new");
}

TEST_F(File, RefusesBadDestinations) {
    const auto write = [&](const fs::path& path) {
        return message<OutputError>([&] { write_file_atomically(path, bytes("x")); });
    };
    EXPECT_THAT(write(folder_ / "no" / "out"), HasSubstr("out: cannot open its directory: No such file"));
    fs::create_directory(folder_ / "directory");
    put("directory/file", "x");
    EXPECT_THAT(write(folder_ / "directory"), HasSubstr("directory: is a folder, expected a file name"));
    EXPECT_THAT(write(folder_ / "directory" / "file" / "out"), HasSubstr("cannot open its directory: Not a directory"));
    EXPECT_THAT(write(folder_ / ""), HasSubstr("is not a file name"));
    EXPECT_THAT(write(folder_ / ".."), HasSubstr("is not a file name"));
    EXPECT_THAT(write(""), HasSubstr("is not a file name"));
    EXPECT_THAT(write(folder_ / std::string(256, 'n')), HasSubstr("cannot be put in place: File name too long"));
    EXPECT_THAT(write("/proc/out"), HasSubstr("/proc/out: cannot create a temporary file beside it: "));
    EXPECT_THAT(names(), testing::ElementsAre("directory"));
}

TEST_F(File, FailedWriteLeavesTheOldFile) {
    const fs::path path = put("out", "old");
    EXPECT_EQ(in_child([&] {
                  ::signal(SIGXFSZ, SIG_IGN);
                  const struct rlimit limit = {100'000, 100'000};
                  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
                  const std::string text =
                      message<OutputError>([&] { write_file_atomically(path, bytes(std::string(200'000, 'x'))); });
                  return text.find("out: cannot be written: File too large") != std::string::npos ? 0 : 1;
              }),
              0);
    EXPECT_EQ(get(path), "old");
    EXPECT_THAT(names(), testing::ElementsAre("out"));
}
