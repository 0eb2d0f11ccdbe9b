#pragma once
// Activity records as CUPTI writes them, made by hand, and recorded through the stub.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "kvsieve/profile/activity_records.h"
#include "kvsieve/profile/recording.h"
#include "profile/cupti_stub.h"

namespace kvsieve::profile::tests {

/// The stub, loaded; reset to its first state.
CuptiStub& fresh_stub();
/// Its file.
[[nodiscard]] std::string stub_path();

/// Makes buffers for one version. Texts live as long as it does.
class RecordBuilder {
 public:
  explicit RecordBuilder(std::uint32_t version) : m_version(version), m_buffers(1) {}

  RecordBuilder& device(const std::string& name);
  RecordBuilder& kernel(const std::string& name, std::uint32_t stream, std::int64_t begin_ns,
                        std::int64_t end_ns, std::uint32_t correlation);
  /// @param kind CUpti_ActivityMemcpyKind: 1 to the GPU, 2 to the host, 8 on the GPU
  RecordBuilder& copy(std::uint8_t kind, std::uint32_t stream, std::int64_t begin_ns,
                      std::int64_t end_ns, std::uint32_t correlation, std::int64_t bytes,
                      std::int64_t pieces = 1);
  RecordBuilder& peer_copy(std::int64_t begin_ns, std::int64_t end_ns, std::uint32_t correlation,
                           std::int64_t bytes);
  RecordBuilder& fill(std::uint32_t stream, std::int64_t begin_ns, std::int64_t end_ns,
                      std::uint32_t correlation, std::int64_t bytes);
  /// @param callback 211 launches a kernel, 41 copies
  RecordBuilder& call(std::uint32_t thread, std::int64_t begin_ns, std::int64_t end_ns,
                      std::uint32_t correlation, std::uint32_t callback = 211,
                      std::uint32_t result = 0);
  RecordBuilder& driver_call(std::uint32_t thread, std::int64_t begin_ns, std::int64_t end_ns,
                             std::uint32_t correlation);
  RecordBuilder& range_begin(std::uint32_t thread, std::int64_t time_ns, std::uint32_t id,
                             const std::string& name);
  RecordBuilder& range_end(std::uint32_t thread, std::int64_t time_ns, std::uint32_t id);
  /// Both ends, with a new number.
  RecordBuilder& range(std::uint32_t thread, std::int64_t begin_ns, std::int64_t end_ns,
                       const std::string& name);
  RecordBuilder& overhead(std::uint32_t thread, std::int64_t begin_ns, std::int64_t end_ns,
                          std::uint32_t what);
  /// A record with nothing but its kind.
  RecordBuilder& of_kind(std::uint32_t kind);
  /// Cuts bytes off the last record.
  RecordBuilder& cut(std::size_t bytes);
  /// What follows goes to another buffer.
  RecordBuilder& next_buffer();

  /// What the recorder makes of the buffers.
  [[nodiscard]] ActivityRecording record() const;
  /// And the parser of that.
  [[nodiscard]] ActivityRecords parse() const { return parse_activities(record()); }

  [[nodiscard]] const std::vector<std::vector<std::uint8_t>>& buffers() const { return m_buffers; }

 private:
  std::uint8_t* add(std::uint32_t kind);
  /// With what copies and fills share.
  std::uint8_t* add_transfer(std::uint32_t kind, std::uint32_t stream, std::int64_t begin_ns,
                             std::int64_t end_ns, std::int64_t bytes);
  /// What the records that begin and end a range share.
  std::uint8_t* add_marker(std::uint32_t flag, std::uint32_t thread, std::int64_t time_ns,
                           std::uint32_t id);
  [[nodiscard]] const char* keep(const std::string& text);

  std::uint32_t m_version;
  std::vector<std::vector<std::uint8_t>> m_buffers;
  std::deque<std::string> m_texts;
  std::uint32_t m_next_range = 1000;
};

}  // namespace kvsieve::profile::tests
