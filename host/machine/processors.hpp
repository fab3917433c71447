// How many processors this process may use.
#pragma once

namespace pdadmm {

/// Processors that this process may run on.
int available_processors();

}  // namespace pdadmm
