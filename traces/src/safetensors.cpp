#include "kvsieve/traces/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "kvsieve/traces/content_hash.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"
#include "kvsieve/traces/output_file.h"

namespace kvsieve::traces {
namespace {

using nlohmann::ordered_json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the reference implementation
constexpr std::uint64_t kAlignment = 64;

[[noreturn]] void bad(const std::string& what) {
  throw Error(ErrorKind::kBadInput, what);
}

std::uint64_t load_little_endian(const std::byte* bytes) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < kLengthBytes; ++i) {
    value |= std::to_integer<std::uint64_t>(bytes[i]) << (8U * i);
  }
  return value;
}

/// Bytes of a tensor, or an error if the product leaves 63 bits.
std::uint64_t checked_bytes(const TensorEntry& entry) {
  std::uint64_t bytes = size_of(entry.dtype);
  for (const std::int64_t extent : entry.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes) ||
        bytes > static_cast<std::uint64_t>(INT64_MAX)) {
      bad(fmt::format("tensor {} is too large to address", printable(entry.name)));
    }
  }
  return bytes;
}

TensorEntry parse_entry(const std::string& name, const ordered_json& json,
                        std::uint64_t data_bytes) {
  const std::string shown_name = printable(name);
  const JsonFields fields(json, "tensor " + shown_name);
  TensorEntry entry;
  entry.name = name;
  try {
    entry.dtype = dtype_from_name(fields.string("dtype"));
  } catch (const Error&) {
    fields.fail("dtype", "F16, BF16, F32 or I32");
  }
  entry.shape = fields.integers("shape", 0, INT64_MAX);
  const std::vector<std::int64_t> offsets = fields.integers("data_offsets", 0, INT64_MAX);
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    fields.fail("data_offsets", "two offsets [begin, end] with begin <= end");
  }
  entry.begin = static_cast<std::uint64_t>(offsets[0]);
  entry.end = static_cast<std::uint64_t>(offsets[1]);
  if (entry.end > data_bytes) {
    bad(fmt::format("tensor {} ends at data byte {}, but the file has only {} (truncated?)",
                    shown_name, entry.end, data_bytes));
  }
  if (const std::uint64_t expected = checked_bytes(entry); entry.end - entry.begin != expected) {
    bad(fmt::format("tensor {} spans {} bytes, expected {} from its dtype and shape", shown_name,
                    entry.end - entry.begin, expected));
  }
  return entry;
}

/// The format allows neither holes nor overlap, so that no byte is hidden or shared.
void check_coverage(const std::vector<TensorEntry>& sorted, std::uint64_t data_bytes) {
  std::uint64_t covered = 0;
  for (const TensorEntry& entry : sorted) {
    if (entry.begin != covered) {
      bad(fmt::format("tensor {} begins at data byte {}, expected {} ({})", printable(entry.name),
                      entry.begin, covered,
                      entry.begin < covered ? "tensors overlap" : "there is a hole"));
    }
    covered = entry.end;
  }
  if (covered != data_bytes) {
    bad(fmt::format("the tensors cover {} data bytes, but the file has {}", covered, data_bytes));
  }
}

}  // namespace

std::int64_t TensorView::elements() const noexcept {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) {
    product *= extent;
  }
  return product;
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes,
                                           std::uint64_t file_size) {
  if (file_size < kLengthBytes || bytes.size() < kLengthBytes) {
    bad(fmt::format("the file has {} bytes, too few for a safetensors header", file_size));
  }
  const std::uint64_t length = load_little_endian(bytes.data());
  if (length > kMaxHeaderBytes) {
    bad(fmt::format("the header length is {} bytes, expected at most {} (not a safetensors file?)",
                    length, kMaxHeaderBytes));
  }
  if (length > file_size - kLengthBytes || length > bytes.size() - kLengthBytes) {
    bad(fmt::format("the header length is {} bytes, but only {} follow (truncated?)", length,
                    file_size - kLengthBytes));
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data() + kLengthBytes), length);
  if (text.empty() || text.front() != '{') {
    bad("the header does not begin with '{' (not a safetensors file?)");
  }
  const ordered_json json = parse_json(text, "the safetensors header");

  SafetensorsHeader header;
  header.data_offset = kLengthBytes + length;
  const std::uint64_t data_bytes = file_size - header.data_offset;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      const JsonFields metadata(value, "__metadata__");
      for (const auto& [key, unused] : value.items()) {
        header.metadata[key] = metadata.string(key);
      }
    } else {
      header.tensors.push_back(parse_entry(name, value, data_bytes));
    }
  }
  std::stable_sort(header.tensors.begin(), header.tensors.end(),
                   [](const TensorEntry& a, const TensorEntry& b) {
                     return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
                   });
  check_coverage(header.tensors, data_bytes);
  return header;
}

struct SafetensorsFile::Mapping {
  std::filesystem::path path;
  const std::byte* data = nullptr;
  std::uint64_t size = 0;
  SafetensorsHeader header;
  std::map<std::string, std::size_t, std::less<>> index;

  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (data != nullptr) {
      ::munmap(const_cast<std::byte*>(data), size);
    }
  }

  void map() {
    // Without O_NONBLOCK a pipe would block until somebody writes to it.
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) {
      bad(fmt::format("cannot open ({})", std::strerror(errno)));
    }
    struct stat status {};
    const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    size = regular ? static_cast<std::uint64_t>(status.st_size) : 0;
    void* mapped = MAP_FAILED;
    if (size > 0) {
      mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    }
    ::close(descriptor);
    if (!regular) {
      bad("is not a regular file");
    }
    if (size == 0) {
      bad("is empty");
    }
    if (mapped == MAP_FAILED) {
      bad(fmt::format("cannot map {} bytes ({})", size, std::strerror(errno)));
    }
    data = static_cast<const std::byte*>(mapped);
  }
};

SafetensorsFile::SafetensorsFile(std::unique_ptr<Mapping> mapping)
    : m_mapping(std::move(mapping)) {}
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;
SafetensorsFile::~SafetensorsFile() = default;

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  auto mapping = std::make_unique<Mapping>();
  mapping->path = path;
  try {
    mapping->map();
    mapping->header =
        parse_safetensors_header(std::span(mapping->data, mapping->size), mapping->size);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", path.string(), error.what()), error.hint());
  }
  for (std::size_t i = 0; i < mapping->header.tensors.size(); ++i) {
    mapping->index[mapping->header.tensors[i].name] = i;
  }
  return SafetensorsFile(std::move(mapping));
}

const std::filesystem::path& SafetensorsFile::path() const noexcept {
  return m_mapping->path;
}
std::uint64_t SafetensorsFile::file_size() const noexcept {
  return m_mapping->size;
}
const SafetensorsHeader& SafetensorsFile::header() const noexcept {
  return m_mapping->header;
}

bool SafetensorsFile::contains(std::string_view name) const {
  return m_mapping->index.find(name) != m_mapping->index.end();
}

TensorView SafetensorsFile::tensor(std::string_view name) const {
  const auto found = m_mapping->index.find(name);
  if (found == m_mapping->index.end()) {
    bad(fmt::format("{}: tensor {} is missing", m_mapping->path.string(), name));
  }
  const TensorEntry& entry = m_mapping->header.tensors[found->second];
  return {m_mapping->data + m_mapping->header.data_offset + entry.begin, entry.dtype, entry.shape};
}

void SafetensorsFile::release(const TensorView& tensor) const noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  // Only pages that lie wholly inside the tensor: its neighbours may still be in use.
  const std::uintptr_t begin =
      (reinterpret_cast<std::uintptr_t>(tensor.data) + page - 1) / page * page;
  const std::uintptr_t end =
      (reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.bytes()) / page * page;
  if (begin < end) {
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
}

std::string SafetensorsFile::hash() const {
  return content_hash(std::span(m_mapping->data, m_mapping->size));
}

struct SafetensorsWriter::State {
  struct Slot {
    Tensor tensor;
    std::uint64_t begin = 0;  // in the file
    std::int64_t elements = 0;
    std::map<std::int64_t, std::int64_t> written;  // begin -> end of disjoint stretches

    void mark_written(std::int64_t first, std::int64_t end) {
      auto next = written.upper_bound(first);
      if (next != written.begin() && std::prev(next)->second >= first) {
        --next;
      }
      while (next != written.end() && next->first <= end) {
        first = std::min(first, next->first);
        end = std::max(end, next->second);
        next = written.erase(next);
      }
      written[first] = end;
    }

    [[nodiscard]] std::int64_t count_written() const {
      std::int64_t count = 0;
      for (const auto& [first, end] : written) {
        count += end - first;
      }
      return count;
    }
  };

  State(std::filesystem::path target, bool overwrite) : file(std::move(target), overwrite) {}

  Slot& find(std::string_view name, std::int64_t first, std::size_t count) {
    const auto found = slots.find(name);
    if (found == slots.end()) {
      throw Error(ErrorKind::kInternal, fmt::format("no tensor {} was declared", name));
    }
    Slot& slot = found->second;
    if (first < 0 || first > slot.elements ||
        count > static_cast<std::uint64_t>(slot.elements - first)) {
      throw Error(ErrorKind::kInternal,
                  fmt::format("write of {} elements to {} from {} on leaves its {} elements", count,
                              name, first, slot.elements));
    }
    return slot;
  }

  OutputFile file;
  std::map<std::string, Slot, std::less<>> slots;
  std::vector<std::byte> buffer;
};

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path,
                                     std::map<std::string, std::string> metadata,
                                     const std::vector<Tensor>& tensors, bool overwrite)
    : m_state(std::make_unique<State>(std::move(path), overwrite)) {
  if (tensors.size() >= kMaxJsonKeys) {
    throw Error(ErrorKind::kUsage, fmt::format("{} tensors are too many for one file (limit {})",
                                               tensors.size(), kMaxJsonKeys - 1));
  }
  ordered_json json = ordered_json::object();
  json["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const Tensor& tensor : tensors) {
    TensorEntry entry{tensor.name, tensor.dtype, tensor.shape, offset, 0};
    entry.end = offset + checked_bytes(entry);
    if (entry.end > static_cast<std::uint64_t>(INT64_MAX)) {
      bad("the tensors are too large to address");
    }
    if (tensor.name == "__metadata__" || m_state->slots.count(tensor.name) != 0) {
      throw Error(ErrorKind::kInternal, fmt::format("{} was declared twice", tensor.name));
    }
    json[tensor.name] = {{"dtype", name_of(tensor.dtype)},
                         {"shape", tensor.shape},
                         {"data_offsets", {entry.begin, entry.end}}};
    m_state->slots[tensor.name] = {
        tensor, offset, TensorView{nullptr, tensor.dtype, tensor.shape}.elements(), {}};
    offset = entry.end;
  }
  std::string text = json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  const std::uint64_t unpadded = kLengthBytes + text.size();
  text.append((unpadded + kAlignment - 1) / kAlignment * kAlignment - unpadded, ' ');
  std::array<std::byte, kLengthBytes> length{};
  for (unsigned i = 0; i < kLengthBytes; ++i) {
    length[i] = static_cast<std::byte>(text.size() >> (8U * i));
  }
  m_state->file.append(length);
  m_state->file.append(text);
  for (auto& [name, slot] : m_state->slots) {
    slot.begin += kLengthBytes + text.size();
  }
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::write(std::string_view name, std::int64_t first,
                              std::span<const float> values) {
  State::Slot& slot = m_state->find(name, first, values.size());
  const std::size_t element = size_of(slot.tensor.dtype);
  m_state->buffer.resize(values.size() * element);
  from_float(slot.tensor.dtype, values, m_state->buffer.data());
  m_state->file.write_at(slot.begin + static_cast<std::uint64_t>(first) * element, m_state->buffer);
  slot.mark_written(first, first + static_cast<std::int64_t>(values.size()));
}

void SafetensorsWriter::write(std::string_view name, std::int64_t first,
                              std::span<const std::int32_t> values) {
  State::Slot& slot = m_state->find(name, first, values.size());
  if (slot.tensor.dtype != DType::kI32) {
    throw Error(ErrorKind::kInternal, fmt::format("tensor {} does not hold integers", name));
  }
  m_state->file.write_at(slot.begin + static_cast<std::uint64_t>(first) * sizeof(std::int32_t),
                         std::as_bytes(values));
  slot.mark_written(first, first + static_cast<std::int64_t>(values.size()));
}

void SafetensorsWriter::commit() {
  for (const auto& [name, slot] : m_state->slots) {
    if (const std::int64_t written = slot.count_written(); written != slot.elements) {
      throw Error(ErrorKind::kInternal, fmt::format("{} of {} elements of {} were written", written,
                                                    slot.elements, name));
    }
  }
  m_state->file.commit();
}

}  // namespace kvsieve::traces
