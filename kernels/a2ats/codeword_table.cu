#include "a2ats/codeword_table.cuh"

#include "exec/device/dispatch.h"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kOperation = "codeword_table";

}  // namespace

LaunchConfig mean_codeword_config(const CodewordTableArgs& args) {
  return {{blocks_for(args.head_dim, kWarpSize), static_cast<unsigned>(args.kv_heads)},
          {kMeanThreads}};
}

LaunchConfig codeword_table_config(const CodewordTableArgs& args) {
  return {{blocks_for(padded_codewords(args.codeword_count), kWarpSize),
           static_cast<unsigned>(args.kv_heads)},
          {kTableThreads},
          static_cast<std::size_t>(2 * args.head_dim) * kTablePitch * sizeof(double)};
}

void codeword_table(const CodewordTableArgs& args, Stream& stream) {
  dispatch_head_dim(kOperation, args.head_dim, [&]<int kHeadDim> {});
  require_supported(args.codeword_count >= 1 && args.codeword_count <= kMaxCodewords, kOperation,
                    "number of codewords", args.codeword_count, "1 to 65536");
  require_supported(args.kv_heads >= 0 && args.kv_heads <= 65535, kOperation, "number of KV heads",
                    args.kv_heads, "0 to 65535");
  const OperationRange range(kOperation);
  const CodewordTableTask task{args.codewords,
                               args.cholesky,
                               args.weights,
                               args.biases,
                               args.centers,
                               static_cast<int>(args.codeword_count),
                               static_cast<int>(padded_codewords(args.codeword_count)),
                               static_cast<int>(args.head_dim)};
  launch<mean_codeword>(mean_codeword_config(args), stream, task);
  launch<codeword_table_kernel>(codeword_table_config(args), stream, task);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
