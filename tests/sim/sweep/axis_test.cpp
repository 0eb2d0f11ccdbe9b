// The grammar of axes, form by form.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/sim/sweep_plan.h"
#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::sim {
namespace {

using kvsieve::tests::fails_with;
using Texts = std::vector<std::string>;

constexpr const char* kForms =
    "expected NAME=V1,V2, NAME=[V1,V2], NAME=[START:STOP:STRIDE] or NAME[pow2]=[START:STOP:STRIDE]";

TEST(Axis, ReadsEveryForm) {
  const struct {
    const char* text;
    const char* name;
    Texts values;
  } cases[] = {
      {"budget=5%", "budget", {"5%"}},
      {"budget=5%,10%,20%", "budget", {"5%", "10%", "20%"}},
      {"budget=[5%,10%,20%]", "budget", {"5%", "10%", "20%"}},
      {" budget = [ 5% , 10% ] ", "budget", {"5%", "10%"}},
      {"budget=512,64MiB,1.50%", "budget", {"512", "64MiB", "1.50%"}},
      {"method=ada-snapkv,full", "method", {"ada-snapkv", "full"}},
      {"alpha-mode=blend,floor", "alpha-mode", {"blend", "floor"}},
      {"pool=max:7,avg:5,none", "pool", {"max:7", "avg:5", "none"}},
      {"pool=[max:7]", "pool", {"max:7"}},
      {"trace=/data/a=b.kvt", "trace", {"/data/a=b.kvt"}},
      {"batch=1,8,max", "batch", {"1", "8", "max"}},
      {"budget=5%,5%", "budget", {"5%", "5%"}},
      {"x=1e3,-2", "x", {"1e3", "-2"}},
      // Ranges.
      {"alpha=[0:0.5:0.1]", "alpha", {"0", "0.1", "0.2", "0.3", "0.4", "0.5"}},
      {"alpha=0:0.3:0.1", "alpha", {"0", "0.1", "0.2", "0.3"}},
      {"alpha=[0.10:0.30:.1]", "alpha", {"0.1", "0.2", "0.3"}},
      {"alpha=[0.5:1:0.25]", "alpha", {"0.5", "0.75", "1"}},
      {"alpha=[0:1:0.3]", "alpha", {"0", "0.3", "0.6", "0.9"}},
      {"window=[30:33]", "window", {"30", "31", "32", "33"}},
      {"window=[ 8 : 24 : 8 ]", "window", {"8", "16", "24"}},
      {"window=[8:8]", "window", {"8"}},
      {"window=[8:8:-1]", "window", {"8"}},
      {"window=[24:8:-8]", "window", {"24", "16", "8"}},
      {"x=[-1:1:0.5]", "x", {"-1", "-0.5", "0", "0.5", "1"}},
      {"x=[-0.0:-0.2:-0.1]", "x", {"0", "-0.1", "-0.2"}},
      {"x=[0:0.000000002:0.000000001]", "x", {"0", "0.000000001", "0.000000002"}},
      {"x=[999999999999999998:999999999999999999]",
       "x",
       {"999999999999999998", "999999999999999999"}},
      {"budget=[5%:20%:5%]", "budget", {"5%", "10%", "15%", "20%"}},
      {"budget=[0.5%:1.5%:.5%]", "budget", {"0.5%", "1%", "1.5%"}},
      {"budget=[5%:7%]", "budget", {"5%", "6%", "7%"}},
      {"budget=[64MiB:192MiB:64MiB]", "budget", {"64MiB", "128MiB", "192MiB"}},
      {"budget=[1KB:2KB:0.5KB]", "budget", {"1KB", "1.5KB", "2KB"}},
      {"alpha=[0:0.2:0.1,0.5,0.8:1:0.2]", "alpha", {"0", "0.1", "0.2", "0.5", "0.8", "1"}},
      // Powers of two.
      {"context[pow2]=[12:17]", "context", {"4096", "8192", "16384", "32768", "65536", "131072"}},
      {"context[pow2]=[12:16:2]", "context", {"4096", "16384", "65536"}},
      {"context[pow2]=[16:12:-4]", "context", {"65536", "4096"}},
      {"context [ pow2 ] = 12, 14", "context", {"4096", "16384"}},
      {"x[pow2]=[0:1]", "x", {"1", "2"}},
      {"x[pow2]=62", "x", {"4611686018427387904"}},
      // Quotes.
      {"layers=['0,4','8-11']", "layers", {"0,4", "8-11"}},
      {"layers=\"0,4\", all", "layers", {"0,4", "all"}},
      {"trace='[a]:1=2, b.kvt'", "trace", {"[a]:1=2, b.kvt"}},
      {"x='0:1:1'", "x", {"0:1:1"}},
      {"x=''", "x", {""}},
      {"x='it\"s'", "x", {"it\"s"}},
      {"trace=\xc3\xa9.kvt", "trace", {"\xc3\xa9.kvt"}},
  };
  for (const auto& item : cases) {
    SweepAxis axis;
    ASSERT_NO_THROW(axis = parse_axis(item.text)) << item.text;
    EXPECT_EQ(axis.name, item.name) << item.text;
    EXPECT_EQ(axis.values, item.values) << item.text;
  }
}

TEST(Axis, SaysWhatIsWrong) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"", "'' has no '='"},
      {"budget", "'budget' has no '='"},
      {"=5%", "'' is no option's name"},
      {"5=5%", "'5' is no option's name"},
      {"a b=5%", "'a b' is no option's name"},
      {"a-=1", "'a-' is no option's name"},
      {"--budget=5%", "'--budget' is no option's name"},
      {"budget=", "'' has an empty value"},
      {"budget=[]", "'[]' has an empty value"},
      {"budget=5%,", "'5%,' has an empty value"},
      {"budget=5%,,6%", "'5%,,6%' has an empty value"},
      {"budget=[5%", "'[5%' has no closing ']'"},
      {"budget=[", "'[' has no closing ']'"},
      {"budget=5%]", "'5%]' has a bracket"},
      {"budget=[[5%]]", "'[5%]' has a bracket"},
      {"x='a", "''a' has no closing quote"},
      {"x='a'b,c", "''a'b' goes on behind its closing quote"},
      {"x[log]=[1:2]", "'log' is no kind of axis, the only one is pow2"},
      {"x]=1", "'x]' is no kind of axis"},
      {"[pow2]=1", "'' is no option's name"},
      {"alpha=[0:x]", "'x' is no number"},
      {"alpha=[0:]", "'' is no number"},
      {"alpha=[0:1:]", "'' is no number"},
      {"alpha=[0::1]", "'' is no number"},
      {"alpha=[0:1e3:1]", "'1e3' is no number"},
      {"alpha=[1e3:2e3]", "'1e3' is no number"},
      {"alpha=[0:+1]", "'+1' is no number"},
      {"alpha=[0:0.0000000001]", "'0.0000000001' is no number"},
      {"alpha=[0:9999999999999999999999]", "'9999999999999999999999' is no number"},
      {"alpha=[0:nan]", "'nan' is no number"},
      {"alpha=[0:1:1:1]", "'0:1:1:1' has more than start, stop and stride"},
      {"alpha=[0:1:0]", "'0:1:0' has a stride of 0"},
      {"alpha=[1:1:0.0]", "'1:1:0.0' has a stride of 0"},
      {"alpha=[0:1:-0.25]", "'0:1:-0.25' has a stride of -0.25, which leads away from the stop"},
      {"alpha=[1:0]", "'1:0' has a stride of 1, which leads away from the stop"},
      {"budget=[5%:20:5%]", "'5%:20:5%' has different units"},
      {"budget=[5%:20%:5]", "'5%:20%:5' has different units"},
      {"budget=[64KiB:1MiB:64KiB]", "'64KiB:1MiB:64KiB' has different units"},
      {"x=[0:1000000]", "'0:1000000' has more than 1,000,000 values"},
      {"x=[0:1:0.000000001]", "'0:1:0.000000001' has more than 1,000,000 values"},
      {"x=[1:1000000,1]", "'x' has more than 1,000,000 values"},
      {"x=[0:999999999999999999:0.1]", "'0:999999999999999999:0.1' has too many digits"},
      {"x[pow2]=[0:63]", "'0:63' has the exponent 63, expected 0 to 62"},
      {"x[pow2]=-1", "'-1' has the exponent -1, expected 0 to 62"},
      {"x[pow2]=[1:2:0.5]", "'1:2:0.5' is no range of whole exponents"},
      {"x[pow2]=[1%:2%]", "'1%:2%' is no range of whole exponents"},
      {"x[pow2]=1.5", "'1.5' is no whole exponent"},
      {"x[pow2]=a", "'a' is no whole exponent"},
      {"x[pow2]='3'", "'3' is no whole exponent"},
      {"x=a\nb", "is not one line of printable UTF-8"},
      {"x=\xff", "is not one line of printable UTF-8"},
  };
  for (const auto& item : cases) {
    for (const std::string part : {item.message, kForms, "axis '"}) {
      EXPECT_TRUE(fails_with(ErrorKind::kUsage, part, [&] {
        static_cast<void>(parse_axis(item.text));
      })) << item.text;
    }
  }
}

TEST(Axis, HoldsAMillionValues) {
  const SweepAxis axis = parse_axis("x=[0:0.999999:0.000001]");
  ASSERT_EQ(axis.values.size(), 1'000'000U);
  for (std::size_t i = 0; i < axis.values.size(); i += 997) {
    // i / 10^6 without trailing zeros, by another way.
    std::string expected = "0." + std::to_string(1'000'000 + i).substr(1);
    expected.resize(expected.find_last_not_of('0') + 1);
    ASSERT_EQ(axis.values[i], i == 0 ? "0" : expected);
  }
}

TEST(Axis, RangesAreExact) {
  // start + i * stride in integers, against text.
  kernels::CounterRandom random(7);
  for (int round = 0; round < 2000; ++round) {
    const auto decimals = static_cast<int>(random.bits() % 10);
    std::int64_t scale = 1;
    for (int i = 0; i < decimals; ++i) {
      scale *= 10;
    }
    const auto start = static_cast<std::int64_t>(random.bits() % 2'000'001) - 1'000'000;
    const auto stride = static_cast<std::int64_t>(random.bits() % 1000) + 1;
    const auto steps = static_cast<std::int64_t>(random.bits() % 20);
    const auto rest = static_cast<std::int64_t>(random.bits()) & 1 ? stride - 1 : 0;
    const std::int64_t sign = random.bits() % 2 == 0 ? 1 : -1;
    const auto text = [&](std::int64_t units) {
      const std::int64_t size = units < 0 ? -units : units;
      return fmt::format("{}{}.{:0{}}", units < 0 ? "-" : "", size / scale, size % scale, decimals);
    };
    const std::string range =
        fmt::format("x=[{}:{}:{}]", text(start), text(start + sign * (steps * stride + rest)),
                    text(sign * stride));
    const SweepAxis axis = parse_axis(range);
    ASSERT_EQ(std::ssize(axis.values), steps + 1) << range;
    for (std::int64_t i = 0; i <= steps; ++i) {
      std::string expected = text(start + i * sign * stride);
      expected.resize(expected.find_last_not_of('0') + 1);
      if (expected.ends_with('.')) {
        expected.pop_back();
      }
      ASSERT_EQ(axis.values[static_cast<std::size_t>(i)], expected) << range;
    }
  }
}

}  // namespace
}  // namespace kvsieve::sim
