#include "kvsieve/bench/machine.h"

#include <gtest/gtest.h>

#include <fstream>

#include "traces/fails_with.h"
#include "traces/temporary_folder.h"

namespace kvsieve::bench {
namespace {

namespace fs = std::filesystem;
using kvsieve::tests::fails_with;

/// A folder with files as Linux has them.
class MachineTest : public ::testing::Test {
 protected:
  void write(const fs::path& name, const std::string& text) const {
    const fs::path path = root() / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  [[nodiscard]] fs::path root() const { return m_folder / "root"; }

 private:
  kvsieve::tests::TemporaryFolder m_folder;
};

TEST_F(MachineTest, ReadsWhatTheFilesSay) {
  write("proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nflags\t\t: fpu hypervisor sse\n");
  write("proc/meminfo", "MemTotal:       24683656 kB\nMemFree: 1 kB\n");
  write("proc/loadavg", "1.25 0.50 0.10 2/345 6789\n");
  write("sys/devices/system/cpu/online", "0-3,8\n");
  write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
  write("sys/devices/system/cpu/cpufreq/boost", "1\n");
  write("sys/devices/system/cpu/cpu0/cache/index0/level", "1\n");
  write("sys/devices/system/cpu/cpu0/cache/index0/type", "Data\n");
  write("sys/devices/system/cpu/cpu0/cache/index0/size", "48K\n");
  write("sys/devices/system/cpu/cpu0/cache/index0/shared_cpu_list", "0,4\n");
  write("sys/devices/system/cpu/cpu0/cache/index1/level", "3\n");
  write("sys/devices/system/cpu/cpu0/cache/index1/type", "Unified\n");
  write("sys/devices/system/cpu/cpu0/cache/index1/size", "32M\n");
  const Machine machine = read_machine(root());
  EXPECT_EQ(machine.cpu, "Some CPU @ 2.0GHz");
  EXPECT_EQ(machine.cpus, 5);
  EXPECT_TRUE(machine.is_virtual);
  EXPECT_EQ(machine.memory_bytes, 24'683'656LL * 1024);
  EXPECT_EQ(machine.governor, "powersave");
  EXPECT_EQ(machine.turbo, true);
  EXPECT_EQ(machine.caches, (std::vector<MachineCache>{{1, "Data", 48 * 1024, 2},
                                                       {3, "Unified", 32 * 1024 * 1024, 1}}));
  EXPECT_EQ(read_load(root()), (std::array<double, 3>{1.25, 0.5, 0.1}));
}

TEST_F(MachineTest, IntelSaysTurboTheOtherWayRound) {
  write("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n");
  EXPECT_EQ(read_machine(root()).turbo, false);
}

TEST_F(MachineTest, SaysNothingWhereTheFilesSayNothing) {
  const Machine machine = read_machine(root());
  EXPECT_EQ(machine.cpu, "");
  EXPECT_EQ(machine.cpus, 0);
  EXPECT_FALSE(machine.is_virtual);
  EXPECT_FALSE(machine.governor.has_value());
  EXPECT_FALSE(machine.turbo.has_value());
  EXPECT_TRUE(machine.caches.empty());
  EXPECT_EQ(read_load(root()), (std::array<double, 3>{}));
}

TEST(Cpus, ListsAreParsed) {
  EXPECT_EQ(parse_cpus("0"), (std::vector<int>{0}));
  EXPECT_EQ(parse_cpus("8,0-2,1"), (std::vector<int>{0, 1, 2, 8}));
}

TEST(Cpus, OtherTextsAreRefused) {
  for (const char* text : {"", "a", "1,", "3-1", "-1", "1-", "0x1", "1 2", "99999999999", "5000"}) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "no list of processors", [&] {
      static_cast<void>(parse_cpus(text));
    })) << text;
  }
}

TEST(Cpus, PinningNamesAProcessorThatIsNotThere) {
  EXPECT_FALSE(usable_cpus().empty());
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "processor 1023", [] { pin_to_cpus({1023}); }));
}

}  // namespace
}  // namespace kvsieve::bench
