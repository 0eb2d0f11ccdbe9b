#include "kvsieve/profile/cupti_library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>

#include <array>
#include <cstdlib>
#include <vector>

#include "activity_layout.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::profile {
namespace {

constexpr const char* kVariable = "KVSIEVE_CUPTI";
constexpr const char* kHint =
    "install the CUDA toolkit's CUPTI, or name the library with --cupti FILE";
constexpr std::array kNames{"libcupti.so.13", "libcupti.so.12", "libcupti.so"};
constexpr std::array kFolders{"extras/CUPTI/lib64", "lib64", "lib"};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// Files to try, first to last. A name without a folder is looked for by the loader.
std::vector<std::string> candidates(const std::string& path) {
  if (!path.empty()) {
    return {path};
  }
  if (const std::string named = environment(kVariable); !named.empty()) {
    return {named};
  }
  std::vector<std::string> files(kNames.begin(), kNames.end());
  for (const std::string& root :
       {environment("CUDA_HOME"), environment("CUDA_PATH"), std::string("/usr/local/cuda")}) {
    for (const char* folder : kFolders) {
      for (const char* name : kNames) {
        if (!root.empty()) {
          files.push_back(fmt::format("{}/{}/{}", root, folder, name));
        }
      }
    }
  }
  return files;
}

/// Why the loader refused, which it says once.
std::string loader_message() {
  const char* message = dlerror();
  return message == nullptr ? "unknown reason" : message;
}

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorKind::kMissingCapability, what, kHint);
}

template <class Function>
void resolve(void* library, const std::string& path, const char* name, Function& function) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) {
    fail(fmt::format("{} has no {}", path, name));
  }
  function = reinterpret_cast<Function>(symbol);
}

}  // namespace

CuptiLibrary CuptiLibrary::open(const std::string& path) {
  const std::vector<std::string> files = candidates(path);
  CuptiLibrary library;
  void* handle = nullptr;
  std::string reason;
  for (const std::string& file : files) {
    handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) {
      break;
    }
    // A file that is there but does not load says more than one that is not.
    const std::string message = loader_message();
    if (reason.empty() || message.find("No such file") == std::string::npos) {
      reason = message;
    }
  }
  if (handle == nullptr) {
    fail(fmt::format("CUPTI cannot be loaded ({})", reason));
  }
  // From here on it stays loaded: CUPTI's own threads may still run in it.
  link_map* map = nullptr;
  library.m_path = dlinfo(handle, RTLD_DI_LINKMAP, static_cast<void*>(&map)) == 0 &&
                           map->l_name != nullptr && *map->l_name != '\0'
                       ? map->l_name
                       : files.front();
  const auto find = [&](const char* name, auto& function) {
    resolve(handle, library.m_path, name, function);
  };
  CuptiCalls& calls = library.m_calls;
  find("cuptiGetVersion", calls.get_version);
  find("cuptiGetResultString", calls.get_result_string);
  find("cuptiGetCallbackName", calls.get_callback_name);
  find("cuptiSubscribe", calls.subscribe);
  find("cuptiUnsubscribe", calls.unsubscribe);
  find("cuptiActivityRegisterCallbacks", calls.register_callbacks);
  find("cuptiActivityEnable", calls.enable);
  find("cuptiActivityDisable", calls.disable);
  find("cuptiActivityFlushAll", calls.flush_all);
  find("cuptiActivityGetNextRecord", calls.get_next_record);
  find("cuptiActivityGetNumDroppedRecords", calls.get_dropped_records);
  if (const int result = calls.get_version(&library.m_version); result != 0) {
    fail(fmt::format("{}: cuptiGetVersion failed with {}", library.m_path, result));
  }
  if (library.m_version < kOldestCupti) {
    fail(fmt::format("{} is CUPTI {}, expected {} (CUDA 12.0) or newer", library.m_path,
                     library.m_version, kOldestCupti));
  }
  return library;
}

}  // namespace kvsieve::profile
