#include "exec/ptx/access.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string>
#include <string_view>
#include <utility>

namespace kvsieve::ptx {
namespace {

std::string_view verb_of(AccessKind kind) {
  switch (kind) {
    case AccessKind::kRead:
    case AccessKind::kAtomicRead:
      return "reads";
    case AccessKind::kWrite:
    case AccessKind::kAtomicWrite:
      return "writes";
    case AccessKind::kAtomicUpdate:
      return "updates";
  }
  return {};
}

[[noreturn, gnu::cold]] void fail_race(Warp& warp, const Instruction& instruction, unsigned lane,
                                       AccessKind kind, std::string_view where,
                                       const Collision& collision) {
  std::string other;
  if (collision.with_other_block) {
    other = "another block";
  } else if (collision.warp >= ShadowCell::kTimesOfWarps) {
    other = "several warps";
  } else {
    LaneMask lanes = collision.lanes;
    if (collision.warp == warp.number && lanes != (LaneMask{1} << lane)) {
      lanes &= ~(LaneMask{1} << lane);
    }
    other = warp.block->thread_name(collision.warp, lowest(lanes));
  }
  warp.block->fail(warp, instruction, lane,
                   fmt::format("race: {} {} that {} {}, and nothing orders them", verb_of(kind),
                               where, other, collision.with_write ? "wrote" : "read"));
}

/// What an access runs into.
struct Finding {
  enum class Kind : std::uint8_t { kNone, kUninitialised, kRace } kind = Kind::kNone;
  unsigned lane = 0;
  Collision collision;
};

/// The cell check of pass_tracked().
template <AccessKind kind>
bool pass_cell(ShadowCell& cell, const Moment& moment, const Warp& warp, std::uint32_t warp_time,
               bool partial_meetings, unsigned lane, Finding& finding) {
  if (pass_quiet_cell<kind>(cell, moment, static_cast<std::uint8_t>(warp.number), warp_time,
                            partial_meetings, lane)) [[likely]] {
    return true;
  }
  const Collision collision = pass_contended_cell(cell, kind, moment, warp, lane);
  if (collision.found) [[unlikely]] {
    finding = {Finding::Kind::kRace, lane, collision};
  }
  return !collision.found;
}

/// Checks initialisation and races of a warp whose lanes follow on each other, in memory that
/// begins at `begin`.
template <AccessKind kind>
Finding pass_sequence(const Warp& warp, const Request& request, std::uint64_t begin,
                      WrittenBits& written, Shadow& shadow, const Moment moment) {
  const unsigned bytes = request.bytes;
  const auto lane_shift = static_cast<unsigned>(std::countr_zero(bytes));
  const std::uint64_t first = request.address[0] - begin;
  const std::uint64_t end = first + std::uint64_t{bytes} * kLanes;
  if (reads(kind)) {
    const std::uint64_t unwritten = written.first_unwritten(first, end - first);
    if (unwritten != end) [[unlikely]] {
      return {Finding::Kind::kUninitialised,
              static_cast<unsigned>((unwritten - first) >> lane_shift),
              {}};
    }
  } else {
    written.set(first, end - first);
  }
  const std::uint32_t warp_time = warp.full_time;
  const bool partial = warp.partial_meetings || moment.warps->any;
  Finding finding;
  for (std::uint64_t at = first; at < end;) {
    ShadowPage& page = shadow.page(at);
    page.refine(bytes);
    const unsigned shift = page.shift();
    const std::uint64_t in_page = at % ShadowPage::kBytes;
    const std::uint64_t count = std::min(end - at, ShadowPage::kBytes - in_page) >> shift;
    ShadowCell* const cells = page.cells() + (in_page >> shift);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto lane = static_cast<unsigned>((at - first + (i << shift)) >> lane_shift);
      if (!pass_cell<kind>(cells[i], moment, warp, warp_time, partial, lane, finding))
          [[unlikely]] {
        return finding;
      }
    }
    at += count << shift;
  }
  return finding;
}

/// The same for any lanes.
template <AccessKind kind>
Finding pass_tracked(const Warp& warp, const Request& request, std::uint64_t begin,
                     WrittenBits& written, Shadow& shadow, const Moment moment) {
  if (request.is_in_sequence()) {
    return pass_sequence<kind>(warp, request, begin, written, shadow, moment);
  }
  const unsigned bytes = request.bytes;
  const std::uint32_t warp_time = warp.full_time;
  const bool partial = warp.partial_meetings || moment.warps->any;
  Finding finding;
  ShadowPage* page = nullptr;
  std::uint64_t page_number = 0;
  unsigned shift = 0;
  unsigned cells = 0;
  for (LaneMask rest = request.lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    const std::uint64_t offset = request.address[lane] - begin;
    if (reads(kind)) {
      if (!written.all(offset, bytes)) [[unlikely]] {
        return {Finding::Kind::kUninitialised, lane, {}};
      }
    } else {
      written.set_aligned(offset, bytes);
    }
    if (page == nullptr || offset / ShadowPage::kBytes != page_number) {
      page_number = offset / ShadowPage::kBytes;
      page = &shadow.page(offset);
      page->refine(bytes);
      shift = page->shift();
      cells = bytes >> shift;
    }
    ShadowCell* const first = page->cells() + (offset % ShadowPage::kBytes >> shift);
    for (unsigned i = 0; i < cells; ++i) {
      if (!pass_cell<kind>(first[i], moment, warp, warp_time, partial, lane, finding))
          [[unlikely]] {
        return finding;
      }
    }
  }
  return finding;
}

Finding pass_tracked(AccessKind kind, const Warp& warp, const Request& request, std::uint64_t begin,
                     WrittenBits& written, Shadow& shadow, const Moment& moment) {
  switch (kind) {
    case AccessKind::kRead:
      return pass_tracked<AccessKind::kRead>(warp, request, begin, written, shadow, moment);
    case AccessKind::kWrite:
      return pass_tracked<AccessKind::kWrite>(warp, request, begin, written, shadow, moment);
    case AccessKind::kAtomicRead:
      return pass_tracked<AccessKind::kAtomicRead>(warp, request, begin, written, shadow, moment);
    case AccessKind::kAtomicWrite:
      return pass_tracked<AccessKind::kAtomicWrite>(warp, request, begin, written, shadow, moment);
    case AccessKind::kAtomicUpdate:
      return pass_tracked<AccessKind::kAtomicUpdate>(warp, request, begin, written, shadow, moment);
  }
  return {};
}

/// The lowest and the highest address of a request.
std::pair<std::uint64_t, std::uint64_t> extremes(const Request& request) {
  if (request.is_in_sequence()) {
    return {request.address[0], request.address[kLanes - 1]};
  }
  const std::uint64_t first = request.address[lowest(request.lanes)];
  std::uint64_t low = first;
  std::uint64_t high = first;
  if (request.lanes == kAllLanes) {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      low = std::min(low, request.address[lane]);
      high = std::max(high, request.address[lane]);
    }
  } else {
    for (LaneMask rest = request.lanes; rest != 0; rest &= rest - 1) {
      low = std::min(low, request.address[lowest(rest)]);
      high = std::max(high, request.address[lowest(rest)]);
    }
  }
  return {low, high};
}

/// Whether `bytes` at an offset end within a range of `size` bytes, for any offset.
bool ends_within(std::uint64_t size, std::uint64_t offset, unsigned bytes) {
  return offset < size && size - offset >= bytes;
}

/// Calls pass(lanes) for the whole request if `contains` both its extremes, else for lane by lane.
template <class Contains, class Pass>
void pass_together(const Request& request, const Contains& contains, const Pass& pass) {
  const auto [low, high] = extremes(request);
  if (contains(low, high)) {
    pass(request);
    return;
  }
  Request one = request;
  for (LaneMask rest = request.lanes; rest != 0; rest &= rest - 1) {
    one.lanes = rest & (0U - rest);
    pass(one);
  }
}

}  // namespace

void check_alignment(Warp& warp, const Instruction& instruction, const Request& request,
                     std::string_view space) {
  std::uint64_t all = 0;
  if (request.is_in_sequence()) {
    all = request.address[0];
  } else if (request.lanes == kAllLanes) {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      all |= request.address[lane];
    }
  } else {
    for (LaneMask rest = request.lanes; rest != 0; rest &= rest - 1) {
      all |= request.address[lowest(rest)];
    }
  }
  if ((all & (request.bytes - 1)) == 0) {
    return;
  }
  for (LaneMask rest = request.lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    if ((request.address[lane] & (request.bytes - 1)) != 0) {
      warp.block->fail(warp, instruction, lane,
                       fmt::format("misaligned: {} bytes of {} memory at {:#x}", request.bytes,
                                   space, request.address[lane]));
    }
  }
}

Request make_request(Warp& warp, const Instruction& instruction, LaneMask lanes, unsigned bytes) {
  Request request;
  request.lanes = lanes;
  request.bytes = bytes;
  const auto offset = static_cast<std::uint64_t>(instruction.offset);
  if (instruction.a == kNoOperand) {
    request.address.fill(offset);
  } else if (instruction.a_width == 8) {
    const auto* base = warp.lanes<std::uint64_t>(instruction.a);
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      request.address[lane] = base[lane] + offset;
    }
  } else {
    // Addresses of 32 bits wrap.
    const auto* base = warp.lanes<std::uint32_t>(instruction.a);
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      request.address[lane] = base[lane] + static_cast<std::uint32_t>(offset);
    }
  }
  std::uint64_t differences = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    differences |= request.address[lane] ^ (request.address[0] + std::uint64_t{lane} * bytes);
  }
  request.in_sequence = differences == 0;
  return request;
}

SpaceRequests split_generic(const Request& request) {
  SpaceRequests result{request, request, request, request};
  for (Request* part : {&result.global, &result.shared, &result.local, &result.param}) {
    part->lanes = 0;
  }
  for (LaneMask rest = request.lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    const std::uint64_t address = request.address[lane];
    const std::uint64_t window = address / kWindowBytes * kWindowBytes;
    Request& part = window == kSharedWindow  ? result.shared
                    : window == kLocalWindow ? result.local
                    : window == kParamWindow ? result.param
                                             : result.global;
    part.lanes |= LaneMask{1} << lane;
    if (&part != &result.global) {
      part.address[lane] = address - window;
    }
  }
  return result;
}

LaneMask pass_global(Warp& warp, const Instruction& instruction, const Request& request,
                     AccessKind kind) {
  Block& block = *warp.block;
  const std::string_view space = instruction.space == Space::kConst ? "constant" : "global";
  check_alignment(warp, instruction, request, space);
  const Memory::State& memory = *block.launch().memory;
  LaneMask pinned = 0;
  Allocation* allocation = nullptr;
  const auto contains = [&](std::uint64_t low, std::uint64_t high) {
    allocation = memory.find(low);
    return allocation != nullptr &&
           ends_within(allocation->bytes, high - allocation->begin, request.bytes);
  };
  pass_together(request, contains, [&](const Request& part) {
    const unsigned first = lowest(part.lanes);
    if (std::has_single_bit(part.lanes) && !contains(part.address[first], part.address[first])) {
      block.fail(warp, instruction, first,
                 fmt::format("out of bounds: {} {} bytes of {} memory at {:#x}, {}", verb_of(kind),
                             part.bytes, space, part.address[first],
                             memory.describe(part.address[first])));
    }
    const Finding finding = pass_tracked(kind, warp, part, allocation->begin, allocation->written,
                                         allocation->shadow, block.moment(false));
    if (finding.kind == Finding::Kind::kNone) {
      pinned |= allocation->kind == MemoryKind::kPinned ? part.lanes : 0;
      return;
    }
    const std::string where = fmt::format("{} bytes of {} memory, {},", part.bytes, space,
                                          memory.describe(part.address[finding.lane]));
    if (finding.kind == Finding::Kind::kUninitialised) {
      block.fail(warp, instruction, finding.lane,
                 fmt::format("uninitialised: {} {} which nobody wrote", verb_of(kind), where));
    }
    fail_race(warp, instruction, finding.lane, kind, where, finding.collision);
  });
  return pinned;
}

void pass_shared(Warp& warp, const Instruction& instruction, const Request& request,
                 AccessKind kind) {
  Block& block = *warp.block;
  check_alignment(warp, instruction, request, "shared");
  const NamedRange* range = nullptr;
  const auto contains = [&](std::uint64_t low, std::uint64_t high) {
    range = block.find_shared(low);
    return range != nullptr && ends_within(range->bytes, high - range->begin, request.bytes);
  };
  pass_together(request, contains, [&](const Request& part) {
    const unsigned first = lowest(part.lanes);
    if (std::has_single_bit(part.lanes) && !contains(part.address[first], part.address[first])) {
      block.fail(
          warp, instruction, first,
          fmt::format("out of bounds: {} {} bytes of shared memory at {:#x}, {}", verb_of(kind),
                      part.bytes, part.address[first], block.describe_shared(part.address[first])));
    }
    const auto where = [&](unsigned lane) {
      return fmt::format("{} bytes of shared memory, {} bytes into {} of {} bytes,", part.bytes,
                         part.address[lane] - range->begin, range->name, range->bytes);
    };
    if (block.copies_in_flight() > 0) {
      for (LaneMask rest = part.lanes; rest != 0; rest &= rest - 1) {
        const unsigned lane = lowest(rest);
        if (block.shared_in_flight().any(part.address[lane], part.bytes)) {
          block.fail(warp, instruction, lane,
                     fmt::format("missing wait: {} {} which a cp.async still writes", verb_of(kind),
                                 where(lane)));
        }
      }
    }
    const Finding finding = pass_tracked(kind, warp, part, 0, block.shared_written(),
                                         block.shared_shadow(), block.moment(true));
    if (finding.kind == Finding::Kind::kUninitialised) {
      block.fail(warp, instruction, finding.lane,
                 fmt::format("uninitialised: {} {} which nobody wrote", verb_of(kind),
                             where(finding.lane)));
    } else if (finding.kind == Finding::Kind::kRace) {
      fail_race(warp, instruction, finding.lane, kind, where(finding.lane), finding.collision);
    }
  });
}

void pass_local(Warp& warp, const Instruction& instruction, const Request& request,
                AccessKind kind) {
  Block& block = *warp.block;
  check_alignment(warp, instruction, request, "local");
  const std::size_t size = block.launch().function->local_bytes;
  WrittenBits& written = block.local_written();
  for (LaneMask rest = request.lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    const std::uint64_t address = request.address[lane];
    if (!ends_within(size, address, request.bytes)) {
      block.fail(warp, instruction, lane,
                 fmt::format("out of bounds: {} bytes of local memory at {:#x} of {} bytes",
                             request.bytes, address, size));
    }
    const std::size_t at = block.local_begin(warp, lane) + address;
    if (writes(kind)) {
      written.set_aligned(at, request.bytes);
    } else if (!written.all(at, request.bytes)) {
      block.fail(warp, instruction, lane,
                 fmt::format("uninitialised: reads {} bytes of local memory, {} bytes into its {}, "
                             "which nobody wrote",
                             request.bytes, address, size));
    }
  }
}

void pass_param(Warp& warp, const Instruction& instruction, const Request& request) {
  check_alignment(warp, instruction, request, "parameter");
  const std::size_t size = warp.block->launch().parameters.size();
  for (LaneMask rest = request.lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    const std::uint64_t address = request.address[lane];
    if (!ends_within(size, address, request.bytes)) {
      warp.block->fail(warp, instruction, lane,
                       fmt::format("out of bounds: {} bytes of parameters at {:#x} of {} bytes",
                                   request.bytes, address, size));
    }
  }
}

}  // namespace kvsieve::ptx
