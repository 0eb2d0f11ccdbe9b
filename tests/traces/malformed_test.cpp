#include <gtest/gtest.h>
#include <sys/resource.h>

#include <set>
#include <string>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/trace.h"
#include "malformed_files.h"
#include "printable_line.h"
#include "temporary_folder.h"

namespace kvsieve::traces {
namespace {

using tests::is_printable_line;
using tests::malformed_files;
using tests::MalformedFile;
using tests::TemporaryFolder;

constexpr std::size_t kLongestMessage = 400;
constexpr long kMostMemoryKib = 256 * 1024;

long peak_memory_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

class MalformedTest : public testing::Test {
 public:
  explicit MalformedTest(MalformedFile file) : m_file(std::move(file)) {}

  void TestBody() override {
    const TemporaryFolder folder;
    const std::filesystem::path path = folder / (m_file.name + ".kvtrace");
    m_file.write(path);
    const long memory = peak_memory_kib();
    std::string message;
    try {
      static_cast<void>(Trace::open(path));
    } catch (const Error& error) {
      EXPECT_EQ(ErrorKind::kBadInput, error.kind());
      message = error.what();
    }
    ASSERT_FALSE(message.empty()) << "the file was opened";
    EXPECT_EQ(0U, message.rfind(path.string() + ": ", 0)) << message;
    EXPECT_NE(std::string::npos, message.find(m_file.expected))
        << message << "\n  expected: " << m_file.expected;
    EXPECT_TRUE(is_printable_line(message)) << testing::PrintToString(message);
    EXPECT_LT(message.size(), path.string().size() + kLongestMessage) << message.substr(0, 200);
    EXPECT_LT(peak_memory_kib() - memory, kMostMemoryKib);
  }

 private:
  MalformedFile m_file;
};

const bool kRegistered = [] {
  for (const MalformedFile& file : malformed_files()) {
    testing::RegisterTest("malformed", file.name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [file] { return new MalformedTest(file); });
  }
  return true;
}();

TEST(malformed_table, original_is_valid) {
  // Without this, every row could fail for a reason of its own making.
  const TemporaryFolder folder;
  tests::write_bytes(folder / "a", tests::valid_trace_bytes());
  const Trace trace = Trace::open(folder / "a");
  EXPECT_EQ(3, trace.prompt_queries());
  EXPECT_EQ(8U, trace.tokens().size());
  EXPECT_TRUE(trace.layer(1).out.has_value());
  EXPECT_EQ(4, trace.layer(1).spec.attention.sliding_window);
}

TEST(malformed_table, names_are_unique) {
  ASSERT_TRUE(kRegistered);
  std::set<std::string> names;
  for (const MalformedFile& file : malformed_files()) {
    EXPECT_TRUE(names.insert(file.name).second) << file.name;
    EXPECT_FALSE(file.expected.empty()) << file.name;
  }
  EXPECT_GE(names.size(), 70U);
}

}  // namespace
}  // namespace kvsieve::traces
