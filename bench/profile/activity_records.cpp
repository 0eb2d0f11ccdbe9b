#include "kvsieve/profile/activity_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "activity_layout.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::profile {
namespace {

// What times and sizes stay below, so that their sums and differences are numbers, too.
constexpr std::int64_t kLatestNs = std::int64_t{1} << 61U;
constexpr std::int64_t kMostBytes = std::int64_t{1} << 40U;

/// One record's bytes. The caller has made sure that the fields are there.
class Fields {
 public:
  Fields(std::span<const std::byte> bytes, const std::vector<std::string>& texts)
      : m_bytes(bytes), m_texts(texts) {}

  template <class T>
  [[nodiscard]] T at(std::size_t offset) const {
    T value{};
    std::memcpy(&value, m_bytes.data() + offset, sizeof(T));
    return value;
  }
  [[nodiscard]] std::uint32_t word(std::size_t offset) const { return at<std::uint32_t>(offset); }
  [[nodiscard]] std::int64_t wide(std::size_t offset) const { return at<std::int64_t>(offset); }
  [[nodiscard]] std::array<std::int32_t, 3> extent(std::size_t offset) const {
    return at<std::array<std::int32_t, 3>>(offset);
  }
  [[nodiscard]] std::string text(std::size_t offset) const {
    const auto number = at<std::uint64_t>(offset);
    return number >= 1 && number <= m_texts.size() ? m_texts[number - 1] : "";
  }

 private:
  std::span<const std::byte> m_bytes;
  const std::vector<std::string>& m_texts;
};

constexpr std::size_t least_bytes(ActivityKind kind, bool counts_copies) {
  switch (kind) {
    case ActivityKind::kKernel:
    case ActivityKind::kConcurrent:
      return kernel_layout::kBytes;
    case ActivityKind::kCopy:
      return counts_copies ? copy_layout::kBytesWithCount : copy_layout::kBytes;
    case ActivityKind::kPeerCopy:
      return peer_copy_layout::kBytes;
    case ActivityKind::kFill:
      return fill_layout::kBytes;
    case ActivityKind::kDriver:
    case ActivityKind::kRuntime:
      return call_layout::kBytes;
    case ActivityKind::kMarker:
      return marker_layout::kBytes;
    case ActivityKind::kOverhead:
      return overhead_layout::kBytes;
    case ActivityKind::kDevice:
      return device_layout::kBytes;
  }
  return 0;
}

/// CUpti_ActivityMemcpyKind.
CopyWay way_of(std::uint8_t kind) {
  switch (kind) {
    case 1:  // host to device
    case 3:  // host to array
      return CopyWay::kToGpu;
    case 2:  // device to host
    case 4:  // array to host
      return CopyWay::kToHost;
    case 5:  // among arrays and device memory
    case 6:
    case 7:
    case 8:
      return CopyWay::kOnGpu;
    default:
      return CopyWay::kOther;
  }
}

/// CUpti_ActivityOverheadKind.
std::string overhead_name(std::uint32_t what) {
  switch (what) {
    case 1:
      return "compiling for the GPU";
    case 1U << 16U:
      return "CUPTI: buffer flush";
    case 2U << 16U:
      return "CUPTI: instrumentation";
    case 3U << 16U:
      return "CUPTI: resources";
    case 4U << 16U:
      return "loading a module";
    case 5U << 16U:
      return "loading a function";
    case 6U << 16U:
      return "command buffer full";
    case 7U << 16U:
      return "CUPTI: buffer request";
    default:
      return "other overhead";
  }
}

/// "cudaLaunchKernel_v7000" -> "cudaLaunchKernel".
std::string without_version(const std::string& name) {
  const std::size_t mark = name.rfind("_v");
  return mark != std::string::npos && mark + 2 < name.size() &&
                 name.find_first_not_of("0123456789", mark + 2) == std::string::npos
             ? name.substr(0, mark)
             : name;
}

class RecordReader {
 public:
  explicit RecordReader(const ActivityRecording& recording)
      : m_recording(recording), m_counts_copies(recording.cupti_version >= kCopyCountCupti) {}

  ActivityRecords read() {
    m_records.dropped = m_recording.dropped;
    m_records.newer = m_recording.cupti_version > kNewestCheckedCupti;
    std::size_t offset = 0;
    for (const std::int32_t size : m_recording.sizes) {
      const auto bytes = static_cast<std::size_t>(size);
      take(std::span(m_recording.records).subspan(offset, bytes));
      offset += bytes;
    }
    m_records.unclosed += static_cast<std::int64_t>(m_open.size());
    sort(m_records.kernels);
    sort(m_records.copies);
    sort(m_records.fills);
    sort(m_records.calls);
    sort(m_records.ranges);
    sort(m_records.overheads);
    return std::move(m_records);
  }

 private:
  void take(std::span<const std::byte> bytes) {
    const Fields fields(bytes, m_recording.texts);
    const std::uint32_t number = fields.word(0);
    const auto kind = static_cast<ActivityKind>(number);
    const std::size_t least = least_bytes(kind, m_counts_copies);
    if (least == 0) {
      ++m_records.unknown[number];
    } else if (bytes.size() < least) {
      ++m_records.truncated;
    } else {
      read(kind, fields);
    }
  }

  void read(ActivityKind kind, const Fields& fields) {
    switch (kind) {
      case ActivityKind::kKernel:
      case ActivityKind::kConcurrent:
        return read_kernel(fields);
      case ActivityKind::kCopy:
        return read_copy(fields);
      case ActivityKind::kPeerCopy:
        return keep(transfer<CopyActivity>(fields, peer_copy_layout::kCorrelation),
                    m_records.copies);
      case ActivityKind::kFill:
        return keep(transfer<FillActivity>(fields, fill_layout::kCorrelation), m_records.fills);
      case ActivityKind::kDriver:
        return read_call(fields, m_recording.driver_calls);
      case ActivityKind::kRuntime:
        return read_call(fields, m_recording.runtime_calls);
      case ActivityKind::kMarker:
        return read_marker(fields);
      case ActivityKind::kOverhead:
        return read_overhead(fields);
      case ActivityKind::kDevice:
        return read_device(fields);
    }
  }

  /// Keeps what has a begin and an end. CUPTI writes 0 where it has no time.
  template <class Activity>
  void keep(Activity activity, std::vector<Activity>& list) {
    bool plausible = activity.begin_ns > 0 && activity.end_ns >= activity.begin_ns &&
                     activity.end_ns <= kLatestNs;
    if constexpr (requires { activity.bytes; }) {
      plausible = plausible && activity.bytes >= 0 && activity.bytes <= kMostBytes;
    }
    if constexpr (requires { activity.pieces; }) {
      plausible = plausible && activity.pieces <= kMostBytes;
    }
    if (!plausible) {
      ++m_records.implausible;
      return;
    }
    list.push_back(std::move(activity));
  }

  void read_kernel(const Fields& fields) {
    using namespace kernel_layout;
    KernelActivity kernel;
    kernel.name = fields.text(kName);
    kernel.begin_ns = fields.wide(kBegin);
    kernel.end_ns = fields.wide(kEnd);
    kernel.device = fields.word(kDevice);
    kernel.stream = fields.word(kStream);
    kernel.correlation = fields.word(kCorrelation);
    kernel.grid = fields.extent(kGrid);
    kernel.block = fields.extent(kBlock);
    kernel.registers = fields.at<std::uint16_t>(kRegisters);
    kernel.shared_bytes = std::int64_t{fields.word(kStaticShared)} + fields.word(kDynamicShared);
    keep(std::move(kernel), m_records.kernels);
  }

  /// What the records of copies and fills share.
  template <class Activity>
  static Activity transfer(const Fields& fields, std::size_t correlation) {
    using namespace transfer_layout;
    Activity activity;
    activity.bytes = fields.wide(kMoved);
    activity.begin_ns = fields.wide(kBegin);
    activity.end_ns = fields.wide(kEnd);
    activity.device = fields.word(kDevice);
    activity.stream = fields.word(kStream);
    activity.correlation = fields.word(correlation);
    return activity;
  }

  void read_copy(const Fields& fields) {
    using namespace copy_layout;
    auto copy = transfer<CopyActivity>(fields, kCorrelation);
    copy.way = way_of(fields.at<std::uint8_t>(kCopyKind));
    if (m_counts_copies) {
      copy.pieces = std::max<std::int64_t>(fields.wide(kCopyCount), 1);
    }
    keep(copy, m_records.copies);
  }

  void read_call(const Fields& fields, const std::map<std::uint32_t, std::string>& names) {
    using namespace call_layout;
    CallActivity call;
    const std::uint32_t callback = fields.word(kCallback);
    const auto name = names.find(callback);
    call.name =
        name == names.end() ? fmt::format("call {}", callback) : without_version(name->second);
    call.begin_ns = fields.wide(kBegin);
    call.end_ns = fields.wide(kEnd);
    call.thread = fields.word(kThread);
    call.correlation = fields.word(kCorrelation);
    call.failed = fields.word(kResult) != 0;
    keep(std::move(call), m_records.calls);
  }

  void read_marker(const Fields& fields) {
    using namespace marker_layout;
    const std::uint32_t flags = fields.word(kFlags);
    const std::uint32_t id = fields.word(kId);
    const bool starts = (flags & kStartFlag) != 0;
    if (!starts && (flags & kEndFlag) == 0) {
      return;  // a point in time
    }
    const auto found = m_open.find(id);
    if (found == m_open.end()) {
      // Buffers of several threads may come in any order.
      Marker& marker = m_open[id];
      marker.starts = starts;
      marker.time_ns = fields.wide(kTime);
      marker.thread = thread_of(fields);
      marker.name = fields.text(kName);
      return;
    }
    const Marker& other = found->second;
    if (other.starts == starts) {
      ++m_records.unclosed;
      return;
    }
    RangeActivity range;
    range.name = starts ? fields.text(kName) : other.name;
    range.begin_ns = starts ? fields.wide(kTime) : other.time_ns;
    range.end_ns = starts ? other.time_ns : fields.wide(kTime);
    range.thread = starts ? thread_of(fields) : other.thread;
    m_open.erase(found);
    keep(std::move(range), m_records.ranges);
  }

  [[nodiscard]] static std::uint32_t thread_of(const Fields& fields) {
    return fields.word(marker_layout::kObject) == marker_layout::kThreadObject
               ? fields.word(marker_layout::kThread)
               : 0;
  }

  void read_overhead(const Fields& fields) {
    using namespace overhead_layout;
    OverheadActivity overhead;
    overhead.name = overhead_name(fields.word(kWhat));
    overhead.begin_ns = fields.wide(kBegin);
    overhead.end_ns = fields.wide(kEnd);
    overhead.thread =
        fields.word(kObject) == marker_layout::kThreadObject ? fields.word(kThread) : 0;
    keep(std::move(overhead), m_records.overheads);
  }

  void read_device(const Fields& fields) {
    using namespace device_layout;
    m_records.devices.push_back({fields.word(kId), fields.text(kName),
                                 fields.word(kMultiprocessors), fields.word(kMajor),
                                 fields.word(kMinor)});
  }

  template <class Activity>
  static void sort(std::vector<Activity>& list) {
    std::stable_sort(list.begin(), list.end(), [](const Activity& a, const Activity& b) {
      return std::tie(a.begin_ns, a.end_ns) < std::tie(b.begin_ns, b.end_ns);
    });
  }

  /// One end of a range whose other end has not come yet.
  struct Marker {
    bool starts = false;
    std::int64_t time_ns = 0;
    std::uint32_t thread = 0;
    std::string name;
  };

  const ActivityRecording& m_recording;
  bool m_counts_copies;
  ActivityRecords m_records;
  std::map<std::uint32_t, Marker> m_open;  ///< by the number that both ends share
};

}  // namespace

ActivityRecords parse_activities(const ActivityRecording& recording) {
  if (recording.cupti_version < kOldestCupti) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("recorded by CUPTI {}, expected {} (CUDA 12.0) or newer",
                            recording.cupti_version, kOldestCupti));
  }
  return RecordReader(recording).read();
}

}  // namespace kvsieve::profile
