#pragma once
// Run documents made by hand, with numbers that are easy to follow: no replay takes part.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace kvsieve::tests {

struct EvictionShape {
  std::int64_t layers = 2;
  std::int64_t heads = 2;
  std::int64_t steps = 3;
  std::int64_t prompt_tokens = 100;
  bool adaptive = true;
  bool needle = true;
  std::vector<std::int64_t> whole_layers;  ///< sliding-window layers
};

/// Head h of layer l keeps 20 tokens plus or minus a few; the adaptive run evicts 10 % of the mass
/// in layer 0 where equal budgets evict 20 %.
[[nodiscard]] nlohmann::ordered_json eviction_document(const EvictionShape& shape = {});

struct RetrievalShape {
  std::int64_t layers = 2;
  std::int64_t heads = 2;  ///< KV heads, of two query heads each
  std::int64_t steps = 3;
  bool codes = true;  ///< a2ats, otherwise exact-topk
  bool needle = true;
  std::vector<std::int64_t> whole_layers;
};

[[nodiscard]] nlohmann::ordered_json retrieval_document(const RetrievalShape& shape = {});

/// Text that must not reach a page, a table or a terminal as markup, as a name everywhere.
[[nodiscard]] std::string hostile_text();
[[nodiscard]] nlohmann::ordered_json hostile_document();

/// Only what a report cannot do without.
[[nodiscard]] nlohmann::ordered_json bare_document(const std::string& family);

struct NamedDocument {
  std::string name;
  nlohmann::ordered_json document;
};

/// Every document that is a valid run.
[[nodiscard]] std::vector<NamedDocument> valid_documents();

}  // namespace kvsieve::tests
