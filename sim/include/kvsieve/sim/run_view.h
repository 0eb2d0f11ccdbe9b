#pragma once
// A run's document as reports read it: the frame is checked and typed, figures are looked up by
// key. All text is clean (clean_text.h).

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvsieve::sim {

/// Part of a document, with the path that leads to it for error messages.
class Node {
 public:
  Node() = default;
  /// Throws Error(kBadInput) if `json` is no object. `json` must outlive the node.
  Node(const nlohmann::ordered_json& json, std::string path);

  [[nodiscard]] const nlohmann::ordered_json& json() const { return *m_json; }
  [[nodiscard]] const std::string& path() const { return m_path; }

  /// The number at "uniform/evicted_mass" and the like; nothing if it or an object on the way is
  /// absent or null. Throws Error(kBadInput) if it is something else than a finite number.
  [[nodiscard]] std::optional<double> number(std::string_view keys) const;
  /// The integer of a key, within [0, 10^15].
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key) const;
  [[nodiscard]] std::int64_t integer_or(std::string_view key, std::int64_t fallback) const;
  [[nodiscard]] std::string text(std::string_view key, std::string_view fallback = "") const;
  [[nodiscard]] bool flag(std::string_view key, bool fallback) const;
  /// The object of a key, or nothing if it is absent or null.
  [[nodiscard]] std::optional<Node> child(std::string_view key) const;
  /// The objects in the array of a key; none if it is absent or null.
  [[nodiscard]] std::vector<Node> children(std::string_view key) const;

 private:
  [[nodiscard]] const nlohmann::ordered_json* find(std::string_view key) const;
  [[noreturn]] void fail(std::string_view key, std::string_view expected) const;

  const nlohmann::ordered_json* m_json = nullptr;
  std::string m_path;
};

enum class Family { kEviction, kRetrieval };

/// Tokens [begin, end) of the prompt.
struct TokenRun {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

struct NeedleView {
  TokenRun tokens;
  std::string text;
};

struct TraceView {
  std::string file;  ///< without its folder
  std::string hash;
  std::string model;
  std::string dtype;
  std::int64_t layers = 0;
  std::int64_t captured_layers = 0;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t prompt_queries = 0;
  std::int64_t decode_steps = 0;
  bool synthetic = false;  ///< generated, says nothing about a model
  std::optional<NeedleView> needle;
};

struct LayerView {
  std::int64_t layer = 0;
  Node node;
  std::vector<Node> heads;
};

/// One run.
struct RunView {
  /// @param position in the report, from 1
  /// Throws Error(kBadInput), one line that begins with "run <position>".
  RunView(const nlohmann::ordered_json& document, std::size_t position);

  std::size_t number;
  Node document;
  Family family = Family::kEviction;
  std::string origin;       ///< of everything but the cost; "synthetic" if the trace is
  std::string cost_origin;  ///< of the cost
  TraceView trace;
  Node method;
  std::string method_name;
  std::string budget;  ///< "20%", "512" or "64MiB"; top K of retrieval; empty if there is none
  std::string remark;  ///< what sets it apart from runs of the same name: "granularity query"
  bool adaptive = false;
  std::string unit_name;                   ///< "KV head" or "query head"
  std::vector<LayerView> layers;           ///< the replayed ones
  std::vector<std::int64_t> whole_layers;  ///< sliding-window layers, which are left whole
  std::vector<Node> steps;
  std::vector<std::string> warnings;

  [[nodiscard]] std::optional<double> summary(std::string_view keys) const;
  [[nodiscard]] std::optional<double> cost(std::string_view key) const;
  /// "ada-snapkv, budget 20%", "a2ats, top 3%, hot_buffer_tokens 64".
  [[nodiscard]] std::string label() const;

 private:
  void read_trace();
  void read_method();
  void read_layers();
};

/// Ranges of one head's `kept_runs`, checked to ascend within the prompt.
[[nodiscard]] std::vector<TokenRun> kept_runs(const Node& head, std::int64_t prompt_tokens);

/// Views of all runs, with remarks where names and budgets coincide. Throws Error(kUsage) if there
/// are none.
[[nodiscard]] std::vector<RunView> view_runs(const nlohmann::ordered_json* begin,
                                             std::size_t count);

}  // namespace kvsieve::sim
