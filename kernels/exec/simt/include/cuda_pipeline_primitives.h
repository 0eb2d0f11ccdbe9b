#pragma once
// In place of the toolkit's header of this name.

#include <cuda_runtime.h>

#include "exec/simt/intrinsics/async_copy.h"
