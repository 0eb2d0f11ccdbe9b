#pragma once
// Independent pieces of work on the threads of the CPU backend, for the libraries above.

#include <cstdint>
#include <functional>

namespace kvsieve::kernels {

/// Calls body(i) once for every i in [0, count), several at a time and in any order. What a body
/// throws ends the loop and is thrown again, once those that run have ended.
void parallel_tasks(std::int64_t count, const std::function<void(std::int64_t)>& body);

}  // namespace kvsieve::kernels
