#pragma once
// Asserting which error an action ends with.

#include <gtest/gtest.h>

#include <exception>
#include <string>
#include <string_view>

#include "kvsieve/traces/error.h"

namespace kvsieve::tests {

/// Succeeds if `action` throws a kvsieve::Error of this kind whose text contains `part`:
/// EXPECT_TRUE(fails_with(ErrorKind::kUsage, "--force", [&] { ... })).
template <class Action>
testing::AssertionResult fails_with(ErrorKind kind, std::string_view part, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    if (error.kind() != kind) {
      return testing::AssertionFailure() << "the error has exit code "
                                         << static_cast<int>(error.kind()) << ": " << error.what();
    }
    if (std::string_view(error.what()).find(part) == std::string_view::npos) {
      return testing::AssertionFailure()
             << "the error does not mention '" << part << "': " << error.what();
    }
    return testing::AssertionSuccess();
  } catch (const std::exception& error) {
    return testing::AssertionFailure() << "not a kvsieve::Error: " << error.what();
  }
  return testing::AssertionFailure() << "no error, expected one that mentions '" << part << "'";
}

}  // namespace kvsieve::tests
