#include "malformed_files.h"

#include <sys/stat.h>

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace kvsieve::tests {
namespace {

using nlohmann::ordered_json;
using Path = std::filesystem::path;

// The shapes of the valid trace.
constexpr int kQueryHeads = 4;
constexpr int kKvHeads = 2;
constexpr int kHeadDim = 4;
constexpr int kWidth = 6;
constexpr int kPrompt = 6;
constexpr int kDecode = 2;
constexpr int kTokens = kPrompt + kDecode;
constexpr int kQueries = 5;
constexpr int kLengthBytes = 8;

/// A trace on its way to a file: the JSON parts are put together only when it is written.
struct Draft {
  ordered_json document;  // what __metadata__.kvsieve holds
  ordered_json header;    // with __metadata__.kvsieve still empty
  std::string data;
};

std::string le_bytes(std::uint64_t value, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    bytes += static_cast<char>(value >> (8 * i));
  }
  return bytes;
}

void add_tensor(Draft& draft, const std::string& name, const char* dtype,
                const std::vector<int>& shape, const std::string& bytes) {
  draft.header[name] = {{"dtype", dtype},
                        {"shape", shape},
                        {"data_offsets", {draft.data.size(), draft.data.size() + bytes.size()}}};
  draft.data += bytes;
}

std::string consecutive(int first, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    bytes += le_bytes(static_cast<std::uint64_t>(first + i), 4);
  }
  return bytes;
}

std::string ones(int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    bytes += le_bytes(0x3c00, 2);
  }
  return bytes;
}

Draft valid() {
  Draft draft;
  draft.document = ordered_json::parse(R"({
    "model": {"name": "toy", "architecture": "llama", "layers": 3, "q_heads": 4, "kv_heads": 2,
              "head_dim": 4, "width": 6,
              "rope": {"pairing": "half", "theta": 10000.0, "dim": 4,
                       "scaling": {"type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                   "high_freq_factor": 4.0,
                                   "original_max_position_embeddings": 8192},
                       "attention_factor": 1.0},
              "attention": {"scale": 0.5, "softcap": null, "sliding_window": null},
              "layer_overrides": {"2": {"attention": {"sliding_window": 4}}}},
    "captured_layers": [0, 2], "prompt_tokens": 6, "decode_tokens": 2, "dtype": "F16",
    "source": {"tool": "test", "version": "1", "prompt_sha256": "", "note": ""},
    "needle": {"begin": 1, "end": 3, "text": "needle"}})");
  draft.header["__metadata__"] = {{"format", "kvsieve.trace"}, {"version", "1"}, {"kvsieve", ""}};
  add_tensor(draft, "query_positions", "I32", {kQueries},
             consecutive(kTokens - kQueries, kQueries));
  add_tensor(draft, "tokens", "I32", {kTokens}, consecutive(100, kTokens));
  for (const char* layer : {"layers.0.", "layers.2."}) {
    const std::string prefix = layer;
    const auto add = [&](const char* part, int a, int b, int c) {
      add_tensor(draft, prefix + part, "F16", {a, b, c}, ones(a * b * c));
    };
    add("k", kKvHeads, kTokens, kHeadDim);
    add("v", kKvHeads, kTokens, kHeadDim);
    add("q", kQueryHeads, kQueries, kHeadDim);
    add("wo", kQueryHeads, kHeadDim, kWidth);
    add("out", kQueryHeads, kQueries, kHeadDim);
  }
  return draft;
}

std::string header_text(Draft draft, const std::string& document) {
  if (draft.header.is_object() && draft.header.contains("__metadata__") &&
      draft.header["__metadata__"].is_object() &&
      draft.header["__metadata__"].contains("kvsieve")) {
    draft.header["__metadata__"]["kvsieve"] = document;
  }
  return draft.header.dump();
}

std::string assemble(const std::string& header, const std::string& data) {
  return le_bytes(header.size(), kLengthBytes) + header + data;
}

/// Where in the valid trace the data section begins.
std::size_t data_offset() {
  const Draft draft = valid();
  return kLengthBytes + header_text(draft, draft.document.dump()).size();
}

void write_bytes(const Path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// Replaces the one occurrence of `from`; a table row that no longer matches must not go unseen.
void replace(std::string& text, std::string_view from, std::string_view to) {
  const std::size_t place = text.find(from);
  if (place == std::string::npos || text.find(from, place + 1) != std::string::npos) {
    throw std::logic_error("expected one occurrence of: " + std::string(from));
  }
  text.replace(place, from.size(), to);
}

std::string repeat(std::string_view text, std::size_t count) {
  std::string result;
  for (std::size_t i = 0; i < count; ++i) {
    result += text;
  }
  return result;
}

/// Adds table rows; each method changes the trace at another stage of its making.
class Table {
 public:
  /// The finished file.
  void bytes(std::string name, std::string expected, std::function<void(std::string&)> change) {
    add(std::move(name), std::move(expected), [change = std::move(change)](const Path& path) {
      std::string content = valid_trace_bytes();
      change(content);
      write_bytes(path, content);
    });
  }

  /// The header's text; the length field fits the result.
  void text(std::string name, std::string expected, std::function<void(std::string&)> change) {
    add(std::move(name), std::move(expected), [change = std::move(change)](const Path& path) {
      const Draft draft = valid();
      std::string header = header_text(draft, draft.document.dump());
      change(header);
      write_bytes(path, assemble(header, draft.data));
    });
  }

  void replaced(std::string name, std::string expected, std::string from, std::string to) {
    text(std::move(name), std::move(expected),
         [from = std::move(from), to = std::move(to)](std::string& header) {
           replace(header, from, to);
         });
  }

  /// The header's JSON; __metadata__.kvsieve is filled in afterwards where it is still there.
  void header(std::string name, std::string expected, std::function<void(ordered_json&)> change) {
    add(std::move(name), std::move(expected), [change = std::move(change)](const Path& path) {
      Draft draft = valid();
      change(draft.header);
      write_bytes(path, assemble(header_text(draft, draft.document.dump()), draft.data));
    });
  }

  /// One field of a tensor's entry.
  void tensor(std::string name, std::string expected, std::string tensor, std::string field,
              ordered_json value) {
    header(std::move(name), std::move(expected),
           [=](ordered_json& json) { json.at(tensor).at(field) = value; });
  }

  /// The text of the JSON document in __metadata__.kvsieve.
  void document_text(std::string name, std::string expected,
                     std::function<void(std::string&)> change) {
    add(std::move(name), std::move(expected), [change = std::move(change)](const Path& path) {
      const Draft draft = valid();
      std::string document = draft.document.dump();
      change(document);
      write_bytes(path, assemble(header_text(draft, document), draft.data));
    });
  }

  /// One value of the document, by JSON pointer; a discarded value removes it.
  void field(std::string name, std::string expected, const char* pointer,
             const ordered_json& value) {
    document_text(std::move(name), std::move(expected), [=](std::string& text) {
      ordered_json document = ordered_json::parse(text);
      const ordered_json::json_pointer place(pointer);
      if (value.is_discarded()) {
        document.at(place.parent_pointer()).erase(place.back());
      } else {
        document[place] = value;
      }
      text = document.dump();
    });
  }

  void add(std::string name, std::string expected, std::function<void(const Path&)> write) {
    m_rows.push_back({std::move(name), std::move(expected), std::move(write)});
  }

  std::vector<MalformedFile> take() { return std::move(m_rows); }

 private:
  std::vector<MalformedFile> m_rows;
};

void rename_key(ordered_json& json, const std::string& from, const std::string& to) {
  json[to] = json.at(from);
  json.erase(from);
}

void add_not_a_file(Table& table) {
  table.add("empty_file", "is empty", [](const Path& path) { write_bytes(path, ""); });
  table.add("missing_file", "cannot open", [](const Path&) {});
  table.add("directory", "not a regular file",
            [](const Path& path) { std::filesystem::create_directory(path); });
  table.add("fifo", "not a regular file", [](const Path& path) {
    if (::mkfifo(path.c_str(), 0600) != 0) {
      throw std::runtime_error("cannot create " + path.string());
    }
  });
  table.add("dangling_link", "cannot open",
            [](const Path& path) { std::filesystem::create_symlink("absent", path); });
  table.add("link_to_itself", "cannot open",
            [](const Path& path) { std::filesystem::create_symlink(path.filename(), path); });
  table.add("text_file", "not a safetensors file",
            [](const Path& path) { write_bytes(path, "A trace? No, a line of text.\n"); });
  table.add("zeros", "does not begin with '{'",
            [](const Path& path) { write_bytes(path, std::string(4096, '\0')); });
  table.add("gguf_file", "not a safetensors file", [](const Path& path) {
    write_bytes(path, "GGUF" + le_bytes(3, 4) + std::string(100, '\7'));
  });
}

void add_truncations(Table& table) {
  const auto cut = [&](const char* name, const char* expected, std::size_t size) {
    table.bytes(name, expected, [size](std::string& content) { content.resize(size); });
  };
  const std::size_t data = data_offset();
  const std::size_t whole = valid_trace_bytes().size();
  cut("truncated_after_one_byte", "has 1 bytes, too few", 1);
  cut("truncated_in_length_field", "has 7 bytes, too few", kLengthBytes - 1);
  cut("truncated_after_length_field", "only 0 follow", kLengthBytes);
  cut("truncated_after_first_brace", "only 1 follow", kLengthBytes + 1);
  cut("truncated_in_header", "truncated?", data / 2);
  cut("truncated_before_last_brace", "truncated?", data - 1);
  cut("truncated_before_data", "but the file has only 0", data);
  cut("truncated_in_first_tensor", "but the file has only 3", data + 3);
  cut("truncated_in_the_middle", "truncated?", data + (whole - data) / 2);
  cut("truncated_by_one_byte", "tensor layers.2.out ends at data byte", whole - 1);
  table.bytes("extended_by_one_byte", "but the file has",
              [](std::string& content) { content += '\0'; });
  table.bytes("extended_by_a_second_trace", "but the file has",
              [](std::string& content) { content += content; });
}

void add_length_fields(Table& table) {
  const auto length = [&](const char* name, const char* expected, std::uint64_t value) {
    table.bytes(name, expected, [value](std::string& content) {
      content.replace(0, kLengthBytes, le_bytes(value, kLengthBytes));
    });
  };
  const std::size_t header = data_offset() - kLengthBytes;
  length("header_length_zero", "does not begin with '{'", 0);
  length("header_length_one", "error at its byte", 1);
  length("header_length_one_short", "error at its byte", header - 1);
  length("header_length_one_long", "error at its byte", header + 1);
  length("header_length_beyond_file", "truncated?", 1'000'000);
  length("header_length_at_limit", "truncated?", 100'000'000);
  length("header_length_above_limit", "expected at most 100000000", 100'000'001);
  length("header_length_minus_one", "18446744073709551615 bytes", UINT64_MAX);
  length("header_length_overflows_offset", "18446744073709551608 bytes", UINT64_MAX - 7);
  length("header_length_high_bit", "9223372036854775808 bytes", 1ULL << 63U);
  table.bytes("header_length_big_endian", "expected at most", [header](std::string& content) {
    const std::string little = le_bytes(header, kLengthBytes);
    content.replace(0, kLengthBytes, std::string(little.rbegin(), little.rend()));
  });
}

void add_header_syntax(Table& table) {
  table.text("header_begins_with_space", "does not begin with '{'",
             [](std::string& text) { text.insert(0, " "); });
  table.text("header_is_array", "does not begin with '{'",
             [](std::string& text) { text = "[" + text + "]"; });
  table.text("header_is_string", "does not begin with '{'",
             [](std::string& text) { text = "\"" + std::string(text.size(), 'x') + "\""; });
  table.text("header_has_byte_order_mark", "does not begin with '{'",
             [](std::string& text) { text.insert(0, "\xef\xbb\xbf"); });
  table.text("header_is_one_brace", "error at its byte", [](std::string& text) { text = "{"; });
  table.text("header_has_trailing_text", "error at its byte",
             [](std::string& text) { text += " x"; });
  table.text("header_has_trailing_zero", "error at its byte",
             [](std::string& text) { text += '\0'; });
  table.text("header_has_second_object", "error at its byte",
             [](std::string& text) { text += "{}"; });
  table.text("header_has_trailing_comma", "error at its byte",
             [](std::string& text) { text.insert(text.size() - 1, ","); });
  table.text("header_has_comment", "error at its byte",
             [](std::string& text) { text.insert(1, "/* a note */"); });
  table.replaced("header_has_single_quotes", "error at its byte", "\"tokens\"", "'tokens'");
  table.replaced("header_has_nan", "error at its byte", "\"shape\":[8]", "\"shape\":[NaN]");
  table.replaced("header_number_overflows", "outside the range of a double", "\"shape\":[8]",
                 "\"shape\":[1e999]");
  table.replaced("header_has_invalid_utf8", "not valid UTF-8", "\"tokens\"", "\"tok\xffns\"");
  table.replaced("header_has_overlong_utf8", "not valid UTF-8", "\"tokens\"", "\"tok\xc0\xafns\"");
  table.replaced("header_has_lone_surrogate", "not valid UTF-8", "\"tokens\"", "\"tok\\ud800ns\"");
  table.replaced("metadata_has_invalid_utf8", "not valid UTF-8", "kvsieve.trace",
                 "kvsieve.trac\xe9");
  table.replaced("header_has_raw_newline", "error at its byte", "\"tokens\"", "\"tok\nens\"");
  table.replaced("duplicate_tensor", "\"tokens\" twice", "\"tokens\":",
                 R"("tokens":{"dtype":"I32","shape":[0],"data_offsets":[0,0]},"tokens":)");
  table.replaced("duplicate_field", "\"shape\" twice", "\"shape\":[8]",
                 "\"shape\":[8],\"shape\":[8]");
  table.replaced("duplicate_metadata_key", "\"version\" twice",
                 "\"version\":", "\"version\":\"2\",\"version\":");
  table.text("duplicate_metadata", "\"__metadata__\" twice",
             [](std::string& text) { text.insert(text.size() - 1, ",\"__metadata__\":{}"); });
  table.replaced("duplicate_key_by_escape", "twice", "\"tokens\":",
                 R"("\u0074okens":{"dtype":"I32","shape":[0],"data_offsets":[0,0]},"tokens":)");
  for (const std::size_t levels : {std::size_t{100}, std::size_t{100'000}}) {
    const std::string suffix = std::to_string(levels);
    table.replaced("header_nests_arrays_" + suffix, "levels", "\"shape\":[8]",
                   "\"shape\":" + repeat("[", levels) + repeat("]", levels));
    table.replaced("header_nests_objects_" + suffix, "levels", "\"shape\":[8]",
                   "\"shape\":" + repeat("{\"a\":", levels) + "8" + repeat("}", levels));
  }
  table.text("header_nests_without_end", "levels",
             [](std::string& text) { text = "{\"a\":" + std::string(100'000, '['); });
  table.text("header_has_a_million_keys", "keys", [](std::string& text) {
    std::string many = "{";
    for (int i = 0; i < 1'000'000; ++i) {
      many += "\"" + std::to_string(i) + "\":1,";
    }
    text = many + text.substr(1);
  });
}

void add_bit_flips(Table& table) {
  // Each flip lands on a character that JSON or the trace cannot do without.
  const auto flip = [&](const char* name, const char* expected, std::string_view at,
                        std::size_t offset, unsigned bit) {
    table.text(name, expected, [=](std::string& text) {
      const std::size_t place = text.find(at);
      if (place == std::string::npos) {
        throw std::logic_error("not in the header: " + std::string(at));
      }
      char& target = text[place + offset];
      target = static_cast<char>(static_cast<unsigned char>(target) ^ (1U << bit));
    });
  };
  flip("bit_flip_first_brace", "does not begin with '{'", "{", 0, 1);
  flip("bit_flip_quote", "error at its byte", "\"tokens\"", 0, 0);
  flip("bit_flip_colon", "error at its byte", "\"tokens\":", 8, 1);
  flip("bit_flip_high_bit", "not valid UTF-8", "\"tokens\"", 3, 7);
  flip("bit_flip_dtype", "dtype is \"D16\"", "\"F16\"", 1, 1);
  flip("bit_flip_dtype_other_size", "expected F16", "\"I32\"", 1, 3);
  flip("bit_flip_tensor_name", "layers.0.k is missing", "\"layers.0.k\"", 10, 0);
  flip("bit_flip_shape", "expected", "\"shape\":[2,8,4]", 9, 0);
  flip("bit_flip_offset", "spans", "\"data_offsets\":[0,20]", 18, 0);
  flip("bit_flip_format", "__metadata__.format is", "kvsieve.trace", 0, 0);
}

void add_layout(Table& table) {
  const auto offsets = [&](const char* name, const char* expected, const char* tensor,
                           ordered_json value) {
    table.tensor(name, expected, tensor, "data_offsets", std::move(value));
  };
  // query_positions takes data bytes [0, 20), tokens [20, 52).
  offsets("offsets_overlap", "tensors overlap", "tokens", {16, 48});
  offsets("offsets_repeat_a_range", "tensors overlap", "layers.2.k", {52, 180});
  offsets("offsets_leave_a_hole", "there is a hole", "query_positions", {20, 40});
  offsets("offsets_beyond_data", "ends at data byte", "tokens", {1'000'000, 1'000'032});
  offsets("offsets_beyond_int64", "data_offsets is [0,9223372036854775808]", "tokens",
          {0, 9223372036854775808ULL});
  offsets("offsets_near_int64", "ends at data byte 9223372036854775807", "tokens",
          {INT64_MAX - 32, INT64_MAX});
  offsets("offsets_reversed", "begin <= end", "tokens", {52, 20});
  offsets("offsets_negative", "data_offsets is [-32,0]", "tokens", {-32, 0});
  offsets("offsets_fractional", "data_offsets is [20.0,52.0]", "tokens", {20.0, 52.0});
  offsets("offsets_single", "two offsets [begin, end]", "tokens", ordered_json::array({20}));
  offsets("offsets_three", "two offsets [begin, end]", "tokens", {20, 52, 52});
  offsets("offsets_empty", "two offsets [begin, end]", "tokens", ordered_json::array());
  offsets("offsets_are_strings", "an integer", "tokens", {"20", "52"});
  offsets("offsets_are_object", "an array of integers", "tokens", ordered_json::object());
  offsets("offsets_too_short", "spans 28 bytes, expected 32", "tokens", {20, 48});
  table.text("extra_data_unclaimed", "the tensors cover 52 data bytes", [](std::string& text) {
    ordered_json json = ordered_json::parse(text);
    for (const char* layer : {"layers.0.", "layers.2."}) {
      for (const char* part : {"k", "v", "q", "wo", "out"}) {
        json.erase(std::string(layer) + part);
      }
    }
    text = json.dump();
  });

  const auto shape = [&](const char* name, const char* expected, ordered_json value) {
    table.tensor(name, expected, "tokens", "shape", std::move(value));
  };
  shape("shape_negative", "shape is [-8]", ordered_json::array({-8}));
  shape("shape_two_negatives", "shape is [-2,-4]", {-2, -4});
  shape("shape_fractional", "shape is [8.0]", ordered_json::array({8.0}));
  shape("shape_huge", "shape is [1.8446744073709552e+19]",
        ordered_json::array({18446744073709551616.0}));
  shape("shape_beyond_int64", "shape is [9223372036854775808]",
        ordered_json::array({9223372036854775808ULL}));
  shape("shape_product_overflows", "too large to address", {4294967296LL, 4294967296LL});
  shape("shape_product_wraps_to_the_size", "too large to address",
        {4611686018427387904LL, 4611686018427387904LL, 8});
  shape("shape_product_wraps_by_bytes", "too large to address",
        ordered_json::array({4611686018427387912LL}));
  shape("shape_has_null", "shape is [null]", ordered_json::array({nullptr}));
  shape("shape_is_number", "expected an array of integers", 8);
  shape("shape_too_large", "spans 32 bytes, expected 36", ordered_json::array({9}));
  shape("shape_zero", "spans 32 bytes, expected 0", ordered_json::array({0}));
  std::vector<int> many(50'000, 1);
  many.back() = kTokens;
  shape("shape_has_many_dimensions", "tensor tokens has shape [1, 1,", many);

  table.tensor("dtype_f64", "dtype is \"F64\", expected F16, BF16, F32 or I32", "layers.0.k",
               "dtype", "F64");
  table.tensor("dtype_lower_case", "dtype is \"f16\"", "layers.0.k", "dtype", "f16");
  table.tensor("dtype_number", "dtype is 16, expected", "layers.0.k", "dtype", 16);
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    table.header(std::string("tensor_without_") + field,
                 std::string("tensor tokens.") + field + " is missing",
                 [=](ordered_json& json) { json.at("tokens").erase(field); });
  }
  table.header("tensor_is_null", "tensor tokens is null, expected an object",
               [](ordered_json& json) { json["tokens"] = nullptr; });
  table.header("tensor_name_has_newline", "expected an object",
               [](ordered_json& json) { json["to\nkens\x1b[31m"] = 1; });
  table.header("tensor_name_is_long", "expected an object",
               [](ordered_json& json) { json[std::string(100'000, 'n')] = 1; });
  table.header("tensor_name_has_quotes", "expected an object",
               [](ordered_json& json) { json["\"\\\xe2\x80\xa8"] = 1; });
}

void add_metadata(Table& table) {
  const auto metadata = [&](const char* name, const char* expected, const char* key,
                            ordered_json value) {
    table.header(name, expected, [=](ordered_json& json) { json["__metadata__"][key] = value; });
  };
  table.header("metadata_missing", "__metadata__.format is",
               [](ordered_json& json) { json.erase("__metadata__"); });
  table.header("metadata_null", "__metadata__ is null, expected an object",
               [](ordered_json& json) { json["__metadata__"] = nullptr; });
  table.header("metadata_is_array", "__metadata__ is [], expected an object",
               [](ordered_json& json) { json["__metadata__"] = ordered_json::array(); });
  metadata("metadata_value_is_number", "__metadata__.version is 1, expected a string", "version",
           1);
  metadata("metadata_value_is_object", "expected a string", "extra", ordered_json::object());
  metadata("metadata_key_has_newline", "expected a string", "ex\ntra", 1);
  metadata("format_of_another_tool", "__metadata__.format is 'pt', expected 'kvsieve.trace'",
           "format", "pt");
  metadata("format_codebook", "expected 'kvsieve.trace'", "format", "kvsieve.codebook");
  metadata("format_has_newline", "expected 'kvsieve.trace'", "format", "kvsieve.trace\n\x1b[2J");
  metadata("format_is_long", "expected 'kvsieve.trace'", "format", std::string(100'000, 'f'));
  metadata("version_two", "trace version is '2', expected '1'", "version", "2");
  metadata("version_has_newline", "expected '1'", "version", "1\n");
  table.header("version_missing", "expected '1'",
               [](ordered_json& json) { json["__metadata__"].erase("version"); });
  table.header("document_missing", "__metadata__.kvsieve is missing",
               [](ordered_json& json) { json["__metadata__"].erase("kvsieve"); });
}

void add_documents(Table& table) {
  table.document_text("document_empty", "__metadata__.kvsieve is not valid",
                      [](std::string& text) { text.clear(); });
  table.document_text("document_truncated", "__metadata__.kvsieve is not valid",
                      [](std::string& text) { text.resize(text.size() / 2); });
  table.document_text("document_not_json", "__metadata__.kvsieve is not valid",
                      [](std::string& text) { text = "model: toy"; });
  table.document_text("document_is_array", "kvsieve is [], expected an object",
                      [](std::string& text) { text = "[]"; });
  table.document_text("document_is_null", "kvsieve is null, expected an object",
                      [](std::string& text) { text = "null"; });
  table.document_text("document_has_duplicate_key", "\"dtype\" twice", [](std::string& text) {
    replace(text, "\"dtype\":", "\"dtype\":\"F32\",\"dtype\":");
  });
  table.document_text(
      "document_number_overflows", "outside the range of a double",
      [](std::string& text) { replace(text, "\"theta\":10000.0", "\"theta\":1e999"); });
  table.document_text("document_nests_deep", "levels", [](std::string& text) {
    replace(text, "\"scaling\":{\"type\"",
            "\"extra\":" + repeat("{\"a\":", 100'000) + "1" + repeat("}", 100'000) +
                ",\"scaling\":{\"type\"");
  });
  table.document_text("document_nests_deep_in_override", "levels", [](std::string& text) {
    replace(text, "{\"sliding_window\":4}", repeat("[", 100'000) + repeat("]", 100'000));
  });

  const ordered_json gone(ordered_json::value_t::discarded);
  table.field("model_missing", "kvsieve.model is missing", "/model", gone);
  table.field("model_is_string", "model is \"toy\", expected an object", "/model", "toy");
  table.field("layers_zero", "model.layers is 0, expected an integer in [1,", "/model/layers", 0);
  table.field("layers_string", "model.layers is \"3\"", "/model/layers", "3");
  table.field("layers_fractional", "model.layers is 3.0", "/model/layers", 3.0);
  table.field("layers_huge", "model.layers is 1000000000000", "/model/layers", 1'000'000'000'000);
  table.field("q_heads_no_multiple", "expected a divisor of q_heads = 5", "/model/q_heads", 5);
  table.field("q_heads_changed", "expected [6, 5, 4]", "/model/q_heads", 6);
  table.field("kv_heads_zero", "model.kv_heads is 0", "/model/kv_heads", 0);
  table.field("kv_heads_above_q_heads", "model.kv_heads is 8", "/model/kv_heads", 8);
  table.field("head_dim_negative", "model.head_dim is -4", "/model/head_dim", -4);
  table.field("head_dim_changed", "has shape [2, 8, 4], expected [2, 8, 6]", "/model/head_dim", 6);
  table.field("width_changed", "has shape [4, 4, 6], expected [4, 4, 7]", "/model/width", 7);
  table.field("rope_missing", "model.rope is missing", "/model/rope", gone);
  table.field("rope_null", "model.rope is null", "/model/rope", nullptr);
  table.field("rope_dim_odd", "model.rope.dim is 3, expected an even number", "/model/rope/dim", 3);
  table.field("rope_dim_above_head_dim", "model.rope.dim is 6", "/model/rope/dim", 6);
  table.field("rope_theta_negative", "model.rope.theta is -1.0", "/model/rope/theta", -1.0);
  table.field("rope_pairing_unknown", "expected half or interleaved", "/model/rope/pairing",
              "neox");
  table.field("rope_pairing_has_newline", "expected half or interleaved", "/model/rope/pairing",
              "half\n");
  table.field("scaling_type_unknown", "type is \"longrope\", expected one of linear, llama3, yarn",
              "/model/rope/scaling/type", "longrope");
  table.field("scaling_factor_zero", "model.rope.scaling.factor is 0", "/model/rope/scaling/factor",
              0);
  table.field("scaling_bands_reversed", "high_freq_factor is 0.5",
              "/model/rope/scaling/high_freq_factor", 0.5);
  table.field("scaling_is_string", "model.rope.scaling is \"llama3\", expected an object",
              "/model/rope/scaling", "llama3");
  table.field("attention_missing", "model.attention is missing", "/model/attention", gone);
  table.field("attention_scale_negative", "model.attention.scale is -0.5", "/model/attention/scale",
              -0.5);
  table.field("sliding_window_zero", "sliding_window is 0", "/model/attention/sliding_window", 0);
  table.field("override_beyond_layers", "model.layer_overrides.3 is {}", "/model/layer_overrides/3",
              ordered_json::object());
  table.field("override_key_not_a_number", "model.layer_overrides.two",
              "/model/layer_overrides/two", ordered_json::object());
  table.field("override_key_has_newline", "expected an object under a layer number",
              "/model/layer_overrides/1\n", ordered_json::object());
  table.field("override_key_repeats_a_layer", "model.layer_overrides.02",
              "/model/layer_overrides/02", ordered_json::object());
  table.field("override_value_wrong", "model.layer_overrides.2.rope.dim is 3",
              "/model/layer_overrides/2/rope", ordered_json{{"dim", 3}});
  table.field("captured_layers_missing", "kvsieve.captured_layers is missing", "/captured_layers",
              gone);
  table.field("captured_layers_empty", "captured_layers is [], expected ascending",
              "/captured_layers", ordered_json::array());
  table.field("captured_layers_unsorted", "captured_layers is [2,0], expected ascending",
              "/captured_layers", {2, 0});
  table.field("captured_layers_duplicate", "captured_layers is [0,0,2], expected ascending",
              "/captured_layers", {0, 0, 2});
  table.field("captured_layers_out_of_range", "captured_layers is [0,3]", "/captured_layers",
              {0, 3});
  table.field("captured_layers_negative", "captured_layers is [-1,2]", "/captured_layers", {-1, 2});
  table.field("captured_layers_many", "captured_layers", "/captured_layers",
              std::vector<int>(50'000, 0));
  table.field("captured_layer_not_in_file", "tensor layers.1.k is missing", "/captured_layers",
              {0, 1, 2});
  table.field("prompt_tokens_zero", "prompt_tokens is 0", "/prompt_tokens", 0);
  table.field("prompt_tokens_huge", "prompt_tokens is 2147483648", "/prompt_tokens",
              2'147'483'648LL);
  table.field("prompt_tokens_changed", "query_positions", "/prompt_tokens", 7);
  table.field("decode_tokens_negative", "decode_tokens is -1", "/decode_tokens", -1);
  table.field("decode_tokens_overflow", "decode_tokens is 2147483647", "/decode_tokens",
              2'147'483'647LL);
  table.field("decode_tokens_more_than_queries", "query_positions", "/decode_tokens", 6);
  table.field("total_tokens_huge", "query_positions", "/decode_tokens", 2'147'483'641LL);
  table.field("document_dtype_unknown", "kvsieve.dtype is \"F64\", expected F16, BF16 or F32",
              "/dtype", "F64");
  table.field("document_dtype_integer", "kvsieve.dtype is \"I32\", expected F16, BF16 or F32",
              "/dtype", "I32");
  table.field("document_dtype_has_newline", "kvsieve.dtype is", "/dtype", "F16\n");
  table.field("document_dtype_changed", "tensor layers.0.k is F16, expected BF16", "/dtype",
              "BF16");
  table.field("source_is_string", "kvsieve.source is \"me\", expected an object", "/source", "me");
  table.field("source_note_is_number", "kvsieve.source.note is 1, expected a string",
              "/source/note", 1);
  table.field("needle_is_array", "kvsieve.needle is [1,3], expected an object", "/needle", {1, 3});
  table.field("needle_outside_prompt", "kvsieve.needle.end is 7, expected an integer in [2, 6]",
              "/needle/end", 7);
  table.field("needle_begins_outside_prompt", "kvsieve.needle.begin is 6", "/needle/begin", 6);
  table.field("needle_empty", "kvsieve.needle.end is 1", "/needle/end", 1);
  table.field("needle_negative", "kvsieve.needle.begin is -1", "/needle/begin", -1);
}

void add_tensors(Table& table) {
  const auto missing = [&](const char* name, const std::string& tensor) {
    // Renaming keeps the data covered, so that nothing but the name is wrong.
    table.header(name, "tensor " + tensor + " is missing",
                 [=](ordered_json& json) { rename_key(json, tensor, "elsewhere"); });
  };
  missing("k_missing", "layers.0.k");
  missing("v_missing", "layers.0.v");
  missing("q_missing", "layers.2.q");
  missing("wo_missing", "layers.2.wo");
  missing("query_positions_missing", "query_positions");
  table.header("layer_missing", "tensor layers.2.k is missing", [](ordered_json& json) {
    for (const char* part : {"k", "v", "q", "wo", "out"}) {
      rename_key(json, std::string("layers.2.") + part, std::string("layers.1.") + part);
    }
  });

  const auto shape = [&](const char* name, const char* expected, const char* tensor,
                         std::vector<int> value) {
    table.tensor(name, expected, tensor, "shape", std::move(value));
  };
  shape("k_shape", "tensor layers.0.k has shape [8, 2, 4], expected [2, 8, 4]", "layers.0.k",
        {8, 2, 4});
  shape("v_shape", "tensor layers.2.v has shape [2, 4, 8], expected [2, 8, 4]", "layers.2.v",
        {2, 4, 8});
  shape("q_shape", "tensor layers.0.q has shape [80], expected [4, 5, 4]", "layers.0.q", {80});
  shape("wo_shape", "tensor layers.0.wo has shape [16, 6], expected [4, 4, 6]", "layers.0.wo",
        {16, 6});
  shape("out_shape", "tensor layers.2.out has shape [4, 5, 2, 2], expected [4, 5, 4]",
        "layers.2.out", {4, 5, 2, 2});
  shape("query_positions_shape", "query_positions", "query_positions", {5, 1});
  shape("tokens_shape", "tensor tokens has shape [2, 4], expected [8]", "tokens", {2, 4});

  const auto dtype = [&](const char* name, const char* expected, const char* tensor,
                         const char* value) {
    table.tensor(name, expected, tensor, "dtype", value);
  };
  dtype("k_dtype", "tensor layers.0.k is BF16, expected F16", "layers.0.k", "BF16");
  dtype("v_dtype", "tensor layers.0.v is BF16, expected F16", "layers.0.v", "BF16");
  dtype("q_dtype", "tensor layers.2.q is BF16, expected F16", "layers.2.q", "BF16");
  dtype("wo_dtype", "tensor layers.2.wo is BF16, expected F16", "layers.2.wo", "BF16");
  dtype("out_dtype", "tensor layers.0.out is BF16, expected F16", "layers.0.out", "BF16");
  dtype("query_positions_dtype", "query_positions", "query_positions", "F32");
  dtype("tokens_dtype", "tensor tokens is F32, expected I32", "tokens", "F32");

  const auto position = [&](const char* name, std::size_t index, std::int32_t value) {
    table.bytes(name, "query_positions[", [=](std::string& content) {
      content.replace(data_offset() + 4 * index, 4, le_bytes(static_cast<std::uint32_t>(value), 4));
    });
  };
  position("query_position_skipped", 2, 6);
  position("query_position_repeated", 1, 3);
  position("query_position_negative", 0, -1);
  position("query_position_beyond_tokens", 4, 8);
  position("query_position_huge", 4, INT32_MAX);
  position("query_position_smallest", 0, INT32_MIN);
  table.header("tokens_too_few", "tensor tokens has shape [7], expected [8]",
               [](ordered_json& json) {
                 json.at("tokens").at("shape") = ordered_json::array({7});
                 json.at("tokens").at("data_offsets") = {20, 48};
                 json["rest"] = {{"dtype", "I32"}, {"shape", {1}}, {"data_offsets", {48, 52}}};
               });
  table.header("query_positions_empty", "query_positions", [](ordered_json& json) {
    json["rest"] = json.at("query_positions");
    json["query_positions"] = {{"dtype", "I32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
  });
}

}  // namespace

std::string valid_trace_bytes() {
  const Draft draft = valid();
  return assemble(header_text(draft, draft.document.dump()), draft.data);
}

std::vector<MalformedFile> malformed_files() {
  Table table;
  add_not_a_file(table);
  add_truncations(table);
  add_length_fields(table);
  add_header_syntax(table);
  add_bit_flips(table);
  add_layout(table);
  add_metadata(table);
  add_documents(table);
  add_tensors(table);
  return table.take();
}

}  // namespace kvsieve::tests
