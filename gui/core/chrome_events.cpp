#include "core/chrome_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::gui {
namespace {

using nlohmann::json;

/// A file as a stream of characters that knows where it is.
class CharacterStream {
 public:
  CharacterStream(const std::filesystem::path& path, const JobControl& control)
      : m_file(path, std::ios::binary), m_control(control) {
    std::error_code error;
    m_file_bytes = static_cast<double>(std::filesystem::file_size(path, error));
    if (!m_file || error) {
      throw Error(ErrorKind::kBadInput, "cannot be read");
    }
    fill();
  }

  [[nodiscard]] bool at_end() const { return m_next == m_filled; }
  [[nodiscard]] char current() const { return m_buffer[m_next]; }
  void advance() {
    ++m_next;
    if (m_next == m_filled) {
      fill();
    }
  }
  /// Of the current character.
  [[nodiscard]] std::int64_t offset() const { return m_before + static_cast<std::int64_t>(m_next); }

 private:
  void fill() {
    m_before += static_cast<std::int64_t>(m_filled);
    m_file.read(m_buffer.data(), static_cast<std::streamsize>(m_buffer.size()));
    m_filled = static_cast<std::size_t>(m_file.gcount());
    m_next = 0;
    if (m_file.bad()) {
      throw Error(ErrorKind::kBadInput, fmt::format("byte {}: cannot be read", m_before));
    }
    m_control.progress(m_file_bytes > 0.0 ? static_cast<double>(m_before) / m_file_bytes : 1.0);
  }

  std::ifstream m_file;
  const JobControl& m_control;
  double m_file_bytes = 0.0;
  std::vector<char> m_buffer = std::vector<char>(std::size_t{1} << 20U);
  std::size_t m_filled = 0;
  std::size_t m_next = 0;
  std::int64_t m_before = 0;  ///< bytes before the buffer's
};

/// What the parser walks over.
class CharacterIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  CharacterIterator() = default;
  explicit CharacterIterator(CharacterStream* stream) : m_stream(stream) {}

  char operator*() const { return m_stream->current(); }
  CharacterIterator& operator++() {
    m_stream->advance();
    return *this;
  }
  bool operator==(const CharacterIterator& other) const { return at_end() == other.at_end(); }
  bool operator!=(const CharacterIterator& other) const { return !(*this == other); }

 private:
  [[nodiscard]] bool at_end() const { return m_stream == nullptr || m_stream->at_end(); }

  CharacterStream* m_stream = nullptr;
};

/// Gives texts small numbers.
class Interner {
 public:
  std::int32_t id_of(const std::string& text) {
    const auto [at, added] = m_ids.emplace(text, static_cast<std::int32_t>(m_texts.size()));
    if (added) {
      m_texts.push_back(text);
    }
    return at->second;
  }
  [[nodiscard]] const std::vector<std::string>& texts() const { return m_texts; }

 private:
  std::unordered_map<std::string, std::int32_t> m_ids;
  std::vector<std::string> m_texts;
};

/// An entry of the file while it is read.
struct Entry {
  std::string phase;
  std::string name;
  std::string process;
  std::string thread;
  std::string text_argument;  ///< args.name
  double begin_us = std::numeric_limits<double>::quiet_NaN();
  double us = std::numeric_limits<double>::quiet_NaN();
  double sort_index = std::numeric_limits<double>::quiet_NaN();
  TimelineEvent event;  ///< its arguments
  bool has_arguments = false;
};

/// Takes the parser's tokens; keeps nothing of the file but events.
class EventReader : public nlohmann::json_sax<json> {
 public:
  EventReader(const CharacterStream& stream) : m_stream(stream) {}

  bool null() override { return true; }
  bool boolean(bool value) override {
    if (m_where == Where::kArguments && m_depth == 0 && m_key == "critical") {
      m_entry.event.critical = value;
    }
    return true;
  }
  bool number_integer(std::int64_t value) override { return number(static_cast<double>(value)); }
  bool number_unsigned(std::uint64_t value) override { return number(static_cast<double>(value)); }
  bool number_float(double value, const std::string& /*text*/) override { return number(value); }
  bool string(std::string& value) override;
  bool binary(json::binary_t& /*value*/) override { return true; }
  bool start_object(std::size_t /*size*/) override;
  bool key(std::string& key) override {
    m_key = key;
    return true;
  }
  bool end_object() override;
  bool start_array(std::size_t /*size*/) override;
  bool end_array() override;
  bool parse_error(std::size_t position, const std::string& token,
                   const json::exception& error) override;

  /// Everything that was read. Throws as read_chrome_events.
  [[nodiscard]] TimelineParts finish(const QString& file_name);

 private:
  enum class Where {
    kNowhere,
    kTop,        ///< in the object that holds traceEvents
    kOtherData,  ///< in its otherData
    kEvents,     ///< in the array of entries
    kEntry,
    kArguments,
  };
  /// Name of a process and of a thread in it.
  using Thread = std::pair<std::string, std::string>;
  struct ThreadInfo {
    std::string name;
    double sort_index = 0.0;
    std::vector<TimelineEvent> begun;  ///< B without their E so far
  };

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kBadInput, fmt::format("byte {}: {}", m_stream.offset(), what),
                "expected Chrome's trace event format, as `kvsieve cost --timeline` writes it");
  }
  bool number(double value);
  void argument(double value);
  void take_entry();
  void take_metadata();
  [[nodiscard]] std::int32_t lane_of(const Thread& thread);
  void add_lanes(TimelineParts& parts);
  [[nodiscard]] double time(double value, std::string_view key) const;

  const CharacterStream& m_stream;
  Where m_where = Where::kNowhere;
  int m_depth = 0;          ///< of what is read over below `m_where`
  bool m_in_array = false;  ///< the file is an array of entries
  bool m_has_events = false;
  std::string m_key;
  Entry m_entry;
  std::int64_t m_entries = 0;
  std::int64_t m_skipped = 0;
  std::string m_title;
  std::string m_origin;
  Interner m_names;
  std::map<Thread, std::int32_t> m_lanes;
  std::vector<ThreadInfo> m_threads;  ///< by lane
  std::map<std::string, std::string> m_processes;
  std::vector<TimelineEvent> m_events;
};

bool EventReader::start_object(std::size_t /*size*/) {
  if (m_depth > 0) {
    ++m_depth;
  } else if (m_where == Where::kNowhere) {
    m_where = Where::kTop;
  } else if (m_where == Where::kEvents) {
    m_where = Where::kEntry;
    m_entry = {};
    m_key.clear();
  } else if (m_where == Where::kEntry && m_key == "args") {
    m_where = Where::kArguments;
  } else if (m_where == Where::kTop && m_key == "otherData") {
    m_where = Where::kOtherData;
  } else {
    ++m_depth;
  }
  return true;
}

bool EventReader::end_object() {
  if (m_depth > 0) {
    --m_depth;
  } else if (m_where == Where::kArguments) {
    m_where = Where::kEntry;
  } else if (m_where == Where::kEntry) {
    take_entry();
    m_where = Where::kEvents;
  } else if (m_where == Where::kOtherData) {
    m_where = Where::kTop;
  } else {
    m_where = Where::kNowhere;
  }
  return true;
}

bool EventReader::start_array(std::size_t /*size*/) {
  if (m_depth == 0 && m_where == Where::kNowhere) {
    m_where = Where::kEvents;
    m_in_array = true;
    m_has_events = true;
  } else if (m_depth == 0 && m_where == Where::kTop && m_key == "traceEvents") {
    m_where = Where::kEvents;
    m_has_events = true;
  } else {
    ++m_depth;
  }
  return true;
}

bool EventReader::end_array() {
  if (m_depth > 0) {
    --m_depth;
  } else {
    m_where = m_in_array ? Where::kNowhere : Where::kTop;
  }
  return true;
}

bool EventReader::string(std::string& value) {
  if (m_depth > 0) {
    return true;
  }
  if (m_where == Where::kEntry) {
    if (m_key == "ph") {
      m_entry.phase = value;
    } else if (m_key == "name") {
      m_entry.name = value;
    } else if (m_key == "pid") {
      m_entry.process = value;
    } else if (m_key == "tid") {
      m_entry.thread = value;
    } else if (m_key == "ts" || m_key == "dur") {
      fail(fmt::format("{} is '{}', expected a number", m_key, traces::printable(value)));
    }
  } else if (m_where == Where::kArguments && m_key == "name") {
    m_entry.text_argument = value;
  } else if (m_where == Where::kOtherData) {
    if (m_key == "title") {
      m_title = value;
    } else if (m_key == "origin") {
      m_origin = value;
    }
  } else if (m_where == Where::kEvents) {
    fail(fmt::format("an entry is '{}', expected an object", traces::printable(value)));
  }
  return true;
}

bool EventReader::number(double value) {
  if (m_depth > 0) {
    return true;
  }
  if (m_where == Where::kEntry) {
    if (m_key == "ts") {
      m_entry.begin_us = value;
    } else if (m_key == "dur") {
      m_entry.us = value;
    } else if (m_key == "pid") {
      m_entry.process = fmt::format("{}", value);
    } else if (m_key == "tid") {
      m_entry.thread = fmt::format("{}", value);
    }
  } else if (m_where == Where::kArguments) {
    argument(value);
  } else if (m_where == Where::kEvents) {
    fail(fmt::format("an entry is {}, expected an object", value));
  }
  return true;
}

void EventReader::argument(double value) {
  const auto count = [value](double most) {
    return value >= 0.0 && value <= most && std::floor(value) == value;
  };
  constexpr double kMostBytes = 1e18;
  constexpr double kMostIndex = std::numeric_limits<std::int32_t>::max();
  TimelineEvent& event = m_entry.event;
  if (m_key == "alone_us" && value >= 0.0) {
    event.alone_us = value;
  } else if (m_key == "sort_index") {
    m_entry.sort_index = value;
  } else if (m_key == "bytes" && count(kMostBytes)) {
    event.bytes = static_cast<std::int64_t>(value);
  } else if (m_key == "pieces" && count(kMostBytes)) {
    event.pieces = static_cast<std::int64_t>(value);
  } else if (m_key == "step" && count(kMostIndex)) {
    event.step = static_cast<std::int32_t>(value);
  } else if (m_key == "layer" && count(kMostIndex)) {
    event.layer = static_cast<std::int32_t>(value);
  } else if (m_key == "micro_batch" && count(kMostIndex)) {
    event.micro_batch = static_cast<std::int32_t>(value);
  }
}

std::int32_t EventReader::lane_of(const Thread& thread) {
  const auto [at, added] = m_lanes.emplace(thread, static_cast<std::int32_t>(m_threads.size()));
  if (added) {
    m_threads.emplace_back();
  }
  return at->second;
}

double EventReader::time(double value, std::string_view key) const {
  if (!std::isfinite(value)) {
    fail(fmt::format("event '{}' has no {}", traces::printable(m_entry.name), key));
  }
  return value;
}

void EventReader::take_metadata() {
  if (m_entry.name == "process_name") {
    m_processes[m_entry.process] = m_entry.text_argument;
    return;
  }
  ThreadInfo& thread =
      m_threads[static_cast<std::size_t>(lane_of({m_entry.process, m_entry.thread}))];
  if (m_entry.name == "thread_name") {
    thread.name = m_entry.text_argument;
  } else if (m_entry.name == "thread_sort_index" && std::isfinite(m_entry.sort_index)) {
    thread.sort_index = m_entry.sort_index;
  }
}

void EventReader::take_entry() {
  ++m_entries;
  if (m_entry.phase == "M") {
    take_metadata();
    return;
  }
  if (m_entry.phase == "C") {
    return;
  }
  if (m_entry.phase != "X" && m_entry.phase != "B" && m_entry.phase != "E") {
    ++m_skipped;
    return;
  }
  TimelineEvent& event = m_entry.event;
  event.begin_us = time(m_entry.begin_us, "ts");
  event.lane = lane_of({m_entry.process, m_entry.thread});
  std::vector<TimelineEvent>& begun = m_threads[static_cast<std::size_t>(event.lane)].begun;
  if (m_entry.phase == "E") {
    if (begun.empty()) {
      ++m_skipped;
      return;
    }
    begun.back().end_us = event.begin_us;
    if (begun.back().us() < 0.0) {
      fail(fmt::format(
          "event '{}' ends before it begins",
          traces::printable(m_names.texts()[static_cast<std::size_t>(begun.back().name)])));
    }
    m_events.push_back(begun.back());
    begun.pop_back();
    return;
  }
  event.name = m_names.id_of(m_entry.name);
  if (m_entry.phase == "B") {
    begun.push_back(event);
    return;
  }
  event.end_us = event.begin_us + time(m_entry.us, "dur");
  if (m_entry.us < 0.0) {
    fail(fmt::format("dur of event '{}' is {}, expected 0 or more", traces::printable(m_entry.name),
                     m_entry.us));
  }
  m_events.push_back(event);
}

bool EventReader::parse_error(std::size_t position, const std::string& token,
                              const json::exception& error) {
  // The format lets a writer that died leave the bracket out.
  if (m_in_array && m_where == Where::kEvents && m_stream.at_end() && m_entries > 0) {
    return false;
  }
  const std::string_view what = error.what();
  const std::size_t reason = what.rfind(" - ");
  std::string text = what.find("unexpected end of input") != std::string_view::npos
                         ? "ends in the middle of the JSON (truncated?)"
                         : "is no JSON";
  if (text == "is no JSON" && reason != std::string_view::npos) {
    text += fmt::format(" ({})", traces::printable(what.substr(reason + 3)));
  }
  static_cast<void>(token);
  throw Error(ErrorKind::kBadInput, fmt::format("byte {}: {}", position, text));
}

TimelineParts EventReader::finish(const QString& file_name) {
  if (!m_has_events) {
    throw Error(ErrorKind::kBadInput, "has no traceEvents",
                "expected Chrome's trace event format, as `kvsieve cost --timeline` writes it");
  }
  double last_us = -std::numeric_limits<double>::infinity();
  for (const TimelineEvent& event : m_events) {
    last_us = std::max(last_us, event.end_us);
  }
  for (ThreadInfo& thread : m_threads) {
    for (TimelineEvent& event : thread.begun) {
      event.end_us = std::max(event.begin_us, last_us);
      m_events.push_back(event);
    }
  }
  if (m_events.empty()) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("has {} entries, none of them an event with a begin and an end", m_entries),
        "expected complete events (ph X) or pairs (ph B and E)");
  }
  TimelineParts parts;
  parts.title = m_title.empty() ? file_name : QString::fromStdString(m_title).simplified();
  parts.origin = m_origin == "modelled" ? QStringLiteral("modelled") : QStringLiteral("measured");
  parts.skipped = m_skipped;
  for (const std::string& name : m_names.texts()) {
    parts.names.push_back(QString::fromStdString(name).simplified());
  }
  add_lanes(parts);
  return parts;
}

void EventReader::add_lanes(TimelineParts& parts) {
  struct Found {
    std::string process;
    double order = 0.0;
    std::int32_t lane = 0;
    std::string name;
    std::optional<sim::Lane> kind;
  };
  std::vector<bool> used(m_threads.size(), false);
  for (const TimelineEvent& event : m_events) {
    used[static_cast<std::size_t>(event.lane)] = true;
  }
  std::vector<Found> lanes;
  std::set<std::string> processes;
  for (const auto& [thread, lane] : m_lanes) {
    if (!used[static_cast<std::size_t>(lane)]) {
      continue;
    }
    const ThreadInfo& info = m_threads[static_cast<std::size_t>(lane)];
    Found& found = lanes.emplace_back();
    found.process = thread.first;
    found.order = info.sort_index;
    found.lane = lane;
    found.name = info.name.empty() ? "thread " + thread.second : info.name;
    for (std::size_t i = 0; i < kLaneOrder.size(); ++i) {
      if (found.name == sim::name_of(kLaneOrder[i])) {
        found.kind = kLaneOrder[i];
        found.order = static_cast<double>(i);
      }
    }
    processes.insert(thread.first);
  }
  // By process; the model's lanes as the model's timelines have them, others as their writer
  // sorted them.
  std::sort(lanes.begin(), lanes.end(), [](const Found& a, const Found& b) {
    return std::tie(a.process, a.order, a.lane) < std::tie(b.process, b.order, b.lane);
  });
  std::vector<std::int32_t> shown(m_threads.size(), 0);
  for (const Found& found : lanes) {
    shown[static_cast<std::size_t>(found.lane)] = static_cast<std::int32_t>(parts.lanes.size());
    TimelineLane& lane = parts.lanes.emplace_back();
    lane.kind = found.kind;
    lane.name =
        found.kind ? lane_title(*found.kind) : QString::fromStdString(found.name).simplified();
    if (processes.size() > 1) {
      const std::string& process = m_processes[found.process];
      lane.name = QStringLiteral("%1: %2").arg(
          QString::fromStdString(process.empty() ? found.process : process).simplified(),
          lane.name);
    }
  }
  for (TimelineEvent& event : m_events) {
    event.lane = shown[static_cast<std::size_t>(event.lane)];
  }
  parts.events = std::move(m_events);
}

}  // namespace

TimelineParts read_chrome_events(const QString& path, const JobControl& control) {
  const std::filesystem::path native(path.toStdString());
  try {
    CharacterStream stream(native, control);
    EventReader reader(stream);
    static_cast<void>(json::sax_parse(CharacterIterator(&stream), CharacterIterator(), &reader));
    return reader.finish(QString::fromStdString(native.filename().string()));
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", native.string(), error.what()), error.hint());
  }
}

}  // namespace kvsieve::gui
