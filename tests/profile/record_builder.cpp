#include "profile/record_builder.h"

#include <dlfcn.h>

#include <cstring>
#include <stdexcept>

#include "activity_layout.h"
#include "kvsieve/profile/activity_recorder.h"

namespace kvsieve::profile::tests {
namespace {

template <class T>
void put(std::uint8_t* record, std::size_t offset, T value) {
  std::memcpy(record + offset, &value, sizeof(value));
}

}  // namespace

std::string stub_path() {
  return KVSIEVE_CUPTI_STUB;
}

CuptiStub& fresh_stub() {
  void* library = dlopen(KVSIEVE_CUPTI_STUB, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw std::runtime_error(dlerror());
  }
  auto* state =
      reinterpret_cast<decltype(&kvsieve_cupti_stub)>(dlsym(library, "kvsieve_cupti_stub"));
  CuptiStub& stub = *state();
  stub = {};
  return stub;
}

std::uint8_t* RecordBuilder::add(std::uint32_t kind) {
  std::vector<std::uint8_t>& buffer = m_buffers.back();
  const std::size_t begin = buffer.size();
  buffer.resize(begin + record_bytes(m_version, kind));
  put(buffer.data() + begin, 0, kind);
  return buffer.data() + begin;
}

const char* RecordBuilder::keep(const std::string& text) {
  return m_texts.emplace_back(text).c_str();
}

RecordBuilder& RecordBuilder::device(const std::string& name) {
  using namespace device_layout;
  std::uint8_t* record = add(8);
  put(record, kMultiprocessors, 132U);
  put(record, kMajor, 9U);
  put(record, kMinor, 0U);
  put(record, kName, keep(name));
  return *this;
}

RecordBuilder& RecordBuilder::kernel(const std::string& name, std::uint32_t stream,
                                     std::int64_t begin_ns, std::int64_t end_ns,
                                     std::uint32_t correlation) {
  using namespace kernel_layout;
  std::uint8_t* record = add(10);
  put(record, kName, keep(name));
  put(record, kStream, stream);
  put(record, kBegin, begin_ns);
  put(record, kEnd, end_ns);
  put(record, kCorrelation, correlation);
  put(record, kRegisters, std::uint16_t{40});
  put(record, kGrid, std::array<std::int32_t, 3>{7, 2, 1});
  put(record, kBlock, std::array<std::int32_t, 3>{128, 1, 1});
  put(record, kStaticShared, 1024U);
  put(record, kDynamicShared, 512U);
  return *this;
}

std::uint8_t* RecordBuilder::add_transfer(std::uint32_t kind, std::uint32_t stream,
                                          std::int64_t begin_ns, std::int64_t end_ns,
                                          std::int64_t bytes) {
  using namespace transfer_layout;
  std::uint8_t* record = add(kind);
  put(record, kStream, stream);
  put(record, kBegin, begin_ns);
  put(record, kEnd, end_ns);
  put(record, kMoved, bytes);
  return record;
}

RecordBuilder& RecordBuilder::copy(std::uint8_t kind, std::uint32_t stream, std::int64_t begin_ns,
                                   std::int64_t end_ns, std::uint32_t correlation,
                                   std::int64_t bytes, std::int64_t pieces) {
  using namespace copy_layout;
  std::uint8_t* record = add_transfer(1, stream, begin_ns, end_ns, bytes);
  put(record, kCopyKind, kind);
  put(record, kCorrelation, correlation);
  if (record_bytes(m_version, 1) >= kBytesWithCount) {
    put(record, kCopyCount, pieces);
  }
  return *this;
}

RecordBuilder& RecordBuilder::peer_copy(std::int64_t begin_ns, std::int64_t end_ns,
                                        std::uint32_t correlation, std::int64_t bytes) {
  put(add_transfer(22, 0, begin_ns, end_ns, bytes), peer_copy_layout::kCorrelation, correlation);
  return *this;
}

RecordBuilder& RecordBuilder::fill(std::uint32_t stream, std::int64_t begin_ns, std::int64_t end_ns,
                                   std::uint32_t correlation, std::int64_t bytes) {
  put(add_transfer(2, stream, begin_ns, end_ns, bytes), fill_layout::kCorrelation, correlation);
  return *this;
}

RecordBuilder& RecordBuilder::call(std::uint32_t thread, std::int64_t begin_ns, std::int64_t end_ns,
                                   std::uint32_t correlation, std::uint32_t callback,
                                   std::uint32_t result) {
  using namespace call_layout;
  std::uint8_t* record = add(5);
  put(record, kThread, thread);
  put(record, kBegin, begin_ns);
  put(record, kEnd, end_ns);
  put(record, kCorrelation, correlation);
  put(record, kCallback, callback);
  put(record, kResult, result);
  return *this;
}

RecordBuilder& RecordBuilder::driver_call(std::uint32_t thread, std::int64_t begin_ns,
                                          std::int64_t end_ns, std::uint32_t correlation) {
  call(thread, begin_ns, end_ns, correlation);
  std::vector<std::uint8_t>& buffer = m_buffers.back();
  put(buffer.data() + buffer.size() - record_bytes(m_version, 5), 0, 4U);
  return *this;
}

std::uint8_t* RecordBuilder::add_marker(std::uint32_t flag, std::uint32_t thread,
                                        std::int64_t time_ns, std::uint32_t id) {
  using namespace marker_layout;
  std::uint8_t* record = add(12);
  put(record, kFlags, flag);
  put(record, kObject, kThreadObject);
  put(record, kThread, thread);
  put(record, kTime, time_ns);
  put(record, kId, id);
  return record;
}

RecordBuilder& RecordBuilder::range_begin(std::uint32_t thread, std::int64_t time_ns,
                                          std::uint32_t id, const std::string& name) {
  using namespace marker_layout;
  put(add_marker(kStartFlag, thread, time_ns, id), kName, keep(name));
  return *this;
}

RecordBuilder& RecordBuilder::range_end(std::uint32_t thread, std::int64_t time_ns,
                                        std::uint32_t id) {
  add_marker(marker_layout::kEndFlag, thread, time_ns, id);
  return *this;
}

RecordBuilder& RecordBuilder::range(std::uint32_t thread, std::int64_t begin_ns,
                                    std::int64_t end_ns, const std::string& name) {
  const std::uint32_t id = m_next_range++;
  return range_begin(thread, begin_ns, id, name).range_end(thread, end_ns, id);
}

RecordBuilder& RecordBuilder::overhead(std::uint32_t thread, std::int64_t begin_ns,
                                       std::int64_t end_ns, std::uint32_t what) {
  using namespace overhead_layout;
  std::uint8_t* record = add(17);
  put(record, kWhat, what);
  put(record, kObject, marker_layout::kThreadObject);
  put(record, kThread, thread);
  put(record, kBegin, begin_ns);
  put(record, kEnd, end_ns);
  return *this;
}

RecordBuilder& RecordBuilder::of_kind(std::uint32_t kind) {
  add(kind);
  return *this;
}

RecordBuilder& RecordBuilder::cut(std::size_t bytes) {
  m_buffers.back().resize(m_buffers.back().size() - bytes);
  return *this;
}

RecordBuilder& RecordBuilder::next_buffer() {
  m_buffers.emplace_back();
  return *this;
}

ActivityRecording RecordBuilder::record() const {
  CuptiStub& stub = fresh_stub();
  stub.version = m_version;
  stub.buffers = m_buffers;
  ActivityRecorder recorder(CuptiLibrary::open(stub_path()));
  return recorder.finish();
}

}  // namespace kvsieve::profile::tests
