#include "kvsieve/sim/sweep_row_fields.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <type_traits>
#include <utility>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {

std::string SweepField::text() const {
  return std::visit(
      [](const auto& held) -> std::string {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::monostate>) {
          return {};
        } else if constexpr (std::is_same_v<Held, std::string>) {
          return held;
        } else {
          return fmt::format("{}", held);
        }
      },
      value);
}

std::optional<double> SweepField::number() const {
  return std::visit(
      [](const auto& held) -> std::optional<double> {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_arithmetic_v<Held> && !std::is_same_v<Held, bool>) {
          return static_cast<double>(held);
        } else {
          return std::nullopt;
        }
      },
      value);
}

class SweepRowFields::FlatObject : public nlohmann::json_sax<nlohmann::json> {
 public:
  /// False if `json` is anything else. Empty text is an object without fields.
  bool read(std::string_view json) {
    m_size = 0;
    m_depth = 0;
    return json.empty() || nlohmann::json::sax_parse(json, this);
  }

  std::span<const SweepField> fields() const { return {m_fields.data(), m_size}; }

  bool null() override { return set(std::monostate()); }
  bool boolean(bool value) override { return set(value); }
  bool number_integer(std::int64_t value) override { return set(value); }
  bool number_unsigned(std::uint64_t value) override { return set(value); }
  bool number_float(double value, const std::string&) override { return set(value); }
  bool string(std::string& value) override { return set(value); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return ++m_depth == 1; }
  bool key(std::string& name) override {
    if (m_size == m_fields.size()) {
      m_fields.emplace_back();
    }
    m_fields[m_size++].name = name;
    return true;
  }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return false; }
  bool end_array() override { return false; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;
  }

 private:
  template <class T>
  bool set(const T& value) {
    if (m_depth != 1) {
      return false;
    }
    m_fields[m_size - 1].value = value;
    return true;
  }

  std::vector<SweepField> m_fields;  // those behind m_size keep their memory for the next object
  std::size_t m_size = 0;
  int m_depth = 0;
};

SweepRowFields::SweepRowFields()
    : m_options(std::make_unique<FlatObject>()), m_metrics(std::make_unique<FlatObject>()) {}

SweepRowFields::~SweepRowFields() = default;

void SweepRowFields::read(const SweepRow& row) {
  const auto read_one = [&](FlatObject& object, const std::string& json, const char* name) {
    if (!object.read(json)) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("the store is damaged: {} of point {} are {}, expected an object "
                              "of numbers and texts",
                              name, row.number, traces::printable(json)));
    }
  };
  read_one(*m_options, row.options, "the options");
  read_one(*m_metrics, row.metrics, "the metrics");
}

std::span<const SweepField> SweepRowFields::options() const noexcept {
  return m_options->fields();
}

std::span<const SweepField> SweepRowFields::metrics() const noexcept {
  return m_metrics->fields();
}

}  // namespace kvsieve::sim
