#include "arguments.h"
#include "component.h"
#include "kvsieve/traces/error.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {

int run_view(const std::vector<std::string>& words) {
  Arguments arguments("view [FILES] [options]",
                      "Opens captured traces, runs, sweep stores, timelines or a session in the "
                      "viewer. Of two runs\n"
                      "or stores the first is what the second is compared with.",
                      {"kvsieve view traces/samples/smollm2-needle.kvtrace",
                       "kvsieve view snapkv.kvrun ada-snapkv.kvrun --page compare",
                       "kvsieve view a2ats.kvrun --export plots --format png,svg,csv"});
  arguments.options("Options")("page", po::value<std::string>(),
                               "page in front: overview, heads, timeline, ...")(
      "export", po::value<std::string>(),
      "write every plot into this folder and end; needs no screen")(
      "format", po::value<std::string>(), "of --export: png, svg, csv, with commas between")(
      "size", po::value<std::string>(), "of exported images, as 1200x700");
  arguments.positional("files", -1);
  if (!arguments.parse(words)) {
    return 0;
  }
  start_component("kvsieve-gui", "gui", words);
  throw Error(ErrorKind::kMissingCapability, "the viewer is not part of this build",
              "install qt6-base-dev, qt6-svg-dev and libqcustomplot-dev, and build again");
}

}  // namespace kvsieve::cli
