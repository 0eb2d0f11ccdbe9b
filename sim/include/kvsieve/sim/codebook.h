#pragma once
// A2ATS codebooks: calibration on the prompts of traces, and their file (docs/file-formats.md).

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/traces/model_shape.h"
#include "kvsieve/traces/safetensors.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// What weighs the distance between a key and a codeword.
enum class CodebookKind {
  kPlain,       ///< the Euclidean distance of keys
  kQueryAware,  ///< the score error that the calibration queries would see (A2ATS eq. 14)
  kPostRope,    ///< the same with keys and queries rotated to their positions
};

/// Which queries make up the second moment H of a query-aware codebook.
enum class MomentQueries {
  kWrope,  ///< rotated to the constant distance b, as they score
  kRope,   ///< rotated to their own positions
};

/// Which keys k-means starts from (kernels/codebook_training.h defines both).
enum class CodebookSeeding {
  kPlusPlus,  ///< k-means++ among all keys
  kSampled,   ///< k-means++ among 4 keys a codeword: faster where there are many keys
};

/// How to calibrate.
struct CodebookOptions {
  CodebookKind kind = CodebookKind::kQueryAware;
  MomentQueries moment = MomentQueries::kWrope;  ///< kPostRope always takes kRope
  /// Codes keys minus their mean over the calibration, a head's own. Scores change by a constant a
  /// query, which softmax does not see, and k-means finds the same clusters; codewords are smaller,
  /// so that rounding them loses less.
  bool center_keys = false;
  std::int64_t codewords = 0;         ///< C; 0 means auto_codewords of the rows
  std::int64_t max_iterations = 300;  ///< of Lloyd's algorithm
  double tolerance = 1e-4;            ///< on the Frobenius norm of the codewords' move in z-space
  std::int64_t distance = 2048;       ///< b
  std::uint64_t seed = 0;
  CodebookSeeding seeding = CodebookSeeding::kPlusPlus;
  std::vector<std::int64_t> layers;  ///< model layer indices; empty means all captured ones
};

/// The largest power of two that leaves 16 rows a codeword, within [16, 4096].
[[nodiscard]] std::int64_t auto_codewords(std::int64_t rows) noexcept;

/// How the codebook of one KV head came about.
struct TrainingRecord {
  std::int64_t rows = 0;        ///< keys that were clustered
  std::int64_t query_rows = 0;  ///< queries behind H; 0 for a plain codebook
  std::int64_t iterations = 0;
  bool converged = false;         ///< the tolerance was met before max_iterations
  std::int64_t reseeded = 0;      ///< times an empty cluster was given a new start
  std::int64_t dead_codes = 0;    ///< codewords that no calibration key uses
  double condition_number = 1.0;  ///< of H + 1e-6 I after RMS normalisation
  std::vector<double> objective;  ///< mean weighted squared error before each update and at the end
};

/// A trace that took part in a calibration.
struct CalibrationTrace {
  std::string name;  ///< file name without folders
  std::string hash;  ///< xxh128 of the file
  std::int64_t prompt_tokens = 0;
  std::int64_t prompt_queries = 0;
};

/// Everything a codebook says of itself apart from its layers.
struct CodebookInfo {
  traces::ModelShape model;
  CodebookKind kind = CodebookKind::kQueryAware;
  MomentQueries moment = MomentQueries::kWrope;
  bool center_keys = false;
  std::int64_t codewords = 0;  ///< C
  std::int64_t distance = 2048;
  std::int64_t max_iterations = 300;
  double tolerance = 1e-4;
  std::uint64_t seed = 0;
  CodebookSeeding seeding = CodebookSeeding::kPlusPlus;
  std::string tool_version;
  std::vector<CalibrationTrace> traces;
  std::vector<std::string> warnings;
};

/// The codebooks of one layer.
struct CodebookLayer {
  std::int64_t layer = 0;             ///< index in the model
  traces::TensorView codewords;       ///< [Hkv, C, d], in the space of the keys that are coded
  traces::TensorView cholesky;        ///< [Hkv, d, d] lower triangular L, H = L L^T
  traces::TensorView mean;            ///< [Hkv, 1, d] of centred keys; no data otherwise
  std::vector<TrainingRecord> heads;  ///< [Hkv]
};

/// A codebook in memory or in a mapped file. Safe to read from several threads.
class Codebook {
 public:
  /// Maps a codebook file. Throws Error(kBadInput), one line that names the file, the field or
  /// tensor, what it holds and what was expected.
  static Codebook open(const std::filesystem::path& path);

  Codebook(Codebook&&) noexcept;
  Codebook& operator=(Codebook&&) noexcept;
  ~Codebook();

  [[nodiscard]] const CodebookInfo& info() const noexcept;
  /// The file that it was opened from; empty for one that was trained in this process.
  [[nodiscard]] std::filesystem::path path() const;
  /// Ascending by layer.
  [[nodiscard]] std::span<const CodebookLayer> layers() const noexcept;
  /// The codebooks of model layer `layer`, or nullptr.
  [[nodiscard]] const CodebookLayer* find(std::int64_t layer) const noexcept;

  /// Throws Error(kBadInput) if the codebook's head counts or head dimension are not the model's.
  void check_serves(const traces::ModelShape& model) const;

  /// Writes the file, whole or not at all. Throws Error(kUsage) if it exists and `overwrite` is
  /// false.
  void save(const std::filesystem::path& path, bool overwrite) const;

 private:
  struct Storage;
  friend class CodebookBuilder;
  explicit Codebook(std::unique_ptr<Storage> storage) noexcept;
  std::unique_ptr<Storage> m_storage;
};

/// Calibrates on the prompts of `traces`, which share one model: keys at prompt positions are
/// clustered, captured prompt queries weigh the error. Layers with a sliding window are left out.
/// Few queries (under 16 d rows a group) are named in the result's warnings. Memory is bounded by
/// one KV head plus the codebook. Bits depend on the options and traces alone, not on the number of
/// threads. `progress` is called after every k-means iteration, a
/// head counting as many as it may take; what it throws ends the training.
/// Throws Error(kBadInput) if the models differ, values are not finite, or a query-aware
/// codebook finds no captured prompt query; Error(kUsage) for options out of range.
[[nodiscard]] Codebook train_codebook(std::span<const traces::Trace* const> traces,
                                      const CodebookOptions& options,
                                      const Progress& progress = {});

/// "plain", "query-aware" and "post-rope".
[[nodiscard]] std::string_view name_of(CodebookKind kind) noexcept;
/// "wrope" and "rope".
[[nodiscard]] std::string_view name_of(MomentQueries moment) noexcept;
/// "plus-plus" and "sampled".
[[nodiscard]] std::string_view name_of(CodebookSeeding seeding) noexcept;
/// Inverses of name_of. Throw Error(kUsage) listing the supported names.
[[nodiscard]] CodebookKind codebook_kind_from_name(std::string_view name);
[[nodiscard]] MomentQueries moment_queries_from_name(std::string_view name);
[[nodiscard]] CodebookSeeding codebook_seeding_from_name(std::string_view name);

}  // namespace kvsieve::sim
