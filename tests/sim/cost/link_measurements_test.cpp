#include "kvsieve/sim/link_measurements.h"

#include <gtest/gtest.h>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"
#include "traces/fails_with.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;
using kvsieve::tests::TemporaryFolder;

LinkMeasurements read(const TemporaryFolder& folder, std::string_view text) {
  const std::filesystem::path path = folder / "link.csv";
  traces::write_file(path, text, true);
  return read_link_measurements(path);
}

constexpr const char* kHeader = "measure,path,direction,piece_bytes,pieces,us,gbps\n";

TEST(LinkMeasurements, ReadBackWhatWasWritten) {
  const TemporaryFolder folder;
  const LinkMeasurements measurements{
      {{TransferPath::kDma, Direction::kToGpu, 4096, 1000, 3812.25},
       {TransferPath::kZeroCopy, Direction::kToGpu, 256, 4096, 41.0 / 3.0},
       {TransferPath::kBatchedDma, Direction::kToHost, 1 << 20, 64, 1300.0}},
      7.75,
      41.5};
  EXPECT_EQ(read(folder, link_measurements_csv(measurements)), measurements);
}

TEST(LinkMeasurements, WhatWasNotMeasuredIsLeftOut) {
  const TemporaryFolder folder;
  const LinkMeasurements measurements{{{TransferPath::kDma, Direction::kToGpu, 4096, 10, 38.5}}};
  const std::string csv = link_measurements_csv(measurements);
  EXPECT_EQ(csv.find("latency"), std::string::npos);
  EXPECT_EQ(csv.find("both"), std::string::npos);
  EXPECT_EQ(read(folder, csv), measurements);
}

TEST(LinkMeasurements, BadRowsAreNamedWithTheirLine) {
  const TemporaryFolder folder;
  for (const auto& [row, part] : {
           std::pair{"transfer,dma,to-gpu,4096,10,0,\n", "link.csv:2: us is '0'"},
           std::pair{"transfer,dma,up,4096,10,5,\n", "direction is 'up'"},
           std::pair{"transfer,rail,to-gpu,4096,10,5,\n", "link.csv:2: transfer path 'rail'"},
           std::pair{"transfer,dma,to-gpu,4096.5,10,5,\n", "piece_bytes is '4096.5'"},
           std::pair{"transfer,dma,to-gpu,4096,-1,5,\n", "pieces is '-1'"},
           std::pair{"transfer,dma,to-gpu,4096,10,nan,\n", "us is 'nan'"},
           std::pair{"speed,dma,to-gpu,4096,10,5,\n", "measure is 'speed'"},
           std::pair{"latency,,,,,,\n", "us is ''"},
           std::pair{"", "has no transfers"},
       }) {
    EXPECT_TRUE(fails_with(ErrorKind::kBadInput, part, [&, text = std::string(kHeader) + row] {
      static_cast<void>(read(folder, text));
    })) << row;
  }
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "no column us", [&] {
    static_cast<void>(read(folder,
                           "measure,path,direction,piece_bytes,pieces\n"
                           "transfer,dma,to-gpu,1,1\n"));
  }));
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "cannot be read",
                         [&] { static_cast<void>(read_link_measurements(folder / "none.csv")); }));
}

}  // namespace
}  // namespace kvsieve::sim::tests
