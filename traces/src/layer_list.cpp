#include "kvsieve/traces/layer_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <set>

#include "kvsieve/traces/error.h"

namespace kvsieve::traces {
namespace {

[[noreturn]] void fail(std::string_view part, std::int64_t layers) {
  throw Error(ErrorKind::kUsage,
              fmt::format("--layers: '{}' is no layer or range of layers of this model, which has "
                          "layers 0 to {}",
                          part, layers - 1),
              "for example --layers 0,4,8-11 or --layers all");
}

std::int64_t parse_layer(std::string_view text, std::string_view part, std::int64_t layers) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value >= layers) {
    fail(part, layers);
  }
  return value;
}

}  // namespace

std::vector<std::int64_t> parse_layer_list(std::string_view text, std::int64_t layers) {
  if (text == "all") {
    std::vector<std::int64_t> all(static_cast<std::size_t>(layers));
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
  std::set<std::int64_t> chosen;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const std::size_t dash = part.find('-');
    const std::int64_t first = parse_layer(part.substr(0, dash), part, layers);
    const std::int64_t last =
        dash == std::string_view::npos ? first : parse_layer(part.substr(dash + 1), part, layers);
    if (last < first) {
      fail(part, layers);
    }
    for (std::int64_t layer = first; layer <= last; ++layer) {
      chosen.insert(layer);
    }
    if (comma == std::string_view::npos) {
      break;
    }
    text.remove_prefix(comma + 1);
  }
  return {chosen.begin(), chosen.end()};
}

}  // namespace kvsieve::traces
