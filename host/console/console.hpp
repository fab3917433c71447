// What the program says: results on stdout, everything else on stderr.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace pdadmm {

/// To be called first: a standard descriptor that the caller closed is held by one that refuses, so that no file of
/// ours takes its number; a closed pipe and a file size limit arrive as errors of the call instead of signals.
void prepare_console();

/// Writes all of `bytes`: short writes are continued, EINTR is retried. 0 or the errno of the first failure.
int write_all(int fd, std::span<const std::byte> bytes);

/// Columns of the terminal behind a descriptor; `otherwise` where there is none.
std::size_t terminal_width(int fd, std::size_t otherwise);

/// Results. A reader that has seen enough (`| head -1`) is no error, what follows is dropped. Throws OutputError where
/// stdout is closed or full.
void put_result(std::string_view text);

/// One line for people, without its newline. What stderr cannot take is lost and ends no run.
void put_note(std::string_view line);
/// The same without a newline, for a line that is drawn again.
void draw_note(std::string_view text);

}  // namespace pdadmm
