#include "gguf_file.h"

#include <fmt/format.h>
#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <utility>

#include "kvsieve/traces/error.h"

namespace kvsieve::record {
namespace {

template <typename T>
std::vector<double> widen(const void* data, std::size_t count) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, static_cast<const char*>(data) + i * sizeof(T), sizeof(T));
    values[i] = static_cast<double>(value);
  }
  return values;
}

/// Empty for types that are no numbers.
std::optional<std::vector<double>> widen(gguf_type type, const void* data, std::size_t count) {
  switch (type) {
    case GGUF_TYPE_UINT8:
      return widen<std::uint8_t>(data, count);
    case GGUF_TYPE_INT8:
    case GGUF_TYPE_BOOL:
      return widen<std::int8_t>(data, count);
    case GGUF_TYPE_UINT16:
      return widen<std::uint16_t>(data, count);
    case GGUF_TYPE_INT16:
      return widen<std::int16_t>(data, count);
    case GGUF_TYPE_UINT32:
      return widen<std::uint32_t>(data, count);
    case GGUF_TYPE_INT32:
      return widen<std::int32_t>(data, count);
    case GGUF_TYPE_UINT64:
      return widen<std::uint64_t>(data, count);
    case GGUF_TYPE_INT64:
      return widen<std::int64_t>(data, count);
    case GGUF_TYPE_FLOAT32:
      return widen<float>(data, count);
    case GGUF_TYPE_FLOAT64:
      return widen<double>(data, count);
    default:
      return std::nullopt;
  }
}

}  // namespace

GgufFile::GgufFile(std::filesystem::path path) : m_path(std::move(path)) {
  if (std::error_code error; !std::filesystem::is_regular_file(m_path, error)) {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: no such file", m_path.string()));
  }
  m_context.reset(gguf_init_from_file(m_path.c_str(), {.no_alloc = true, .ctx = nullptr}));
  if (!m_context) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: not a sound GGUF model file", m_path.string()));
  }
}

std::vector<double> GgufFile::numbers(const std::string& key) const {
  const std::int64_t id = gguf_find_key(m_context.get(), key.c_str());
  if (id < 0) {
    return {};
  }
  const gguf_type type = gguf_get_kv_type(m_context.get(), id);
  const bool array = type == GGUF_TYPE_ARRAY;
  const gguf_type element = array ? gguf_get_arr_type(m_context.get(), id) : type;
  std::optional<std::vector<double>> values;
  // gguf.h aborts the process when strings are asked for their raw data.
  if (element != GGUF_TYPE_STRING && element != GGUF_TYPE_ARRAY) {
    values = array ? widen(element, gguf_get_arr_data(m_context.get(), id),
                           gguf_get_arr_n(m_context.get(), id))
                   : widen(element, gguf_get_val_data(m_context.get(), id), 1);
  }
  if (!values) {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: {} holds {}, expected a number",
                                                  m_path.string(), key, gguf_type_name(element)));
  }
  return *values;
}

std::optional<double> GgufFile::number(const std::string& key) const {
  const std::vector<double> values = numbers(key);
  if (values.empty()) {
    return std::nullopt;
  }
  if (std::any_of(values.begin(), values.end(),
                  [&](double value) { return value != values.front(); })) {
    throw Error(ErrorKind::kMissingCapability,
                fmt::format("{}: {} differs from layer to layer, which a trace cannot express",
                            m_path.string(), key));
  }
  return values.front();
}

std::int64_t GgufFile::count(const std::string& key) const {
  const std::optional<double> value = number(key);
  if (!value || *value < 1 || *value > 1e9 || std::trunc(*value) != *value) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: {} is {}, expected a positive integer", m_path.string(), key,
                            value ? fmt::format("{}", *value) : "missing"));
  }
  return static_cast<std::int64_t>(*value);
}

std::string GgufFile::text(const std::string& key, std::string fallback) const {
  const std::int64_t id = gguf_find_key(m_context.get(), key.c_str());
  if (id < 0) {
    return fallback;
  }
  if (gguf_get_kv_type(m_context.get(), id) != GGUF_TYPE_STRING) {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: {} is no string", m_path.string(), key));
  }
  return gguf_get_val_str(m_context.get(), id);
}

bool GgufFile::has_tensor(const std::string& name) const {
  return gguf_find_tensor(m_context.get(), name.c_str()) >= 0;
}

std::vector<float> GgufFile::tensor(const std::string& name) const {
  const std::int64_t id = gguf_find_tensor(m_context.get(), name.c_str());
  if (id < 0) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: the file has no tensor {}", m_path.string(), name));
  }
  const ggml_type type = gguf_get_tensor_type(m_context.get(), id);
  const std::size_t size = gguf_get_tensor_size(m_context.get(), id);
  std::vector<char> bytes(size);
  std::ifstream file(m_path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(gguf_get_data_offset(m_context.get()) +
                                         gguf_get_tensor_offset(m_context.get(), id)));
  if (!file.read(bytes.data(), static_cast<std::streamsize>(size))) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: the file ends before tensor {} does", m_path.string(), name));
  }
  const auto block = static_cast<std::size_t>(ggml_blck_size(type));
  std::vector<float> values(size / ggml_type_size(type) * block);
  if (type == GGML_TYPE_F32) {
    std::memcpy(values.data(), bytes.data(), size);
    return values;
  }
  const ggml_type_traits* traits = ggml_get_type_traits(type);
  if (traits->to_float == nullptr) {
    throw Error(ErrorKind::kMissingCapability,
                fmt::format("{}: tensor {} is of type {}, which llama.cpp cannot turn into fp32",
                            m_path.string(), name, ggml_type_name(type)));
  }
  traits->to_float(bytes.data(), values.data(), static_cast<std::int64_t>(values.size()));
  return values;
}

}  // namespace kvsieve::record
