#include "store_fixture.h"

#include <fmt/format.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

namespace kvsieve::tests {

using sim::SweepIdentity;
using sim::SweepRow;
using sim::SweepStore;

SweepIdentity an_identity() {
  return {.tool_version = "0.7.0",
          .isa = "avx2",
          .definition = R"({"axes":[{"name":"budget","values":["5%","10%"]}],"seed":1})",
          .inputs = R"({"traces":{"needle.kvtrace":"00ff"},"profiles":{"h100-sxm":"a1"}})",
          .points = 1000};
}

std::string key_of(std::int64_t number) {
  const auto mixed = static_cast<std::uint64_t>(number) * 0x9e3779b97f4a7c15ULL;
  return fmt::format("{:016x}{:016x}", mixed, ~mixed);
}

SweepRow finished_row(std::int64_t number) {
  const double loss = 1.0 / static_cast<double>(number + 3);
  return {number, key_of(number),
          fmt::format(R"({{"method":"adakv","budget":"{}%","alpha":"0.2"}})", number % 100),
          fmt::format(R"({{"l1_loss":{},"pieces":{}}})", loss, number * 7), ""};
}

SweepRow failed_row(std::int64_t number, std::string error) {
  SweepRow row = finished_row(number);
  row.metrics.clear();
  row.error = std::move(error);
  return row;
}

std::vector<SweepRow> finished_rows(std::int64_t begin, std::int64_t end) {
  std::vector<SweepRow> rows;
  for (std::int64_t number = begin; number < end; ++number) {
    rows.push_back(finished_row(number));
  }
  return rows;
}

void make_store(const std::filesystem::path& path, std::vector<SweepRow> rows,
                const SweepIdentity& identity) {
  SweepStore(path, SweepStore::Mode::kCreate, identity).add(rows);
}

std::vector<SweepRow> all_rows(const SweepStore& store) {
  std::vector<SweepRow> rows;
  store.each([&](const SweepRow& row) { rows.push_back(row); });
  return rows;
}

std::vector<std::int64_t> all_numbers(const SweepStore& store) {
  std::vector<std::int64_t> numbers;
  store.each([&](const SweepRow& row) { numbers.push_back(row.number); });
  return numbers;
}

Error error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorKind::kInternal, "nothing was thrown"};
}

pid_t start_child(const std::function<int()>& action) {
  std::fflush(nullptr);  // or the child writes what stands in the buffers once more
  const pid_t child = ::fork();
  if (child != 0) {
    return child;
  }
  try {
    ::_exit(action());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "in the child: %s\n", error.what());
    ::_exit(99);
  }
}

int wait_for(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int in_child(const std::function<int()>& action) {
  return wait_for(start_child(action));
}

int in_child_as_nobody(const std::function<int()>& action) {
  return in_child([&] {
    constexpr unsigned kNobody = 65534;
    if (::geteuid() == 0 &&
        (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) {
      return 98;
    }
    return action();
  });
}

}  // namespace kvsieve::tests
