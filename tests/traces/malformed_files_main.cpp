// Writes every malformed trace into a folder, with expected.txt saying what each error must
// mention: name, tab, substring. Files named there that do not exist are meant to be missing.

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>

#include "malformed_files.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIR\n", argv[0]);
    return 2;
  }
  try {
    const std::filesystem::path folder = argv[1];
    std::filesystem::create_directories(folder);
    std::ofstream expected(folder / "expected.txt");
    for (const kvsieve::tests::MalformedFile& file : kvsieve::tests::malformed_files()) {
      const std::filesystem::path path = folder / (file.name + ".kvtrace");
      std::filesystem::remove(path);
      file.write(path);
      expected << file.name << '\t' << file.expected << '\n';
    }
    std::ofstream valid(folder / "valid.kvtrace", std::ios::binary);
    valid << kvsieve::tests::valid_trace_bytes();
    return expected && valid ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
