#include "exec/ptx/types.h"

#include <array>
#include <utility>

namespace kvsieve::ptx {
namespace {

struct TypeTraits {
  std::string_view name;
  unsigned bytes;
};

// In the order of Type.
constexpr std::array<TypeTraits, 20> kTypes = {
    {{"pred", 0}, {"b8", 1},    {"b16", 2},  {"b32", 4},    {"b64", 8}, {"b128", 16}, {"u8", 1},
     {"u16", 2},  {"u32", 4},   {"u64", 8},  {"s8", 1},     {"s16", 2}, {"s32", 4},   {"s64", 8},
     {"f16", 2},  {"f16x2", 4}, {"bf16", 2}, {"bf16x2", 4}, {"f32", 4}, {"f64", 8}}};

}  // namespace

std::optional<Type> parse_type(std::string_view suffix) {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].name == suffix) {
      return static_cast<Type>(i);
    }
  }
  return std::nullopt;
}

std::string_view to_text(Type type) {
  return kTypes[static_cast<std::size_t>(type)].name;
}

unsigned size_of(Type type) {
  return kTypes[static_cast<std::size_t>(type)].bytes;
}

bool is_signed(Type type) {
  return type >= Type::kS8 && type <= Type::kS64;
}

bool is_float(Type type) {
  return type == Type::kF32 || type == Type::kF64;
}

bool is_half(Type type) {
  return type >= Type::kF16 && type <= Type::kBf16x2;
}

std::optional<Space> parse_space(std::string_view suffix) {
  constexpr std::array<std::pair<std::string_view, Space>, 5> kSpaces = {
      {{"global", Space::kGlobal},
       {"shared", Space::kShared},
       {"local", Space::kLocal},
       {"param", Space::kParam},
       {"const", Space::kConst}}};
  // shared::cta, param::entry and their like name the space itself.
  for (const auto& [name, space] : kSpaces) {
    if (suffix == name || (suffix.starts_with(name) && suffix.substr(name.size()) == "::cta") ||
        (suffix.starts_with(name) && suffix.substr(name.size()) == "::entry")) {
      return space;
    }
  }
  return std::nullopt;
}

}  // namespace kvsieve::ptx
