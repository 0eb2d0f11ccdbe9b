#include "kvsieve/kernels/parallel_tasks.h"

#include "exec/cpu/parallel.h"

namespace kvsieve::kernels {

void parallel_tasks(std::int64_t count, const std::function<void(std::int64_t)>& body) {
  parallel_for_index(count, body);
}

}  // namespace kvsieve::kernels
