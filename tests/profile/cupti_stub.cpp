#include "profile/cupti_stub.h"

#include <cstring>
#include <map>
#include <utility>

#include "kvsieve/profile/cupti_library.h"

namespace {

using kvsieve::profile::CuptiCalls;
using kvsieve::profile::tests::CuptiStub;
using kvsieve::profile::tests::record_bytes;

CuptiCalls::BufferRequested g_requested = nullptr;
CuptiCalls::BufferCompleted g_completed = nullptr;

int result_of(const std::string& call) {
  const CuptiStub& stub = *kvsieve_cupti_stub();
  return stub.failing_call == call ? stub.failure : 0;
}

void hand_over(const std::vector<std::uint8_t>& bytes) {
  std::uint8_t* buffer = nullptr;
  std::size_t size = 0;
  std::size_t most_records = 1;
  g_requested(&buffer, &size, &most_records);
  if (buffer == nullptr || size < bytes.size() || most_records != 0) {
    ++kvsieve_cupti_stub()->refused_buffers;
    return;
  }
  std::memcpy(buffer, bytes.data(), bytes.size());
  g_completed(nullptr, 0, buffer, size, bytes.size());
}

}  // namespace

extern "C" {

CuptiStub* kvsieve_cupti_stub() {
  static CuptiStub stub;
  stub.hand_over = &hand_over;
  return &stub;
}

int cuptiGetVersion(std::uint32_t* version) {
  *version = kvsieve_cupti_stub()->version;
  return result_of("cuptiGetVersion");
}

int cuptiGetResultString(int result, const char** text) {
  switch (result) {
    case 35:
      *text = "CUPTI_ERROR_INSUFFICIENT_PRIVILEGES";
      break;
    case 39:
      *text = "CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED";
      break;
    default:
      *text = result == 999 ? "CUPTI_ERROR_UNKNOWN" : "CUPTI_ERROR_OTHER";
  }
  return result_of("cuptiGetResultString");
}

int cuptiGetCallbackName(int domain, std::uint32_t callback, const char** name) {
  if (callback == 211 && domain == 1) {
    *name = "cuLaunchKernel";
    return result_of("cuptiGetCallbackName");
  }
  static const std::map<std::uint32_t, const char*> names{
      {41, "cudaMemcpyAsync_v3020"},        {51, "cudaMemsetAsync_v3020"},
      {131, "cudaStreamSynchronize_v3020"}, {211, "cudaLaunchKernel_v7000"},
      {284, "cudaLaunchHostFunc_v10000"},   {509, "cudaMemcpyBatchAsync_v13000"}};
  const auto found = names.find(callback);
  if (found == names.end()) {
    return 1;
  }
  *name = found->second;
  return result_of("cuptiGetCallbackName");
}

int cuptiSubscribe(void** subscriber, CuptiCalls::Callback callback, void* /*user_data*/) {
  if (const int result = result_of("cuptiSubscribe"); result != 0) {
    return result;
  }
  CuptiStub& stub = *kvsieve_cupti_stub();
  stub.subscribers += callback != nullptr ? 1 : 0;
  *subscriber = &stub;
  return 0;
}

int cuptiUnsubscribe(void* subscriber) {
  CuptiStub& stub = *kvsieve_cupti_stub();
  stub.subscribers -= subscriber == &stub ? 1 : 0;
  return 0;
}

int cuptiActivityRegisterCallbacks(CuptiCalls::BufferRequested requested,
                                   CuptiCalls::BufferCompleted completed) {
  g_requested = requested;
  g_completed = completed;
  return result_of("cuptiActivityRegisterCallbacks");
}

int cuptiActivityEnable(int kind) {
  if (const int result = result_of("cuptiActivityEnable"); result != 0) {
    return result;
  }
  if (const int result = result_of("cuptiActivityEnable:" + std::to_string(kind)); result != 0) {
    return result;
  }
  kvsieve_cupti_stub()->enabled.insert(kind);
  return 0;
}

int cuptiActivityDisable(int kind) {
  kvsieve_cupti_stub()->enabled.erase(kind);
  return 0;
}

int cuptiActivityFlushAll(std::uint32_t /*flags*/) {
  if (kvsieve_cupti_stub()->before_flush) {
    kvsieve_cupti_stub()->before_flush();
  }
  // As CUPTI does, from a thread of its own.
  std::thread([] {
    for (const std::vector<std::uint8_t>& buffer : kvsieve_cupti_stub()->buffers) {
      hand_over(buffer);
    }
  }).join();
  return result_of("cuptiActivityFlushAll");
}

int cuptiActivityGetNextRecord(std::uint8_t* buffer, std::size_t valid_bytes, void** record) {
  constexpr int kMaxLimitReached = 12;
  constexpr int kInvalidKind = 21;
  if (const int result = result_of("cuptiActivityGetNextRecord"); result != 0) {
    return result;
  }
  auto* next = static_cast<std::uint8_t*>(*record);
  if (next == nullptr) {
    next = buffer;
  } else {
    std::uint32_t kind = 0;
    std::memcpy(&kind, next, sizeof(kind));
    next += record_bytes(kvsieve_cupti_stub()->version, kind);
  }
  if (next >= buffer + valid_bytes) {
    return kMaxLimitReached;
  }
  std::uint32_t kind = 0;
  std::memcpy(&kind, next, sizeof(kind));
  if (record_bytes(kvsieve_cupti_stub()->version, kind) == 0) {
    return kInvalidKind;
  }
  *record = next;
  return 0;
}

int cuptiActivityGetNumDroppedRecords(void* /*context*/, std::uint32_t /*stream*/,
                                      std::size_t* dropped) {
  *dropped = std::exchange(kvsieve_cupti_stub()->dropped, 0);
  return result_of("cuptiActivityGetNumDroppedRecords");
}

/// What NVTX calls in the library that NVTX_INJECTION64_PATH names.
int InitializeInjectionNvtx2(void* get_export_table) {
  CuptiStub& stub = *kvsieve_cupti_stub();
  ++stub.nvtx_initialised;
  if (stub.on_nvtx) {
    stub.on_nvtx(get_export_table);
  }
  return 1;
}

}  // extern "C"
