#include "kvsieve/sim/codebook.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "kvsieve/traces/error.h"
#include "replay/codebook_builder.h"
#include "replay/named_values.h"

namespace kvsieve::sim {
namespace {

constexpr NamedValues<CodebookKind, 3> kKinds{"codebook kind",
                                              {{{"plain", CodebookKind::kPlain},
                                                {"query-aware", CodebookKind::kQueryAware},
                                                {"post-rope", CodebookKind::kPostRope}}}};
constexpr NamedValues<MomentQueries, 2> kMoments{
    "moment", {{{"wrope", MomentQueries::kWrope}, {"rope", MomentQueries::kRope}}}};
constexpr NamedValues<CodebookSeeding, 2> kSeedings{
    "seeding",
    {{{"plus-plus", CodebookSeeding::kPlusPlus}, {"sampled", CodebookSeeding::kSampled}}}};

}  // namespace

std::int64_t auto_codewords(std::int64_t rows) noexcept {
  const auto wanted = static_cast<std::uint64_t>(std::clamp<std::int64_t>(rows / 16, 16, 4096));
  return static_cast<std::int64_t>(std::bit_floor(wanted));
}

Codebook::Codebook(std::unique_ptr<Storage> storage) noexcept : m_storage(std::move(storage)) {}
Codebook::Codebook(Codebook&&) noexcept = default;
Codebook& Codebook::operator=(Codebook&&) noexcept = default;
Codebook::~Codebook() = default;

const CodebookInfo& Codebook::info() const noexcept {
  return m_storage->info;
}

std::filesystem::path Codebook::path() const {
  return m_storage->file ? m_storage->file->path() : std::filesystem::path();
}

std::span<const CodebookLayer> Codebook::layers() const noexcept {
  return m_storage->layers;
}

const CodebookLayer* Codebook::find(std::int64_t layer) const noexcept {
  const auto& all = m_storage->layers;
  const auto found = std::find_if(all.begin(), all.end(), [&](const CodebookLayer& candidate) {
    return candidate.layer == layer;
  });
  return found == all.end() ? nullptr : &*found;
}

void Codebook::check_serves(const traces::ModelShape& model) const {
  const traces::ModelShape& own = info().model;
  if (own.layers != model.layers || own.q_heads != model.q_heads ||
      own.kv_heads != model.kv_heads || own.head_dim != model.head_dim) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("the codebook is for L {}, Hq {}, Hkv {}, d {} ({}), the trace has L "
                    "{}, Hq {}, Hkv {}, d {} ({})",
                    own.layers, own.q_heads, own.kv_heads, own.head_dim, own.name, model.layers,
                    model.q_heads, model.kv_heads, model.head_dim, model.name));
  }
}

CodebookBuilder::CodebookBuilder(CodebookInfo info)
    : m_storage(std::make_unique<Codebook::Storage>()) {
  m_storage->info = std::move(info);
}

void CodebookBuilder::add_layer(std::int64_t layer) {
  const std::int64_t heads = m_storage->info.model.kv_heads;
  const std::int64_t d = m_storage->info.model.head_dim;
  const auto add_tensor = [&](std::vector<std::int64_t> shape) {
    auto& values =
        m_storage->tensors.emplace_back(static_cast<std::size_t>(shape[0] * shape[1] * shape[2]));
    return traces::TensorView{reinterpret_cast<const std::byte*>(values.data()),
                              traces::DType::kF32, std::move(shape)};
  };
  CodebookLayer& added = m_storage->layers.emplace_back();
  added.layer = layer;
  added.codewords = add_tensor({heads, m_storage->info.codewords, d});
  added.cholesky = add_tensor({heads, d, d});
  if (m_storage->info.center_keys) {
    added.mean = add_tensor({heads, 1, d});
  }
  added.heads.resize(static_cast<std::size_t>(heads));
}

void CodebookBuilder::set_head(std::int64_t kv_head, TrainedHead trained) {
  const auto head = static_cast<std::size_t>(kv_head);
  const std::size_t first = m_storage->tensors.size() - (m_storage->info.center_keys ? 3 : 2);
  const auto copy = [&](const std::vector<float>& values, std::vector<float>& tensor) {
    std::copy(values.begin(), values.end(),
              tensor.begin() + static_cast<std::ptrdiff_t>(head * values.size()));
  };
  copy(trained.codebook.codewords, m_storage->tensors[first]);
  copy(trained.codebook.cholesky, m_storage->tensors[first + 1]);
  if (m_storage->info.center_keys) {
    copy(trained.mean, m_storage->tensors[first + 2]);
  }
  m_storage->layers.back().heads[head] = std::move(trained.record);
}

Codebook CodebookBuilder::finish() {
  return Codebook(std::move(m_storage));
}

std::string_view name_of(CodebookKind kind) noexcept {
  return kKinds.name(kind);
}
std::string_view name_of(MomentQueries moment) noexcept {
  return kMoments.name(moment);
}
std::string_view name_of(CodebookSeeding seeding) noexcept {
  return kSeedings.name(seeding);
}
CodebookKind codebook_kind_from_name(std::string_view name) {
  return kKinds.value(name);
}
MomentQueries moment_queries_from_name(std::string_view name) {
  return kMoments.value(name);
}
CodebookSeeding codebook_seeding_from_name(std::string_view name) {
  return kSeedings.value(name);
}

}  // namespace kvsieve::sim
