#include "kvsieve/traces/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "fails_with.h"
#include "temporary_folder.h"

namespace kvsieve::traces {
namespace {

using tests::fails_with;
using tests::read_bytes;
using tests::TemporaryFolder;
using tests::write_bytes;

std::vector<float> floats_of(const TensorView& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  to_float(tensor.dtype, tensor.data, values);
  return values;
}

std::vector<std::int32_t> integers_of(const TensorView& tensor) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(tensor.elements()));
  std::memcpy(values.data(), tensor.data, tensor.bytes());
  return values;
}

/// 0, 1, 2, ...: exact in every dtype up to 256.
std::vector<float> counting(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0F);
  return values;
}

/// Length, header and data as the format lays them out, without any padding.
std::string file_of(const std::string& header, const std::string& data) {
  std::string bytes;
  for (unsigned i = 0; i < 8; ++i) {
    bytes += static_cast<char>(header.size() >> (8U * i));
  }
  return bytes + header + data;
}

SafetensorsHeader parse(const std::string& bytes) {
  return parse_safetensors_header(std::as_bytes(std::span(bytes)), bytes.size());
}

TEST(safetensors, tensors_round_trip) {
  const TemporaryFolder folder;
  const std::vector<float> values = counting(24);
  const std::vector<std::int32_t> ids{-7, INT32_MAX, INT32_MIN};
  {
    SafetensorsWriter writer(folder / "a.safetensors", {{"key", "value"}, {"empty", ""}},
                             {{"f16", DType::kF16, {2, 3, 4}},
                              {"bf16", DType::kBF16, {24}},
                              {"f32", DType::kF32, {24, 1}},
                              {"ids", DType::kI32, {3}},
                              {"none", DType::kF32, {0, 5}},
                              {"scalar", DType::kF32, {}}},
                             false);
    for (const char* name : {"f16", "bf16", "f32"}) {
      writer.write(name, 0, values);
    }
    writer.write("ids", 0, ids);
    writer.write("scalar", 0, std::array{2.5F});
    writer.commit();
  }
  const SafetensorsFile file = SafetensorsFile::open(folder / "a.safetensors");
  EXPECT_EQ((std::map<std::string, std::string>{{"key", "value"}, {"empty", ""}}),
            file.header().metadata);
  EXPECT_EQ(6U, file.header().tensors.size());
  EXPECT_EQ(std::filesystem::file_size(folder / "a.safetensors"), file.file_size());
  EXPECT_EQ((std::vector<std::int64_t>{2, 3, 4}), file.tensor("f16").shape);
  EXPECT_EQ(DType::kBF16, file.tensor("bf16").dtype);
  for (const char* name : {"f16", "bf16", "f32"}) {
    EXPECT_EQ(values, floats_of(file.tensor(name))) << name;
  }
  EXPECT_EQ(ids, integers_of(file.tensor("ids")));
  EXPECT_EQ(0, file.tensor("none").elements());
  EXPECT_EQ((std::vector{2.5F}), floats_of(file.tensor("scalar")));
}

TEST(safetensors, data_begins_aligned_and_in_declared_order) {
  const TemporaryFolder folder;
  for (std::size_t length = 1; length < 130; length += 7) {
    SafetensorsWriter writer(folder / "a", {{"pad", std::string(length, 'x')}},
                             {{"z", DType::kF16, {1}}, {"a", DType::kF16, {1}}}, true);
    writer.write("z", 0, std::array{1.0F});
    writer.write("a", 0, std::array{2.0F});
    writer.commit();
    const SafetensorsFile file = SafetensorsFile::open(folder / "a");
    EXPECT_EQ(0U, file.header().data_offset % 64);
    EXPECT_EQ("z", file.header().tensors.front().name);
    EXPECT_EQ((std::vector{2.0F}), floats_of(file.tensor("a")));
  }
}

TEST(safetensors, pieces_arrive_in_any_order) {
  const TemporaryFolder folder;
  const std::vector<float> values = counting(100);
  const std::span<const float> all(values);
  SafetensorsWriter writer(folder / "a", {},
                           {{"x", DType::kF16, {10, 10}}, {"y", DType::kF32, {100}}}, false);
  for (const std::int64_t first : {70, 0, 90, 30, 50, 10, 80, 20, 60, 40}) {
    const auto piece = all.subspan(static_cast<std::size_t>(first), 10);
    writer.write("y", first, piece);
    writer.write("x", first, piece);
  }
  writer.commit();
  const SafetensorsFile file = SafetensorsFile::open(folder / "a");
  EXPECT_EQ(values, floats_of(file.tensor("x")));
  EXPECT_EQ(values, floats_of(file.tensor("y")));
}

TEST(safetensors, a_missing_element_is_an_error) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "a", {}, {{"x", DType::kF32, {10}}}, false);
  writer.write("x", 0, counting(4));
  writer.write("x", 5, counting(5));
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "9 of 10 elements of x", [&] { writer.commit(); }));
  writer.write("x", 4, counting(1));
  EXPECT_NO_THROW(writer.commit());
}

TEST(safetensors, writing_twice_does_not_make_up_for_a_missing_element) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "a", {}, {{"x", DType::kF32, {10}}}, false);
  writer.write("x", 0, counting(5));
  writer.write("x", 0, counting(5));
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "5 of 10 elements of x", [&] { writer.commit(); }));
  writer.write("x", 4, counting(3));
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "7 of 10 elements of x", [&] { writer.commit(); }));
  writer.write("x", 9, counting(1));
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "8 of 10 elements of x", [&] { writer.commit(); }));
  writer.write("x", 2, counting(8));
  EXPECT_NO_THROW(writer.commit());
  EXPECT_EQ((std::vector<float>{0, 1, 0, 1, 2, 3, 4, 5, 6, 7}),
            floats_of(SafetensorsFile::open(folder / "a").tensor("x")));
}

TEST(safetensors, writes_outside_a_tensor_are_rejected) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "a", {}, {{"x", DType::kF32, {10}}, {"i", DType::kI32, {2}}},
                           false);
  const auto fails = [&](std::string_view name, std::int64_t first, std::size_t count) {
    return fails_with(ErrorKind::kInternal, name,
                      [&] { writer.write(name, first, counting(count)); });
  };
  EXPECT_TRUE(fails("x", -1, 1));
  EXPECT_TRUE(fails("x", 10, 1));
  EXPECT_TRUE(fails("x", 5, 6));
  EXPECT_TRUE(fails("x", INT64_MAX, 1));
  EXPECT_TRUE(fails("unknown", 0, 1));
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "I32", [&] { writer.write("i", 0, counting(2)); }));
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "tensor x does not hold integers",
                         [&] { writer.write("x", 0, std::array<std::int32_t, 1>{}); }));
}

TEST(safetensors, a_name_can_be_declared_once) {
  const TemporaryFolder folder;
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "twice", [&] {
    SafetensorsWriter(folder / "a", {}, {{"x", DType::kF32, {2}}, {"x", DType::kF16, {4}}}, false);
  }));
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "__metadata__", [&] {
    SafetensorsWriter(folder / "a", {}, {{"__metadata__", DType::kF32, {2}}}, false);
  }));
  EXPECT_TRUE(folder.entries().empty());
}

TEST(safetensors, files_that_could_not_be_read_back_are_not_written) {
  const TemporaryFolder folder;
  const std::vector<SafetensorsWriter::Tensor> many(40'000, {"x", DType::kF32, {}});
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "40000 tensors are too many",
                         [&] { SafetensorsWriter(folder / "a", {}, many, false); }));
  EXPECT_TRUE(folder.entries().empty());
}

TEST(safetensors, metadata_of_any_bytes_stays_readable) {
  const TemporaryFolder folder;
  SafetensorsWriter(folder / "a", {{"odd", "\xff\"\\\n\xc3\xa9"}}, {}, false).commit();
  EXPECT_EQ("\xef\xbf\xbd\"\\\n\xc3\xa9",
            SafetensorsFile::open(folder / "a").header().metadata.at("odd"));
}

TEST(safetensors, the_file_appears_at_commit) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "a", {}, {{"x", DType::kF32, {2}}}, false);
  writer.write("x", 0, counting(2));
  EXPECT_FALSE(std::filesystem::exists(folder / "a"));
  writer.commit();
  EXPECT_EQ((std::vector<std::string>{"a"}), folder.entries());
}

TEST(safetensors, an_abandoned_file_leaves_nothing_behind) {
  const TemporaryFolder folder;
  {
    SafetensorsWriter writer(folder / "a", {}, {{"x", DType::kF32, {2}}}, false);
    writer.write("x", 0, counting(2));
    EXPECT_EQ(1U, folder.entries().size());
  }
  EXPECT_TRUE(folder.entries().empty());
}

TEST(safetensors, an_existing_file_is_replaced_only_on_request) {
  const TemporaryFolder folder;
  write_bytes(folder / "a", "precious");
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "exists already",
                         [&] { SafetensorsWriter(folder / "a", {}, {}, false); }));
  { SafetensorsWriter abandoned(folder / "a", {}, {}, true); }
  EXPECT_EQ("precious", read_bytes(folder / "a"));
  SafetensorsWriter(folder / "a", {}, {}, true).commit();
  EXPECT_NO_THROW(SafetensorsFile::open(folder / "a"));
}

TEST(safetensors, headers_without_padding_are_read) {
  // Python's safetensors pads to 8 bytes; others do not, so a tensor may begin at any address.
  const TemporaryFolder folder;
  std::string data(1, '\0');
  data.resize(2 + 12 + 8);
  const std::array<float, 3> values{1.5F, -2.0F, 1e-30F};
  const std::array<std::int32_t, 2> ids{-1, 1 << 30};
  const std::uint16_t half = 0x3c00;
  std::memcpy(data.data(), &half, 2);
  std::memcpy(data.data() + 2, values.data(), 12);
  std::memcpy(data.data() + 14, ids.data(), 8);
  for (std::size_t padding = 0; padding < 5; ++padding) {
    const std::string header = R"({"x":{"dtype":"F32","shape":[3],"data_offsets":[2,14]},)"
                               R"("h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},)"
                               R"("i":{"shape":[2],"data_offsets":[14,22],"dtype":"I32"}})" +
                               std::string(padding, ' ');
    write_bytes(folder / "a", file_of(header, data));
    const SafetensorsFile file = SafetensorsFile::open(folder / "a");
    EXPECT_EQ((std::vector<float>(values.begin(), values.end())), floats_of(file.tensor("x")));
    EXPECT_EQ((std::vector{1.0F}), floats_of(file.tensor("h")));
    EXPECT_EQ((std::vector<std::int32_t>(ids.begin(), ids.end())), integers_of(file.tensor("i")));
    EXPECT_TRUE(file.header().metadata.empty());
  }
}

TEST(safetensors, an_empty_header_is_a_file_without_tensors) {
  const SafetensorsHeader header = parse(file_of("{}", ""));
  EXPECT_TRUE(header.tensors.empty());
  EXPECT_EQ(10U, header.data_offset);
}

TEST(safetensors, header_needs_only_its_own_bytes) {
  const std::string bytes =
      file_of(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "");
  const SafetensorsHeader header =
      parse_safetensors_header(std::as_bytes(std::span(bytes)), bytes.size() + 8);
  ASSERT_EQ(1U, header.tensors.size());
  EXPECT_EQ(8U, header.tensors.front().end);
  EXPECT_EQ(bytes.size(), header.data_offset);
}

TEST(safetensors, unknown_keys_of_a_tensor_are_ignored) {
  EXPECT_EQ(1U,
            parse(file_of(R"({"x":{"dtype":"F16","shape":[],"data_offsets":[0,2],"n":1}})", "ab"))
                .tensors.size());
}

TEST(safetensors, empty_tensors_may_share_an_offset) {
  const SafetensorsHeader header =
      parse(file_of(R"({"b":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},)"
                    R"("a":{"dtype":"F16","shape":[0],"data_offsets":[0,0]},)"
                    R"("c":{"dtype":"F32","shape":[7,0],"data_offsets":[2,2]}})",
                    "ab"));
  ASSERT_EQ(3U, header.tensors.size());
  EXPECT_EQ("a", header.tensors[0].name);
  EXPECT_EQ("b", header.tensors[1].name);
  EXPECT_EQ("c", header.tensors[2].name);
}

TEST(safetensors, absent_tensors_are_named) {
  const TemporaryFolder folder;
  write_bytes(folder / "a", file_of("{}", ""));
  const SafetensorsFile file = SafetensorsFile::open(folder / "a");
  EXPECT_FALSE(file.contains("x"));
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, (folder / "a").string() + ": tensor x is missing",
                         [&] { static_cast<void>(file.tensor("x")); }));
}

TEST(safetensors, released_tensors_can_be_read_again) {
  const TemporaryFolder folder;
  const std::vector<float> values = counting(100'000);
  SafetensorsWriter writer(
      folder / "a", {},
      {{"x", DType::kF32, {1000}}, {"y", DType::kF32, {100'000}}, {"none", DType::kF32, {0}}},
      false);
  writer.write("x", 0, counting(1000));
  writer.write("y", 0, values);
  writer.commit();
  const SafetensorsFile file = SafetensorsFile::open(folder / "a");
  EXPECT_EQ(values, floats_of(file.tensor("y")));
  for (const char* name : {"x", "y", "none"}) {
    file.release(file.tensor(name));
  }
  EXPECT_EQ(values, floats_of(file.tensor("y")));
  EXPECT_EQ(counting(1000), floats_of(file.tensor("x")));
}

TEST(safetensors, hash_depends_on_every_byte) {
  const TemporaryFolder folder;
  const std::string bytes = file_of(R"({"x":{"dtype":"F32","shape":[64],"data_offsets":[0,256]}})",
                                    std::string(256, 'a'));
  const auto hash = [&](const std::string& content) {
    write_bytes(folder / "a", content);
    return SafetensorsFile::open(folder / "a").hash();
  };
  const std::string original = hash(bytes);
  EXPECT_EQ(32U, original.size());
  EXPECT_EQ(std::string::npos, original.find_first_not_of("0123456789abcdef"));
  EXPECT_EQ(original, hash(bytes));
  for (const std::size_t place : {bytes.size() - 256, bytes.size() - 100, bytes.size() - 1}) {
    std::string changed = bytes;
    changed[place] = 'b';
    EXPECT_NE(original, hash(changed)) << place;
  }
}

TEST(safetensors, hash_is_xxh128) {
  // The digest that xxh128sum prints for these ten bytes.
  const TemporaryFolder folder;
  write_bytes(folder / "a", file_of("{}", ""));
  EXPECT_EQ("19aae81a9fc6b75c6d333529e3c47542", SafetensorsFile::open(folder / "a").hash());
}

TEST(safetensors, closed_files_leave_no_mapping) {
  const TemporaryFolder folder;
  const std::string path = (folder / "a").string();
  SafetensorsWriter(path, {}, {}, false).commit();
  const auto is_mapped = [&] {
    return read_bytes("/proc/self/maps").find(path) != std::string::npos;
  };
  {
    const SafetensorsFile file = SafetensorsFile::open(path);
    EXPECT_TRUE(is_mapped());
  }
  EXPECT_FALSE(is_mapped());
  write_bytes(path, "no header");
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, path,
                         [&] { static_cast<void>(SafetensorsFile::open(path)); }));
  EXPECT_FALSE(is_mapped()) << "a file that was rejected";
}

TEST(safetensors, files_can_be_moved) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "a", {}, {{"x", DType::kF32, {3}}}, false);
  writer.write("x", 0, counting(3));
  writer.commit();
  SafetensorsFile first = SafetensorsFile::open(folder / "a");
  const TensorView view = first.tensor("x");
  const SafetensorsFile second = std::move(first);
  EXPECT_EQ(view.data, second.tensor("x").data) << "views must survive a move";
  EXPECT_EQ(counting(3), floats_of(view));
}

}  // namespace
}  // namespace kvsieve::traces
