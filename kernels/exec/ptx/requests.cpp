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

/// How many sectors the addresses are in.
std::int64_t sectors_of(const Addresses& addresses) {
  std::int64_t sectors = 0;
  std::uint64_t last = UINT64_MAX;
  for (unsigned i = 0; i < addresses.count; ++i) {
    const std::uint64_t sector = addresses.value[i] / kSectorBytes;
    sectors += sector != last ? 1 : 0;
    last = sector;
  }
  return sectors;
}

/// Distinct bytes of the lanes that are among the first `sizes` of their part.
std::int64_t short_bytes(const Request& request, LaneMask lanes,
                         const std::array<std::uint8_t, kLanes>& sizes) {
  std::int64_t bytes = 0;
  for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    // Of equal parts the longest counts, the first of these.
    bool counts = true;
    for (LaneMask others = lanes; others != 0; others &= others - 1) {
      const unsigned other = lowest(others);
      counts =
          counts && (request.address[other] != request.address[lane] ||
                     sizes[other] < sizes[lane] || (sizes[other] == sizes[lane] && other >= lane));
    }
    bytes += counts ? sizes[lane] : 0;
  }
  return bytes;
}

void add_request(Counters& counters, bool store, std::int64_t sectors, std::int64_t bytes,
                 std::int64_t pinned_bytes) {
  (store ? counters.global_store_requests : counters.global_load_requests) += 1;
  (store ? counters.global_store_sectors : counters.global_load_sectors) += sectors;
  (store ? counters.global_store_bytes : counters.global_load_bytes) += bytes;
  (store ? counters.pinned_store_bytes : counters.pinned_load_bytes) += pinned_bytes;
  counters.global_excess_sectors += sectors - (bytes + kSectorBytes - 1) / kSectorBytes;
}

}  // namespace

void count_global(Counters& counters, const Request& request, bool store, LaneMask pinned) {
  std::int64_t sectors = 0;
  std::int64_t bytes = 0;
  if (request.is_in_sequence()) {
    const std::uint64_t last = request.address[kLanes - 1] + request.bytes - 1;
    sectors =
        static_cast<std::int64_t>(last / kSectorBytes - request.address[0] / kSectorBytes) + 1;
    bytes = std::int64_t{request.bytes} * kLanes;
  } else {
    const Addresses addresses(request, request.lanes);
    sectors = sectors_of(addresses);
    bytes = std::int64_t{addresses.count} * request.bytes;
  }
  const std::int64_t pinned_bytes =
      pinned == request.lanes ? bytes
      : pinned == 0           ? 0
                              : std::int64_t{Addresses(request, pinned).count} * request.bytes;
  add_request(counters, store, sectors, bytes, pinned_bytes);
}

void count_short_load(Counters& counters, const Request& request,
                      const std::array<std::uint8_t, kLanes>& sizes, LaneMask pinned) {
  LaneMask lanes = 0;
  for (LaneMask rest = request.lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    lanes |= sizes[lane] != 0 ? LaneMask{1} << lane : 0;
  }
  if (lanes != 0) {
    add_request(counters, false, sectors_of(Addresses(request, lanes)),
                short_bytes(request, lanes, sizes), short_bytes(request, pinned, sizes));
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
