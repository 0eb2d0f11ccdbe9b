// Codebooks: moments of queries, whitening, k-means, and the codes of keys.

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "a2ats/codebook_training_device.h"
#include "a2ats/key_encoding_device.h"
#include "device/case_groups.h"
#include "device/case_memory.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {
namespace {

using traces::DType;

struct MomentShape {
  CaseSize size;
  DType dtype;
  std::int64_t head_dim;
  std::int64_t kv_heads;
  std::int64_t group;
  std::int64_t rows;  ///< of a query head
};

DeviceCase query_moment_case(const MomentShape& shape) {
  return {fmt::format("query_moment/dtype:{}/d:{}/group:{}/rows:{}", case_name_of(shape.dtype),
                      shape.head_dim, shape.group, shape.rows),
          shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const std::int64_t d = shape.head_dim;
            const std::int64_t heads = shape.kv_heads * shape.group;
            device::QueryMomentArgs args;
            args.queries = memory.normal(heads * shape.rows * d, shape.dtype);
            args.dtype = shape.dtype;
            args.kv_heads = shape.kv_heads;
            args.group = shape.group;
            args.rows = shape.rows;
            args.head_dim = d;
            args.head_stride = shape.rows * d;
            args.row_stride = d;
            args.moments = memory.output<double>(shape.kv_heads * d * d);
            args.workspace = memory.workspace(device::query_moment_workspace_bytes(args));
            const auto bytes = static_cast<std::size_t>(shape.kv_heads * d * d) * sizeof(double);
            return make_operation(std::move(memory), args,
                                  kernels::query_moment_work(heads * shape.rows, shape.kv_heads, d,
                                                             element_bytes(shape.dtype)),
                                  [args, bytes](device::Stream& at) {
                                    device::fill_device(args.moments, 0, bytes, at);
                                    device::query_moment(args, at);
                                  });
          }};
}

/// A lower triangle with a positive diagonal.
std::vector<float> lower_factor(std::int64_t heads, std::int64_t d) {
  std::vector<float> lower = normal_numbers(heads * d * d, 7);
  for (std::int64_t i = 0; i < heads * d * d; ++i) {
    const std::int64_t row = i / d % d;
    const std::int64_t column = i % d;
    float& entry = lower[static_cast<std::size_t>(i)];
    entry = column > row ? 0.0F : column == row ? 1.0F : 0.1F * entry;
  }
  return lower;
}

DeviceCase whiten_case(CaseSize size, DType dtype, std::int64_t head_dim, std::int64_t keys) {
  return {fmt::format("whiten/dtype:{}/d:{}/n:{}", case_name_of(dtype), head_dim, keys), size,
          [=](device::Stream& stream) {
            CaseMemory memory(stream);
            device::WhitenArgs args;
            args.keys = {memory.normal(keys * head_dim, dtype), dtype, keys, head_dim, head_dim};
            args.cholesky = memory.copy(lower_factor(1, head_dim));
            args.z = memory.output<float>(keys * head_dim);
            return make_operation(std::move(memory), args,
                                  kernels::whiten_work(keys, head_dim, element_bytes(dtype)),
                                  device::whiten);
          }};
}

DeviceCase kmeans_seeds_case(CaseSize size, std::int64_t head_dim, std::int64_t points,
                             std::int64_t clusters, kernels::KMeansSeeding seeding) {
  return {fmt::format("kmeans_seeds/sampled:{}/d:{}/n:{}/clusters:{}",
                      static_cast<int>(seeding == kernels::KMeansSeeding::kSampled), head_dim,
                      points, clusters),
          size, [=](device::Stream& stream) {
            CaseMemory memory(stream);
            device::SeedsArgs args;
            args.points = {memory.normal(points * head_dim), points, head_dim, head_dim};
            args.clusters = clusters;
            args.seed = 1;
            args.seeding = seeding;
            args.seeds = memory.output<std::int32_t>(clusters);
            return make_operation(
                std::move(memory), args,
                device::kmeans_seeds_work(device::seed_candidates(args), clusters, head_dim),
                [args](device::Stream& at) { device::choose_seeds(args, at, {}); });
          }};
}

/// Two iterations from the first points, and the assignment that follows.
DeviceCase kmeans_case(CaseSize size, std::int64_t head_dim, std::int64_t points,
                       std::int64_t clusters) {
  constexpr std::int64_t kIterations = 2;
  return {fmt::format("kmeans/d:{}/n:{}/clusters:{}", head_dim, points, clusters), size,
          [=](device::Stream& stream) {
            CaseMemory memory(stream);
            const auto initial =
                std::make_shared<const std::vector<float>>(normal_numbers(clusters * head_dim, 1));
            const device::DevicePoints data{memory.normal(points * head_dim), points, head_dim,
                                            head_dim};
            float* centroids = memory.output<float>(clusters * head_dim);
            kernels::KMeansOptions options{
                .clusters = clusters, .max_iterations = kIterations, .tolerance = 0.0};
            options.initial = {initial->data(), clusters, head_dim};
            return make_operation(
                std::move(memory), std::tuple(data, options),
                kernels::codebook_training_work(kIterations, points, clusters, head_dim),
                [data, options, centroids, initial](device::Stream& at) {
                  const kernels::KMeansResult result = device::kmeans(data, options, at);
                  device::copy_to_device(centroids, result.centroids.data(),
                                         result.centroids.size() * sizeof(float), at);
                  at.synchronize();
                });
          }};
}

struct EncodingShape {
  CaseSize size;
  DType dtype;
  std::int64_t head_dim;
  std::int64_t kv_heads;
  std::int64_t codewords;
  std::int64_t tokens;
  kernels::CodeFormat format;
};

std::string name_of(const char* operation, const EncodingShape& shape) {
  return fmt::format("{}/dtype:{}/d:{}/codewords:{}/packed:{}/n:{}", operation,
                     case_name_of(shape.dtype), shape.head_dim, shape.codewords,
                     static_cast<int>(shape.format == kernels::CodeFormat::kPacked12),
                     shape.tokens);
}

DeviceCase codeword_table_case(CaseSize size, std::int64_t head_dim, std::int64_t kv_heads,
                               std::int64_t codewords) {
  return {fmt::format("codeword_table/d:{}/codewords:{}", head_dim, codewords), size,
          [=](device::Stream& stream) {
            CaseMemory memory(stream);
            const std::int64_t padded = device::padded_codewords(codewords);
            device::CodewordTableArgs args;
            args.codewords = memory.normal(kv_heads * codewords * head_dim);
            args.cholesky = memory.copy(lower_factor(kv_heads, head_dim));
            args.kv_heads = kv_heads;
            args.codeword_count = codewords;
            args.head_dim = head_dim;
            args.weights = memory.output<float>(kv_heads * head_dim * padded);
            // Padding is infinite, which results may not be.
            args.biases = static_cast<float*>(
                memory.workspace(static_cast<std::size_t>(kv_heads * padded) * sizeof(float)));
            args.centers = memory.output<float>(kv_heads * head_dim);
            return make_operation(std::move(memory), args,
                                  device::codeword_table_work(kv_heads, codewords, head_dim),
                                  device::codeword_table);
          }};
}

/// Keys, and a table that is written with the first use.
struct Encoding {
  Encoding(const EncodingShape& shape, CaseMemory& memory, device::Stream& stream) {
    const std::int64_t d = shape.head_dim;
    const std::int64_t padded = device::padded_codewords(shape.codewords);
    const auto floats = [&](std::int64_t count) {
      return static_cast<float*>(memory.workspace(static_cast<std::size_t>(count) * sizeof(float)));
    };
    device::CodewordTableArgs table;
    table.codewords = memory.normal(shape.kv_heads * shape.codewords * d);
    table.cholesky = memory.copy(lower_factor(shape.kv_heads, d));
    table.kv_heads = shape.kv_heads;
    table.codeword_count = shape.codewords;
    table.head_dim = d;
    table.weights = floats(shape.kv_heads * d * padded);
    table.biases = floats(shape.kv_heads * padded);
    table.centers = floats(shape.kv_heads * d);
    device::codeword_table(table, stream);
    stream.synchronize();
    args.keys = memory.normal(shape.kv_heads * shape.tokens * d, shape.dtype);
    args.dtype = shape.dtype;
    args.segments = shape.kv_heads;
    args.tokens = shape.tokens;
    args.head_dim = d;
    args.segment_stride = shape.tokens * d;
    args.token_stride = d;
    args.table = table.table();
    args.store.format = shape.format;
    if (shape.format == kernels::CodeFormat::kUint16) {
      args.store.stride = shape.tokens;
      args.store.codes = memory.output<std::uint16_t>(shape.kv_heads * shape.tokens);
    } else {
      args.store.stride = kernels::packed_words(shape.tokens);
      args.store.words = memory.output<std::uint32_t>(shape.kv_heads * args.store.stride);
    }
    for (std::int64_t head = 0; head < shape.kv_heads; ++head) {
      work += kernels::key_encoding_work(shape.tokens, shape.codewords, d,
                                         element_bytes(shape.dtype), shape.format);
    }
  }

  device::KeyEncodingArgs args;
  kernels::Work work;
};

DeviceCase key_encoding_case(const EncodingShape& shape) {
  return {name_of("key_encoding", shape), shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const Encoding encoding(shape, memory, stream);
            return make_operation(
                std::move(memory), encoding.args, encoding.work,
                [args = encoding.args](device::Stream& at) { device::key_encoding(args, at); });
          }};
}

/// @param shape of one token
DeviceCase append_code_case(const EncodingShape& shape) {
  return {name_of("append_code", shape), shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const Encoding encoding(shape, memory, stream);
            void* workspace = memory.workspace(device::append_code_workspace_bytes(shape.kv_heads));
            return make_operation(std::move(memory), encoding.args, encoding.work,
                                  [args = encoding.args, workspace](device::Stream& at) {
                                    device::append_code(args, workspace, at);
                                  });
          }};
}

DeviceCase unpack_codes_case(CaseSize size, std::int64_t segments, std::int64_t tokens) {
  return {fmt::format("unpack_codes/segments:{}/n:{}", segments, tokens), size,
          [=](device::Stream& stream) {
            CaseMemory memory(stream);
            const std::vector<std::uint16_t> codes =
                whole_numbers<std::uint16_t>(segments * tokens, kernels::kMaxPackedCodewords, 1);
            const std::int64_t stride = kernels::packed_words(tokens);
            std::vector<std::uint32_t> words(static_cast<std::size_t>(segments * stride));
            for (std::int64_t s = 0; s < segments; ++s) {
              kernels::pack_codes({codes.data() + s * tokens, static_cast<std::size_t>(tokens)},
                                  {words.data() + s * stride, static_cast<std::size_t>(stride)});
            }
            device::UnpackCodesArgs args;
            args.words = memory.copy(words);
            args.words_stride = stride;
            args.segments = segments;
            args.tokens = tokens;
            args.codes = memory.output<std::uint16_t>(segments * tokens);
            args.codes_stride = tokens;
            return make_operation(std::move(memory), args,
                                  kernels::unpack_codes_work(segments, tokens),
                                  device::unpack_codes);
          }};
}

}  // namespace

std::vector<DeviceCase> codebook_cases() {
  constexpr CaseSize kCounted = CaseSize::kCounted;
  constexpr CaseSize kTimed = CaseSize::kTimed;
  constexpr auto kPlusPlus = kernels::KMeansSeeding::kPlusPlus;
  constexpr auto kSampled = kernels::KMeansSeeding::kSampled;
  constexpr auto kUint16 = kernels::CodeFormat::kUint16;
  constexpr auto kPacked = kernels::CodeFormat::kPacked12;
  return {
      query_moment_case({kCounted, DType::kBF16, 128, 1, 2, 32}),
      query_moment_case({kCounted, DType::kF32, 80, 1, 1, 37}),
      query_moment_case({kTimed, DType::kF32, 128, 8, 4, 4096}),
      whiten_case(kCounted, DType::kBF16, 128, 64),
      whiten_case(kCounted, DType::kF32, 80, 77),
      whiten_case(kTimed, DType::kBF16, 128, 131'072),
      kmeans_seeds_case(kCounted, 64, 256, 8, kPlusPlus),
      kmeans_seeds_case(kCounted, 80, 201, 6, kSampled),
      kmeans_seeds_case(kTimed, 128, 32'768, 4096, kPlusPlus),
      kmeans_case(kCounted, 64, 256, 16),
      kmeans_case(kCounted, 80, 201, 13),
      kmeans_case(kTimed, 128, 131'072, 4096),
      codeword_table_case(kCounted, 64, 1, 64),
      codeword_table_case(kCounted, 80, 2, 33),
      codeword_table_case(kTimed, 128, 8, 4096),
      key_encoding_case({kCounted, DType::kBF16, 128, 1, 128, 64, kUint16}),
      key_encoding_case({kCounted, DType::kF16, 64, 2, 100, 37, kPacked}),
      key_encoding_case({kCounted, DType::kF32, 80, 1, 33, 65, kUint16}),
      key_encoding_case({kTimed, DType::kBF16, 128, 8, 4096, 32'768, kUint16}),
      append_code_case({kCounted, DType::kBF16, 128, 2, 256, 1, kUint16}),
      append_code_case({kCounted, DType::kF32, 80, 3, 200, 1, kPacked}),
      append_code_case({kTimed, DType::kBF16, 128, 8, 4096, 1, kUint16}),
      unpack_codes_case(kCounted, 2, 1024),
      unpack_codes_case(kCounted, 3, 517),
      unpack_codes_case(kTimed, 8, 131'072),
  };
}

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
