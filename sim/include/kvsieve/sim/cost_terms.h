#pragma once
// Where a modelled number comes from: every term with its formula, inputs and source.

#include <string>
#include <vector>

namespace kvsieve::sim {

/// One term of a modelled time or size.
struct CostTerm {
  std::string name;     ///< "decode attention"
  std::string formula;  ///< "floor + split + unit x waves + KV / (efficiency x bandwidth)"
  std::string inputs;   ///< "batch 8, context 61440, KV 2.0 GB, ..."
  double value = 0.0;
  std::string unit;    ///< us, bytes, ...
  std::string source;  ///< of the constants in it, and whether they are verified
  // Of an operation on a GPU or a host:
  double memory_bytes = 0.0;  ///< that cross its memory
  double flops = 0.0;
};

/// Collects terms for an explanation. Functions that take a null pointer explain nothing and build
/// no text.
using CostTerms = std::vector<CostTerm>;

}  // namespace kvsieve::sim
