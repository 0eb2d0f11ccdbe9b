#include "kvsieve/profile/activity_recorder.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "activity_layout.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::profile {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{4} << 20U;
constexpr std::align_val_t kBufferAlignment{8};
constexpr std::size_t kWord = 8;

// CUptiResult.
constexpr int kSuccess = 0;
constexpr int kMaxLimitReached = 12;  // no record is left
constexpr int kInvalidKind = 21;      // what is left holds none
constexpr int kNotInitialized = 15;
constexpr int kInsufficientPrivileges = 35;
constexpr int kMultipleSubscribers = 39;
constexpr int kVirtualizedPrivileges = 40;

constexpr std::uint32_t kFlushForced = 1;
constexpr int kDriverDomain = 1;
constexpr int kRuntimeDomain = 2;

struct RecordedKind {
  ActivityKind kind;
  const char* name;
};
constexpr RecordedKind kKinds[] = {
    {ActivityKind::kDevice, "DEVICE"}, {ActivityKind::kConcurrent, "CONCURRENT_KERNEL"},
    {ActivityKind::kCopy, "MEMCPY"},   {ActivityKind::kPeerCopy, "MEMCPY2"},
    {ActivityKind::kFill, "MEMSET"},   {ActivityKind::kRuntime, "RUNTIME"},
    {ActivityKind::kMarker, "MARKER"}, {ActivityKind::kOverhead, "OVERHEAD"},
};

/// What to do about a result.
const char* hint_for(int result) {
  switch (result) {
    case kNotInitialized:
      return "CUPTI found no driver, or one that is older than itself: --cupti FILE names another";
    case kInsufficientPrivileges:
      return "the driver lets administrators alone profile: load it with "
             "NVreg_RestrictProfilingToAdminUsers=0, or run with CAP_SYS_ADMIN";
    case kMultipleSubscribers:
      return "another profiler or debugger is attached to this process (Nsight, cuda-gdb)";
    case kVirtualizedPrivileges:
      return "the hypervisor does not let this virtual machine profile its GPU";
    default:
      return "CUPTI needs a GPU whose driver is not older than it and lets users profile";
  }
}

}  // namespace

std::mutex ActivityRecorder::s_mutex;
ActivityRecorder* ActivityRecorder::s_current = nullptr;

ActivityRecorder::ActivityRecorder(const CuptiLibrary& library) : m_calls(library.calls()) {
  m_recording.cupti_version = library.version();
  {
    const std::lock_guard lock(s_mutex);
    if (s_current != nullptr) {
      throw Error(ErrorKind::kInternal, "CUPTI is recording already");
    }
    s_current = this;
  }
  try {
    // NVTX looks here when its first range begins, and hands its ranges to CUPTI. Whatever a shell
    // left there would get them instead.
    ::setenv("NVTX_INJECTION64_PATH", library.path().c_str(), 1);
    // Fails where another profiler is at work, which would get the records or lose its own.
    check(m_calls.subscribe(&m_subscriber, &ignore_callback, nullptr), "cuptiSubscribe");
    check(m_calls.register_callbacks(&request_buffer, &complete_buffer),
          "cuptiActivityRegisterCallbacks");
    for (const RecordedKind& kind : kKinds) {
      check(m_calls.enable(static_cast<int>(kind.kind)),
            fmt::format("cuptiActivityEnable({})", kind.name));
    }
  } catch (...) {
    stop();
    throw;
  }
}

ActivityRecorder::~ActivityRecorder() {
  stop();
}

ActivityRecording ActivityRecorder::finish() {
  check(m_calls.flush_all(kFlushForced), "cuptiActivityFlushAll");
  // Where there was never a buffer, none came back to ask at.
  count_dropped(nullptr, 0);
  stop();
  if (m_problem != nullptr) {
    std::rethrow_exception(m_problem);
  }
  name_calls();
  return std::move(m_recording);
}

void ActivityRecorder::check(int result, const std::string& call) const {
  if (result == kSuccess) {
    return;
  }
  const char* text = nullptr;
  if (m_calls.get_result_string(result, &text) != kSuccess || text == nullptr) {
    text = "unknown error";
  }
  throw Error(ErrorKind::kMissingCapability, fmt::format("{} failed: {} ({})", call, text, result),
              hint_for(result));
}

void ActivityRecorder::stop() noexcept {
  {
    // Buffers that come later are nobody's.
    const std::lock_guard lock(s_mutex);
    if (s_current != this) {
      return;
    }
    s_current = nullptr;
  }
  for (const RecordedKind& kind : kKinds) {
    m_calls.disable(static_cast<int>(kind.kind));
  }
  if (m_subscriber != nullptr) {
    m_calls.unsubscribe(std::exchange(m_subscriber, nullptr));
  }
}

void ActivityRecorder::ignore_callback(void* /*user_data*/, int /*domain*/,
                                       std::uint32_t /*callback*/, const void* /*data*/) noexcept {}

void ActivityRecorder::request_buffer(std::uint8_t** buffer, std::size_t* bytes,
                                      std::size_t* most_records) {
  // Without a buffer CUPTI drops records, and counts them.
  *buffer =
      static_cast<std::uint8_t*>(::operator new(kBufferBytes, kBufferAlignment, std::nothrow));
  *bytes = *buffer == nullptr ? 0 : kBufferBytes;
  *most_records = 0;  // as many as fit
}

void ActivityRecorder::complete_buffer(void* context, std::uint32_t stream, std::uint8_t* buffer,
                                       std::size_t /*bytes*/, std::size_t valid_bytes) {
  {
    const std::lock_guard lock(s_mutex);
    if (s_current != nullptr) {
      try {
        s_current->take(context, stream, buffer, valid_bytes);
      } catch (...) {
        // CUPTI is C.
        s_current->m_problem = std::current_exception();
      }
    }
  }
  ::operator delete(buffer, kBufferAlignment);
}

void ActivityRecorder::take(void* context, std::uint32_t stream, std::uint8_t* buffer,
                            std::size_t valid_bytes) {
  count_dropped(context, stream);
  if (buffer == nullptr || valid_bytes == 0) {
    return;
  }
  // How long a record is, its successor says.
  std::vector<std::size_t> begins;
  void* record = nullptr;
  while (true) {
    const int result = m_calls.get_next_record(buffer, valid_bytes, &record);
    if (result == kMaxLimitReached || result == kInvalidKind) {
      break;
    }
    check(result, "cuptiActivityGetNextRecord");
    const auto begin = static_cast<std::size_t>(static_cast<const std::uint8_t*>(record) - buffer);
    if (begin >= valid_bytes || (!begins.empty() && begin <= begins.back())) {
      throw Error(ErrorKind::kInternal, "cuptiActivityGetNextRecord left its buffer");
    }
    begins.push_back(begin);
  }
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const std::size_t end = i + 1 < begins.size() ? begins[i + 1] : valid_bytes;
    take_record(buffer + begins[i], end - begins[i]);
  }
}

void ActivityRecorder::count_dropped(void* context, std::uint32_t stream) {
  std::size_t dropped = 0;
  check(m_calls.get_dropped_records(context, stream, &dropped),
        "cuptiActivityGetNumDroppedRecords");
  m_recording.dropped += static_cast<std::int64_t>(dropped);
}

void ActivityRecorder::take_record(const std::uint8_t* record, std::size_t bytes) {
  // Fields have whole words; of a record that was cut off, what is left of its last one is none.
  bytes = bytes / kWord * kWord;
  if (bytes == 0) {
    return;
  }
  const std::size_t begin = m_recording.records.size();
  m_recording.records.resize(begin + bytes);
  std::byte* copy = m_recording.records.data() + begin;
  std::memcpy(copy, record, bytes);
  m_recording.sizes.push_back(static_cast<std::int32_t>(bytes));
  std::uint32_t kind = 0;
  std::memcpy(&kind, record, sizeof(kind));
  const std::size_t text = text_offset(static_cast<ActivityKind>(kind));
  if (text != 0 && text + sizeof(const char*) <= bytes) {
    const char* pointer = nullptr;
    std::memcpy(&pointer, record + text, sizeof(pointer));
    const std::uint64_t number = number_of(pointer);
    std::memcpy(copy + text, &number, sizeof(number));
  }
}

std::uint64_t ActivityRecorder::number_of(const char* text) {
  if (text == nullptr) {
    return 0;
  }
  const auto [at, added] = m_numbers.emplace(text, m_recording.texts.size() + 1);
  if (added) {
    m_recording.texts.emplace_back(text);
  }
  return at->second;
}

void ActivityRecorder::name_calls() {
  std::size_t offset = 0;
  for (const std::int32_t size : m_recording.sizes) {
    const std::byte* record = m_recording.records.data() + offset;
    offset += static_cast<std::size_t>(size);
    std::uint32_t kind = 0;
    std::memcpy(&kind, record, sizeof(kind));
    const bool runtime = kind == static_cast<std::uint32_t>(ActivityKind::kRuntime);
    if ((!runtime && kind != static_cast<std::uint32_t>(ActivityKind::kDriver)) ||
        static_cast<std::size_t>(size) < call_layout::kBytes) {
      continue;
    }
    std::uint32_t callback = 0;
    std::memcpy(&callback, record + call_layout::kCallback, sizeof(callback));
    std::string& name = (runtime ? m_recording.runtime_calls : m_recording.driver_calls)[callback];
    const char* text = nullptr;
    if (name.empty() &&
        m_calls.get_callback_name(runtime ? kRuntimeDomain : kDriverDomain, callback, &text) ==
            kSuccess &&
        text != nullptr) {
      name = text;
    }
  }
  // A number that CUPTI has no name for stays a number.
  const auto nameless = [](const auto& call) { return call.second.empty(); };
  std::erase_if(m_recording.runtime_calls, nameless);
  std::erase_if(m_recording.driver_calls, nameless);
}

}  // namespace kvsieve::profile
