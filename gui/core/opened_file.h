#pragma once
// A file that the viewer opened, of whatever kind.

#include <QString>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/jobs.h"
#include "core/run.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::gui {

class SweepTable;
class TimelineEvents;

/// One name and its value, as the Files panel shows them.
struct FileFact {
  QString name;
  QString value;
};

struct OpenedFile {
  enum class Kind { kTrace, kRun, kSweep, kTimeline, kCodebook };
  Kind kind{};
  QString path;
  std::int64_t bytes = 0;
  std::vector<FileFact> facts;
  std::shared_ptr<const traces::Trace> trace;      ///< kTrace
  std::shared_ptr<const Run> run;                  ///< kRun
  std::shared_ptr<const SweepTable> sweep;         ///< kSweep
  std::shared_ptr<const TimelineEvents> timeline;  ///< kTimeline
};

/// What the Files panel says of a sweep store.
[[nodiscard]] std::vector<FileFact> sweep_facts(const SweepTable& sweep);

/// trace, run, sweep store, timeline, codebook.
[[nodiscard]] QString name_of(OpenedFile::Kind kind);

/// Opens a file by what it holds, whatever it is called. For worker threads. Throws
/// Error(kBadInput), one line that begins with the path and says where the file is broken, with
/// what was expected.
[[nodiscard]] OpenedFile open_file(const QString& path, const JobControl& control);

}  // namespace kvsieve::gui
