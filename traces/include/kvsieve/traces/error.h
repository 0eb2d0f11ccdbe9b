#pragma once
// The one exception type of KVSieve's libraries. It lives in the lowest library so that all share
// it.

#include <stdexcept>
#include <string>

namespace kvsieve {

/// What went wrong, as the exit code that the command line gives it (docs/cli.md).
enum class ErrorKind {
  kCheckFailed = 1,        ///< a check, threshold or regression failed
  kUsage = 2,              ///< the caller asked for something that does not exist or make sense
  kBadInput = 3,           ///< a file is missing, malformed or inconsistent
  kMissingCapability = 4,  ///< no GPU, or a component that was not built
  kInternal = 5,           ///< a broken invariant of KVSieve itself
};

/// An error with one line that says what, where and what was expected, and an optional hint.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& what, std::string hint = {})
      : std::runtime_error(what), m_kind(kind), m_hint(std::move(hint)) {}

  [[nodiscard]] ErrorKind kind() const noexcept { return m_kind; }
  [[nodiscard]] const std::string& hint() const noexcept { return m_hint; }

 private:
  ErrorKind m_kind;
  std::string m_hint;
};

}  // namespace kvsieve
