// Feeds a JSON document to the reader of a trace's metadata.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"
#include "kvsieve/traces/model_shape.h"
#include "kvsieve/traces/trace.h"
#include "require.h"

using kvsieve::tests::require;
using kvsieve::tests::require_bad_input;
using kvsieve::traces::ModelShape;
using nlohmann::ordered_json;

namespace {

/// A model that was accepted must survive being written and read again.
void require_round_trip(const ModelShape& model) {
  const std::string text = to_json(model).dump();
  const ModelShape back =
      kvsieve::traces::model_shape_from_json(kvsieve::traces::parse_json(text, "the model"));
  require(model.name == back.name && model.layers == back.layers && model.q_heads == back.q_heads &&
              model.kv_heads == back.kv_heads && model.head_dim == back.head_dim &&
              model.width == back.width,
          "counts round trip");
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    require(model.layer(layer) == back.layer(layer), "layers round trip");
  }
}

void read_model(std::string_view text) {
  ModelShape model;
  try {
    ordered_json json = kvsieve::traces::parse_json(text, "the document");
    if (json.is_object() && json.contains("model")) {
      json = ordered_json(json["model"]);
    }
    model = kvsieve::traces::model_shape_from_json(json);
  } catch (const kvsieve::Error& error) {
    require_bad_input(error);
    return;
  }
  require_round_trip(model);
}

/// Opens a trace with this document and one tensor, so that not every document fails.
void open_trace(std::string_view text) {
  const ordered_json header = {
      {"__metadata__",
       {{"format", "kvsieve.trace"}, {"version", "1"}, {"kvsieve", std::string(text)}}},
      {"query_positions", {{"dtype", "I32"}, {"shape", {2}}, {"data_offsets", {0, 8}}}}};
  std::string bytes;
  try {
    bytes = header.dump();
  } catch (const ordered_json::type_error&) {
    return;  // no UTF-8, so no safetensors file can hold it
  }
  std::string length;
  for (unsigned i = 0; i < 8; ++i) {
    length += static_cast<char>(bytes.size() >> (8U * i));
  }
  bytes.insert(0, length);
  bytes += std::string("\1\0\0\0\2\0\0\0", 8);
  const int descriptor = ::memfd_create("trace", MFD_CLOEXEC);
  require(::write(descriptor, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
          "the file was written");
  const std::filesystem::path path = "/proc/self/fd/" + std::to_string(descriptor);
  try {
    static_cast<void>(kvsieve::traces::Trace::open(path));
    require(false, "a trace without tensors is rejected");
  } catch (const kvsieve::Error& error) {
    require_bad_input(error);
    require(std::string_view(error.what()).rfind(path.string() + ": ", 0) == 0,
            "the message begins with the path");
  }
  ::close(descriptor);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_model(text);
  open_trace(text);
  return 0;
}
