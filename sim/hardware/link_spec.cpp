#include <fmt/format.h>

#include <array>
#include <utility>

#include "hardware/profile_parts.h"
#include "hardware/sourced_fields.h"
#include "replay/named_values.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

constexpr NamedValues<TransferPath, kTransferPaths> kPathNames{
    "transfer path",
    {{{"dma", TransferPath::kDma},
      {"batched-dma", TransferPath::kBatchedDma},
      {"kernel", TransferPath::kKernel},
      {"zero-copy", TransferPath::kZeroCopy}}}};

constexpr SourcedField<LinkSpec> kNumbers[] = {
    {"latency_us", &LinkSpec::latency_us, NumberRange::kNonNegative},
    {"both_gbps", &LinkSpec::both_gbps, NumberRange::kPositive},
};

constexpr SourcedField<TransferSegment> kSegmentNumbers[] = {
    {"piece_us", &TransferSegment::piece_us, NumberRange::kNonNegative},
    {"gbps", &TransferSegment::gbps, NumberRange::kPositive},
};

std::vector<TransferSegment> segments_from_json(const traces::JsonFields& paths,
                                                std::string_view name) {
  std::vector<TransferSegment> segments;
  for (const traces::JsonFields& fields : paths.objects(name)) {
    fields.allow_only(known_keys<TransferSegment>({"from_bytes"}, kSegmentNumbers));
    TransferSegment segment;
    segment.from_bytes = fields.integer("from_bytes", 0, INT64_MAX);
    if (segments.empty() && segment.from_bytes != 0) {
      fields.fail("from_bytes", "0 in the first segment");
    }
    if (!segments.empty() && segment.from_bytes <= segments.back().from_bytes) {
      fields.fail("from_bytes", fmt::format("more than the {} of the segment before",
                                            segments.back().from_bytes));
    }
    read_sourced<TransferSegment>(fields, kSegmentNumbers, segment);
    segments.push_back(std::move(segment));
  }
  return segments;
}

LinkDirection direction_from_json(const traces::JsonFields& fields) {
  fields.allow_only({"spec_gbps", "paths"});
  LinkDirection direction;
  direction.spec_gbps = sourced_from_json(fields, "spec_gbps", NumberRange::kPositive);
  const traces::JsonFields paths = fields.object("paths");
  std::vector<std::string> known;
  for (const auto& [name, path] : kPathNames.entries) {
    known.emplace_back(name);
    if (paths.has(name)) {
      direction.paths[static_cast<std::size_t>(path)] = segments_from_json(paths, name);
    }
  }
  paths.allow_only(known);
  if (direction.path(TransferPath::kDma).empty()) {
    paths.fail("dma", "segments: every link copies");
  }
  return direction;
}

ordered_json to_json(const LinkDirection& direction) {
  ordered_json paths = ordered_json::object();
  for (const auto& [name, path] : kPathNames.entries) {
    if (direction.path(path).empty()) {
      continue;
    }
    ordered_json& segments = paths[std::string(name)] = ordered_json::array();
    for (const TransferSegment& segment : direction.path(path)) {
      ordered_json json = {{"from_bytes", segment.from_bytes}};
      write_sourced<TransferSegment>(segment, kSegmentNumbers, json);
      segments.push_back(std::move(json));
    }
  }
  return {{"spec_gbps", to_json(direction.spec_gbps)}, {"paths", std::move(paths)}};
}

}  // namespace

std::string_view name_of(TransferPath path) noexcept {
  return kPathNames.name(path);
}

TransferPath transfer_path_from_name(std::string_view name) {
  return kPathNames.value(name);
}

LinkSpec link_from_json(const ordered_json& json, const std::string& path) {
  const traces::JsonFields fields(json, path);
  fields.allow_only(known_keys<LinkSpec>({"id", "name", "to_gpu", "to_host"}, kNumbers));
  LinkSpec link;
  link.id = text_from_json(fields, "id");
  link.name = fields.string_or("name", link.id);
  link.to_gpu = direction_from_json(fields.object("to_gpu"));
  link.to_host = direction_from_json(fields.object("to_host"));
  read_sourced<LinkSpec>(fields, kNumbers, link);
  return link;
}

ordered_json to_json(const LinkSpec& link) {
  ordered_json json = {{"id", link.id},
                       {"name", link.name},
                       {"to_gpu", to_json(link.to_gpu)},
                       {"to_host", to_json(link.to_host)}};
  write_sourced<LinkSpec>(link, kNumbers, json);
  return json;
}

}  // namespace kvsieve::sim
