// Writing and reading run documents.

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "kvsieve/sim/run_document.h"
#include "kvsieve/traces/error.h"
#include "sim/eviction/replay_expectations.h"
#include "sim/eviction/trace_fixture.h"
#include "traces/fails_with.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;
using kvsieve::tests::read_bytes;
using kvsieve::tests::TemporaryFolder;
using kvsieve::tests::write_bytes;
using nlohmann::ordered_json;

ordered_json small_document() {
  return {
      {"schema", "kvsieve.run/1"}, {"numbers", {1, 0.1, -2.5e-300, 1e300}}, {"text", "ö\n\"\t"}};
}

/// Hardly compressible, so that it takes several blocks of compressed data.
ordered_json large_document() {
  ordered_json document = small_document();
  double x = 0.5;
  for (int i = 0; i < 60'000; ++i) {
    x = 3.99 * x * (1.0 - x);
    document["values"].push_back(x);
  }
  return document;
}

/// A new file each time: to truncate an old one makes some file systems wait for the disk.
void replace_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::remove(path);
  write_bytes(path, bytes);
}

/// Whether an error is kBadInput, one line that begins with the path.
testing::AssertionResult is_clear(const Error& error, const std::filesystem::path& path) {
  const std::string text = error.what();
  if (error.kind() != ErrorKind::kBadInput) {
    return testing::AssertionFailure() << "not kBadInput: " << text;
  }
  if (!text.starts_with(path.string() + ": ") || text.find('\n') != std::string::npos) {
    return testing::AssertionFailure() << "not one line that begins with the path: " << text;
  }
  return testing::AssertionSuccess() << text;
}

testing::AssertionResult is_refused(const std::filesystem::path& path) {
  try {
    static_cast<void>(read_run(path));
  } catch (const Error& error) {
    return is_clear(error, path);
  } catch (const std::exception& error) {
    return testing::AssertionFailure() << "not a kvsieve::Error: " << error.what();
  }
  return testing::AssertionFailure() << "no error";
}

TEST(RunFile, DocumentsComeBackAsTheyWere) {
  const TemporaryFolder folder;
  for (const ordered_json& document : {small_document(), large_document()}) {
    for (const char* name : {"a.kvrun", "a.json", "a"}) {
      write_run(folder / name, document, true);
      EXPECT_EQ(read_run(folder / name), document) << name;
      EXPECT_EQ(read_run(folder / name).dump(), document.dump()) << name;
    }
  }
  EXPECT_EQ(folder.entries().size(), 3U);
}

TEST(RunFile, ARunComesBackAsItWas) {
  TraceShape shape;
  shape.needle = traces::Needle{3, 9, "here"};
  const TraceFixture fixture(shape);
  const ordered_json document =
      run_document(fixture.trace(), replay_one(fixture.trace(), plan_of("ada-snapkv", "40%")));
  for (const char* name : {"run.kvrun", "run.json"}) {
    write_run(fixture.folder() / name, document, false);
    EXPECT_EQ(read_run(fixture.folder() / name).dump(), document.dump());
  }
  EXPECT_LT(std::filesystem::file_size(fixture.folder() / "run.kvrun"),
            std::filesystem::file_size(fixture.folder() / "run.json"));
}

TEST(RunFile, OnlyTheExtensionDecidesOnCompressionAndReadingLooksAtTheContent) {
  const TemporaryFolder folder;
  write_run(folder / "a.kvrun", small_document(), false);
  write_run(folder / "b.json", small_document(), false);
  EXPECT_TRUE(read_bytes(folder / "a.kvrun").starts_with("\x28\xb5\x2f\xfd"));
  EXPECT_TRUE(read_bytes(folder / "b.json").starts_with("{\n"));
  EXPECT_TRUE(read_bytes(folder / "b.json").ends_with("}\n"));
  std::filesystem::rename(folder / "a.kvrun", folder / "a.json");
  std::filesystem::rename(folder / "b.json", folder / "b.kvrun");
  EXPECT_EQ(read_run(folder / "a.json"), small_document());
  EXPECT_EQ(read_run(folder / "b.kvrun"), small_document());
}

TEST(RunFile, ExistingFilesAreReplacedOnlyOnRequest) {
  const TemporaryFolder folder;
  write_run(folder / "a.kvrun", small_document(), false);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "exists already",
                         [&] { write_run(folder / "a.kvrun", large_document(), false); }));
  EXPECT_EQ(read_run(folder / "a.kvrun"), small_document());
  write_run(folder / "a.kvrun", large_document(), true);
  EXPECT_EQ(read_run(folder / "a.kvrun"), large_document());
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "cannot create",
                         [&] { write_run(folder / "no" / "a.kvrun", small_document(), false); }));
  EXPECT_EQ(folder.entries().size(), 1U);
}

TEST(RunFile, EveryTruncationIsRefused) {
  const TemporaryFolder folder;
  for (const char* name : {"a.kvrun", "a.json"}) {
    write_run(folder / name, small_document(), false);
    const std::string bytes = read_bytes(folder / name);
    const bool text = bytes.front() == '{';
    // The text ends with a newline that JSON does not need.
    for (std::size_t size = 0; size < bytes.size() - (text ? 1 : 0); ++size) {
      replace_bytes(folder / "cut", bytes.substr(0, size));
      EXPECT_TRUE(is_refused(folder / "cut")) << name << " cut to " << size;
    }
  }
  write_run(folder / "large.kvrun", large_document(), false);
  const std::string bytes = read_bytes(folder / "large.kvrun");
  for (std::size_t size = 1; size < bytes.size(); size += bytes.size() / 40) {
    replace_bytes(folder / "cut", bytes.substr(0, size));
    EXPECT_TRUE(is_refused(folder / "cut")) << size << " of " << bytes.size();
  }
  replace_bytes(folder / "cut", bytes.substr(0, bytes.size() - 1));
  EXPECT_TRUE(is_refused(folder / "cut"));
}

TEST(RunFile, NoFlippedBitGoesUnnoticed) {
  const TemporaryFolder folder;
  write_run(folder / "a.kvrun", small_document(), false);
  const std::string good = read_bytes(folder / "a.kvrun");
  for (std::size_t byte = 0; byte < good.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[byte] = static_cast<char>(bad[byte] ^ (1 << bit));
      replace_bytes(folder / "bad.kvrun", bad);
      try {
        // The format has bits that mean nothing, but none may change the document.
        EXPECT_EQ(read_run(folder / "bad.kvrun"), small_document())
            << "bit " << bit << " of byte " << byte;
      } catch (const Error& error) {
        EXPECT_TRUE(is_clear(error, folder / "bad.kvrun"));
      }
    }
  }
}

TEST(RunFile, NoFlippedByteOfALargeRunGoesUnnoticed) {
  const TemporaryFolder folder;
  write_run(folder / "a.kvrun", large_document(), false);
  const std::string good = read_bytes(folder / "a.kvrun");
  for (std::size_t byte = 100; byte < good.size(); byte += good.size() / 25) {
    std::string bad = good;
    bad[byte] = static_cast<char>(bad[byte] ^ 0x10);
    replace_bytes(folder / "bad.kvrun", bad);
    EXPECT_TRUE(is_refused(folder / "bad.kvrun")) << byte;
  }
}

TEST(RunFile, BytesBehindTheCompressedDataAreRefused) {
  const TemporaryFolder folder;
  write_run(folder / "a.kvrun", small_document(), false);
  const std::string good = read_bytes(folder / "a.kvrun");
  for (const std::string& tail : {std::string("x"), std::string(1, '\0'), good}) {
    replace_bytes(folder / "a.kvrun", good + tail);
    EXPECT_TRUE(is_refused(folder / "a.kvrun"));
  }
}

TEST(RunFile, OtherFilesAreRefused) {
  const TemporaryFolder folder;
  EXPECT_TRUE(is_refused(folder / "missing.kvrun"));
  EXPECT_TRUE(is_refused(folder.path()));
  EXPECT_TRUE(is_refused(folder / std::string(5000, 'x')));
  EXPECT_TRUE(is_refused(folder / std::string(300, 'x')));
  for (const std::string& bytes :
       {std::string(), std::string("\n"), std::string("hello"), std::string("[]"),
        std::string("null"), std::string("{}"), std::string(R"({"schema": 1})"),
        std::string(R"({"schema": "kvsieve.check/1"})"),
        std::string(R"({"schema": "kvsieve.run/2"})"),
        std::string(R"({"schema": "kvsieve.run/1"} x)"),
        std::string(R"({"schema": "kvsieve.run/1", "schema": "kvsieve.run/1"})"),
        std::string("{\"schema\": \"kvsieve.run/1\", \"a\": \"\xff\"}"),
        std::string("\x28\xb5\x2f\xfd"), "\x28\xb5\x2f\xfd" + std::string(100, '\0'),
        std::string("\x28\xb5\x2f\xfd") + std::string(1000, '\xff')}) {
    replace_bytes(folder / "a.kvrun", bytes);
    EXPECT_TRUE(is_refused(folder / "a.kvrun")) << bytes;
  }
  std::filesystem::create_symlink(folder / "nowhere", folder / "dangling.kvrun");
  EXPECT_TRUE(is_refused(folder / "dangling.kvrun"));
}

}  // namespace
}  // namespace kvsieve::sim::tests
