#include "a2ats/codeword_table.cuh"

#include "exec/device/dispatch.h"
#include "exec/device/operation_range.h"
#include "exec/device/workspace.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kOperation = "codeword_table";

struct TableWorkspace {
  explicit TableWorkspace(const CodewordTableArgs& args, void* workspace)
      : layout(workspace),
        whitened(layout.take<double>(args.kv_heads * args.head_dim *
                                     padded_codewords(args.codeword_count))),
        mean(layout.take<double>(args.kv_heads * args.head_dim)) {}

  WorkspaceLayout layout;
  double* whitened;
  double* mean;
};

LaunchConfig per_codewords(const CodewordTableArgs& args, std::size_t element_bytes) {
  return {{blocks_for(padded_codewords(args.codeword_count), kWarpSize),
           static_cast<unsigned>(args.kv_heads)},
          {kTableThreads},
          static_cast<std::size_t>(args.head_dim) * kTablePitch * element_bytes};
}

}  // namespace

std::size_t codeword_table_workspace_bytes(const CodewordTableArgs& args) {
  return TableWorkspace(args, nullptr).layout.bytes();
}

LaunchConfig whiten_codewords_config(const CodewordTableArgs& args) {
  return per_codewords(args, sizeof(float));
}

LaunchConfig codeword_weights_config(const CodewordTableArgs& args) {
  return per_codewords(args, sizeof(double));
}

LaunchConfig mean_codeword_config(const CodewordTableArgs& args) {
  return {{static_cast<unsigned>(args.head_dim), static_cast<unsigned>(args.kv_heads)},
          {kMeanThreads}};
}

void codeword_table(const CodewordTableArgs& args, Stream& stream) {
  dispatch_head_dim(kOperation, args.head_dim, [&]<int kHeadDim> {});
  require_supported(args.codeword_count >= 1 && args.codeword_count <= kMaxCodewords, kOperation,
                    "number of codewords", args.codeword_count, "1 to 65536");
  require_supported(args.kv_heads >= 0 && args.kv_heads <= 65535, kOperation, "number of KV heads",
                    args.kv_heads, "0 to 65535");
  const OperationRange range(kOperation);
  const TableWorkspace space(args, args.workspace);
  const CodewordTableTask task{args.codewords,
                               args.cholesky,
                               space.whitened,
                               space.mean,
                               args.weights,
                               args.biases,
                               static_cast<int>(args.codeword_count),
                               static_cast<int>(padded_codewords(args.codeword_count)),
                               static_cast<int>(args.head_dim)};
  launch<whiten_codewords>(whiten_codewords_config(args), stream, task);
  launch<mean_codeword>(mean_codeword_config(args), stream, task);
  launch<codeword_weights>(codeword_weights_config(args), stream, task);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
