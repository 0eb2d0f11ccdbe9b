// Writes every hand-made document and its reports into a folder, for the tests in Python.

#include <cstdio>
#include <exception>
#include <filesystem>
#include <vector>

#include "kvsieve/sim/report.h"
#include "kvsieve/sim/run_document.h"
#include "kvsieve/traces/output_file.h"
#include "run_documents.h"

namespace {

void write_reports(const std::filesystem::path& folder, const std::string& name,
                   const std::vector<nlohmann::ordered_json>& runs) {
  using namespace kvsieve;
  traces::write_file(folder / (name + ".html"), sim::html_report(runs), true);
  traces::write_file(folder / (name + ".md"), sim::markdown_report(runs), true);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: kvsieve_report_samples FOLDER\n", stderr);
    return 2;
  }
  try {
    const std::filesystem::path folder = argv[1];
    std::filesystem::create_directories(folder);
    std::vector<nlohmann::ordered_json> all;
    for (const auto& [name, document] : kvsieve::tests::valid_documents()) {
      kvsieve::sim::write_run(folder / (name + ".json"), document, true);
      write_reports(folder, name, {document});
      all.push_back(document);
    }
    write_reports(folder, "all", all);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
