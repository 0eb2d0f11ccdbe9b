#include "exec/ptx/requests.h"

#include <algorithm>
#include <array>
#include <bit>

namespace kvsieve::ptx {
namespace {

constexpr unsigned kSectorBytes = 32;
constexpr unsigned kBanks = 32;
constexpr unsigned kBankBytes = 4;

/// The addresses of some lanes, ascending and each once. Lanes ask for equally many bytes at
/// multiples of them, so two requests are the same or apart.
struct Addresses {
  std::array<std::uint64_t, kLanes> value;
  unsigned count = 0;

  Addresses(const Request& request, LaneMask lanes) {
    bool ascending = true;
    for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
      const std::uint64_t address = request.address[lowest(rest)];
      if (count > 0 && address <= value[count - 1]) {
        if (address == value[count - 1]) {
          continue;
        }
        ascending = false;
      }
      value[count++] = address;
    }
    if (!ascending) {
      std::sort(value.begin(), value.begin() + count);
      count =
          static_cast<unsigned>(std::unique(value.begin(), value.begin() + count) - value.begin());
    }
  }
};

/// Wavefronts of lanes that are served together: the most words that one bank has to give.
unsigned wavefronts(const Request& request, LaneMask lanes) {
  // As long as no bank has to give two words, nothing needs sorting.
  std::array<std::uint64_t, kBanks> word_of_bank;
  std::uint32_t banks = 0;
  bool conflict = false;
  for (LaneMask rest = lanes; rest != 0 && !conflict; rest &= rest - 1) {
    const std::uint64_t address = request.address[lowest(rest)];
    const std::uint64_t end = (address + request.bytes + kBankBytes - 1) / kBankBytes;
    for (std::uint64_t word = address / kBankBytes; word < end; ++word) {
      const auto bank = static_cast<unsigned>(word % kBanks);
      conflict = conflict || ((banks >> bank & 1U) != 0 && word_of_bank[bank] != word);
      word_of_bank[bank] = word;
      banks |= 1U << bank;
    }
  }
  if (!conflict) {
    return 1;
  }
  const Addresses addresses(request, lanes);
  std::array<std::uint8_t, kBanks> words{};
  unsigned most = 0;
  std::uint64_t last = UINT64_MAX;
  for (unsigned i = 0; i < addresses.count; ++i) {
    const std::uint64_t first = addresses.value[i] / kBankBytes;
    const std::uint64_t end = (addresses.value[i] + request.bytes + kBankBytes - 1) / kBankBytes;
    for (std::uint64_t word = first; word < end; ++word) {
      if (word != last) {
        most = std::max<unsigned>(most, ++words[word % kBanks]);
        last = word;
      }
    }
  }
  return most;
}

}  // namespace

void count_global(Counters& counters, const Request& request, bool store, MemoryKind kind) {
  std::int64_t sectors = 0;
  std::int64_t bytes = 0;
  if (request.is_in_sequence()) {
    const std::uint64_t last = request.address[kLanes - 1] + request.bytes - 1;
    sectors =
        static_cast<std::int64_t>(last / kSectorBytes - request.address[0] / kSectorBytes) + 1;
    bytes = std::int64_t{request.bytes} * kLanes;
  } else {
    const Addresses addresses(request, request.lanes);
    std::uint64_t last = UINT64_MAX;
    for (unsigned i = 0; i < addresses.count; ++i) {
      const std::uint64_t sector = addresses.value[i] / kSectorBytes;
      sectors += sector != last ? 1 : 0;
      last = sector;
    }
    bytes = std::int64_t{addresses.count} * request.bytes;
  }
  (store ? counters.global_store_requests : counters.global_load_requests) += 1;
  (store ? counters.global_store_sectors : counters.global_load_sectors) += sectors;
  (store ? counters.global_store_bytes : counters.global_load_bytes) += bytes;
  counters.global_excess_sectors += sectors - (bytes + kSectorBytes - 1) / kSectorBytes;
  if (kind == MemoryKind::kPinned) {
    (store ? counters.pinned_store_bytes : counters.pinned_load_bytes) += bytes;
  }
}

void count_shared(Counters& counters, const Request& request) {
  // Wide requests are served a half or a quarter of the warp at a time.
  const unsigned parts = std::max(1U, request.bytes / kBankBytes);
  const unsigned lanes = kLanes / parts;
  std::int64_t total = 0;
  std::int64_t fewest = 0;
  if (request.is_in_sequence()) {
    // At most one word of each bank at a time.
    counters.shared_requests += 1;
    counters.shared_wavefronts += parts;
    return;
  }
  for (unsigned part = 0; part < parts; ++part) {
    const LaneMask mask = (kAllLanes >> (kLanes - lanes)) << (part * lanes);
    if ((request.lanes & mask) != 0) {
      total += wavefronts(request, request.lanes & mask);
      ++fewest;
    }
  }
  counters.shared_requests += 1;
  counters.shared_wavefronts += total;
  counters.shared_bank_conflicts += total - fewest;
}

}  // namespace kvsieve::ptx
