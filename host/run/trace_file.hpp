// --trace: what all ranks recorded (host/trace/recorder.hpp) as a Chrome trace, which chrome://tracing and
// ui.perfetto.dev show. A rank is a process there, with a row for its work and two for messages.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "host/train/trainer.hpp"

namespace pdadmm {

/// The trace of ranks 0, 1, ..., whose spans have one clock. Times in it begin with the first span.
std::string format_trace(const std::vector<std::vector<Span>>& ranks);

/// An empty trace, so that a path which cannot be written is refused before work. Throws OutputError.
void begin_trace(const std::filesystem::path& path);

/// Gathers every rank's spans, and rank 0 writes them. Collective, after the last iteration. Throws OutputError.
void write_trace(const std::filesystem::path& path, Trainer& trainer);

}  // namespace pdadmm
