#include "kvsieve/profile/recording.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"
#include "profile/record_builder.h"
#include "traces/fails_with.h"
#include "traces/temporary_folder.h"

namespace kvsieve::profile::tests {
namespace {

using kvsieve::tests::fails_with;
using kvsieve::tests::TemporaryFolder;

ActivityRecording sample() {
  RecordBuilder builder(130001);
  builder.device("GPU").call(1, 5, 6, 1).kernel("k", 7, 10, 20, 1).range(1, 4, 30, "r\n\x01");
  ActivityRecording recording = builder.record();
  recording.dropped = 3;
  recording.run = {"0.1.0", {"--method", "a2ats", "--top", "3%"}, "t.kvtrace", "abc", {0, 4, 7}};
  return recording;
}

TEST(Recording, ReadsBackWhatItWrote) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "a.kvactivity";
  const ActivityRecording recording = sample();
  write_recording(path, recording, false);
  EXPECT_EQ(read_recording(path), recording);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "a.kvactivity",
                         [&] { write_recording(path, recording, false); }));
}

TEST(Recording, AnEmptyOneIsARecording) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "empty.kvactivity";
  ActivityRecording recording;
  recording.cupti_version = 28;
  write_recording(path, recording, false);
  EXPECT_EQ(read_recording(path), recording);
}

TEST(Recording, SizesMustAddUp) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "sizes.kvactivity";
  ActivityRecording recording = sample();
  recording.sizes.pop_back();
  write_recording(path, recording, false);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "add up to",
                         [&] { static_cast<void>(read_recording(path)); }));
  recording.sizes.push_back(-8);
  write_recording(path, recording, true);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "has -8 bytes",
                         [&] { static_cast<void>(read_recording(path)); }));
}

TEST(Recording, OtherFilesAreRefusedInOneLine) {
  const TemporaryFolder folder;
  const std::filesystem::path missing = folder / "missing.kvactivity";
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "missing.kvactivity",
                         [&] { static_cast<void>(read_recording(missing)); }));
  const std::filesystem::path text = folder / "text.kvactivity";
  traces::write_file(text, "{\"traceEvents\": []}", false);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "text.kvactivity",
                         [&] { static_cast<void>(read_recording(text)); }));
}

TEST(Recording, CutAnywhereItIsRefused) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "whole.kvactivity";
  write_recording(path, sample(), false);
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  const std::filesystem::path cut = folder / "cut.kvactivity";
  for (std::size_t length = 0; length < bytes.size(); length += 7) {
    traces::write_file(cut, bytes.substr(0, length), true, traces::Durability::kRenamed);
    EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "cut.kvactivity", [&] {
      static_cast<void>(read_recording(cut));
    })) << length;
  }
}

}  // namespace
}  // namespace kvsieve::profile::tests
