#include "kvsieve/profile/activity_recorder.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <string>

#include "kvsieve/traces/error.h"
#include "profile/record_builder.h"
#include "traces/fails_with.h"

namespace kvsieve::profile::tests {
namespace {

using kvsieve::tests::fails_with;

constexpr auto kMissing = ErrorKind::kMissingCapability;

TEST(ActivityRecorder, EnablesItsKindsAndDisablesThem) {
  const CuptiStub& stub = fresh_stub();
  ActivityRecorder recorder(CuptiLibrary::open(stub_path()));
  EXPECT_EQ(stub.enabled, (std::set<int>{1, 2, 5, 8, 10, 12, 17, 22}));
  EXPECT_EQ(stub.subscribers, 1);
  static_cast<void>(recorder.finish());
  EXPECT_TRUE(stub.enabled.empty());
  EXPECT_EQ(stub.subscribers, 0);
  { const ActivityRecorder unfinished(CuptiLibrary::open(stub_path())); }
  EXPECT_TRUE(stub.enabled.empty());
}

TEST(ActivityRecorder, HandsNvtxToCupti) {
  for (const bool named : {false, true}) {
    ::unsetenv("NVTX_INJECTION64_PATH");
    if (named) {
      // Left there by another tool.
      ASSERT_EQ(::setenv("NVTX_INJECTION64_PATH", "/nowhere/libother.so", 1), 0);
    }
    fresh_stub();
    const ActivityRecorder recorder(CuptiLibrary::open(stub_path()));
    ASSERT_NE(std::getenv("NVTX_INJECTION64_PATH"), nullptr);
    EXPECT_EQ(std::getenv("NVTX_INJECTION64_PATH"), stub_path());
  }
}

TEST(ActivityRecorder, FramesRecordsOfEveryVersion) {
  for (const std::uint32_t version : {18U, 22U, 28U, 130001U, 130401U}) {
    RecordBuilder builder(version);
    builder.device("GPU").kernel("k", 7, 10, 20, 1).copy(1, 7, 20, 30, 2, 64);
    builder.next_buffer().call(1, 5, 6, 1).range(1, 4, 9, "r").of_kind(38);
    const ActivityRecording recording = builder.record();
    EXPECT_EQ(recording.cupti_version, version);
    const auto bytes = [&](std::uint32_t kind) {
      return static_cast<std::int32_t>(record_bytes(version, kind));
    };
    EXPECT_EQ(recording.sizes, (std::vector<std::int32_t>{bytes(8), bytes(10), bytes(1), bytes(5),
                                                          bytes(12), bytes(12), bytes(38)}));
    EXPECT_EQ(recording.records.size(), static_cast<std::size_t>(std::accumulate(
                                            recording.sizes.begin(), recording.sizes.end(), 0)));
  }
}

TEST(ActivityRecorder, KeepsEveryTextOnce) {
  RecordBuilder builder(130001);
  builder.kernel("sparse", 1, 10, 20, 1)
      .kernel("dense", 1, 30, 40, 2)
      .kernel("sparse", 1, 50, 60, 3);
  builder.range(1, 5, 70, "step").device("H100");
  EXPECT_EQ(builder.record().texts, (std::vector<std::string>{"sparse", "dense", "step", "H100"}));
}

TEST(ActivityRecorder, NamesTheCallsThatItSaw) {
  RecordBuilder builder(130001);
  builder.call(1, 5, 6, 1).call(1, 7, 8, 2, 41).call(1, 9, 10, 3, 9999).driver_call(1, 5, 6, 1);
  const ActivityRecording recording = builder.record();
  EXPECT_EQ(recording.runtime_calls,
            (std::map<std::uint32_t, std::string>{{41, "cudaMemcpyAsync_v3020"},
                                                  {211, "cudaLaunchKernel_v7000"}}));
  EXPECT_EQ(recording.driver_calls,
            (std::map<std::uint32_t, std::string>{{211, "cuLaunchKernel"}}));
}

TEST(ActivityRecorder, CountsWhatWasDropped) {
  RecordBuilder builder(28);
  builder.kernel("k", 1, 10, 20, 1);
  CuptiStub& stub = fresh_stub();
  stub.version = 28;
  stub.buffers = builder.buffers();
  stub.dropped = 17;
  ActivityRecorder recorder(CuptiLibrary::open(stub_path()));
  const ActivityRecording recording = recorder.finish();
  EXPECT_EQ(recording.dropped, 17);
  EXPECT_EQ(stub.refused_buffers, 0);
}

TEST(ActivityRecorder, CountsWhatWasDroppedWithoutABuffer) {
  CuptiStub& stub = fresh_stub();
  stub.dropped = 9;
  ActivityRecorder recorder(CuptiLibrary::open(stub_path()));
  const ActivityRecording recording = recorder.finish();
  EXPECT_EQ(recording.dropped, 9);
  EXPECT_TRUE(recording.sizes.empty());
}

TEST(ActivityRecorder, AnEndCutOffIsKeptAsItCame) {
  RecordBuilder builder(130001);
  builder.call(1, 5, 6, 1).kernel("k", 1, 10, 20, 1).cut(101);
  const ActivityRecording recording = builder.record();
  // 115 bytes, but for the word that was cut.
  EXPECT_EQ(recording.sizes, (std::vector<std::int32_t>{40, 112}));
}

TEST(ActivityRecorder, ARecordOfAnInvalidKindEndsItsBuffer) {
  RecordBuilder builder(130001);
  builder.call(1, 5, 6, 1).call(1, 7, 8, 2);
  std::vector<std::vector<std::uint8_t>> buffers = builder.buffers();
  buffers[0][40] = 200;
  CuptiStub& stub = fresh_stub();
  stub.buffers = buffers;
  ActivityRecorder recorder(CuptiLibrary::open(stub_path()));
  // What stands behind the last record that CUPTI knows is counted to it.
  EXPECT_EQ(recorder.finish().sizes, (std::vector<std::int32_t>{80}));
}

TEST(ActivityRecorder, EveryCallThatFailsIsNamed) {
  RecordBuilder builder(130001);
  builder.call(1, 5, 6, 1);
  for (const char* call : {"cuptiSubscribe", "cuptiActivityRegisterCallbacks",
                           "cuptiActivityEnable", "cuptiActivityFlushAll",
                           "cuptiActivityGetNextRecord", "cuptiActivityGetNumDroppedRecords"}) {
    CuptiStub& stub = fresh_stub();
    stub.buffers = builder.buffers();
    stub.failing_call = call;
    const auto record = [] {
      ActivityRecorder recorder(CuptiLibrary::open(stub_path()));
      static_cast<void>(recorder.finish());
    };
    EXPECT_TRUE(fails_with(kMissing, call, record)) << call;
    EXPECT_TRUE(fails_with(kMissing, " failed: CUPTI_ERROR_UNKNOWN (999)", record)) << call;
    EXPECT_TRUE(stub.enabled.empty()) << call;
    EXPECT_EQ(stub.subscribers, 0) << call;
    // Nothing is left that the next one would trip over.
    stub.failing_call.clear();
    EXPECT_NO_THROW(record()) << call;
  }
  CuptiStub& stub = fresh_stub();
  stub.failing_call = "cuptiActivityEnable:12";
  stub.failure = 26;
  EXPECT_TRUE(fails_with(kMissing, "cuptiActivityEnable(MARKER) failed: CUPTI_ERROR_OTHER (26)",
                         [] { ActivityRecorder(CuptiLibrary::open(stub_path())); }));
}

TEST(ActivityRecorder, SaysWhatToDoAboutWhatItMayNotDo) {
  struct Refusal {
    const char* call;
    int result;
    const char* message;
    const char* hint;
  };
  for (const Refusal& refusal :
       {Refusal{"cuptiActivityEnable:10", 35,
                "cuptiActivityEnable(CONCURRENT_KERNEL) failed: "
                "CUPTI_ERROR_INSUFFICIENT_PRIVILEGES (35)",
                "NVreg_RestrictProfilingToAdminUsers=0"},
        Refusal{"cuptiSubscribe", 39,
                "cuptiSubscribe failed: CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED (39)",
                "another profiler"},
        Refusal{"cuptiSubscribe", 15, "cuptiSubscribe failed", "older than itself"}}) {
    CuptiStub& stub = fresh_stub();
    stub.failing_call = refusal.call;
    stub.failure = refusal.result;
    try {
      const ActivityRecorder recorder(CuptiLibrary::open(stub_path()));
      ADD_FAILURE() << refusal.call << " was not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kMissing);
      EXPECT_NE(std::string(error.what()).find(refusal.message), std::string::npos) << error.what();
      EXPECT_NE(error.hint().find(refusal.hint), std::string::npos) << error.hint();
      EXPECT_EQ((error.what() + error.hint()).find('\n'), std::string::npos);
    }
  }
}

TEST(ActivityRecorder, NamelessErrorsAndCallsStayNumbers) {
  RecordBuilder builder(130001);
  builder.call(1, 5, 6, 1);
  CuptiStub& stub = fresh_stub();
  stub.buffers = builder.buffers();
  stub.failing_call = "cuptiGetCallbackName";
  ActivityRecorder recorder(CuptiLibrary::open(stub_path()));
  const ActivityRecording recording = recorder.finish();
  EXPECT_TRUE(recording.runtime_calls.empty());
  EXPECT_EQ(parse_activities(recording).calls.at(0).name, "call 211");
}

TEST(ActivityRecorder, OneAtATime) {
  fresh_stub();
  const ActivityRecorder first(CuptiLibrary::open(stub_path()));
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "recording already",
                         [] { ActivityRecorder(CuptiLibrary::open(stub_path())); }));
}

}  // namespace
}  // namespace kvsieve::profile::tests
