// The probe's kernel for the host SIMT executor; CMake knows one language a source file.
#include "warp_mma_probe.cu"
