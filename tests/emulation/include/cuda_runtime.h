// Stand-in for CUDA's header of this name: see emulation/lane.hpp.
#pragma once

#include "emulation/atomics.hpp"
#include "emulation/device_functions.hpp"
#include "emulation/lane.hpp"
#include "emulation/runtime_api.hpp"
#include "emulation/warp.hpp"
