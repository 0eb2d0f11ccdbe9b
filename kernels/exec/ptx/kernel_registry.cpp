#include "exec/ptx/kernel_registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {

std::string EmbeddedBinary::image(ImageKind kind, int architecture) {
  std::set<int> known;
  for (const FatBinaryImage& image : read_fat_binary(m_bytes)) {
    if (image.kind == kind) {
      if (image.architecture == architecture) {
        return image_contents(image);
      }
      known.insert(image.architecture);
    }
  }
  throw Error(ErrorKind::kMissingCapability,
              fmt::format("nvcc left no {} for sm_{} in this program; there: {}",
                          kind == ImageKind::kPtx ? "PTX" : "machine code", architecture,
                          fmt::join(known, ", ")),
              "configure with -DCMAKE_CUDA_ARCHITECTURES=\"80;90;100\"");
}

const Program& EmbeddedBinary::program(int architecture) {
  auto found = m_programs.find(architecture);
  if (found == m_programs.end()) {
    found = m_programs.emplace(architecture, Program(image(ImageKind::kPtx, architecture))).first;
  }
  return found->second;
}

const std::map<std::string, KernelResources>& EmbeddedBinary::resources(int architecture) {
  auto found = m_resources.find(architecture);
  if (found == m_resources.end()) {
    found = m_resources
                .emplace(architecture,
                         read_cubin_resources(image(ImageKind::kCubin, architecture), architecture))
                .first;
  }
  return found->second;
}

EmbeddedBinary& KernelRegistry::add_binary(const void* data) {
  return *m_binaries.emplace_back(std::make_unique<EmbeddedBinary>(fat_binary_at(data)));
}

void KernelRegistry::add_kernel(EmbeddedBinary& binary, const void* host_function,
                                std::string name) {
  m_binary_of[name] = &binary;
  m_kernels[host_function] = {&binary, std::move(name)};
}

RegisteredKernel& KernelRegistry::kernel(const void* host_function) {
  const auto found = m_kernels.find(host_function);
  if (found == m_kernels.end()) {
    throw Error(ErrorKind::kInternal, "launch of a function that is no kernel of this program");
  }
  return found->second;
}

std::vector<std::string> KernelRegistry::names() const {
  std::vector<std::string> names;
  for (const auto& [name, binary] : m_binary_of) {
    names.push_back(name);
  }
  return names;
}

KernelResources KernelRegistry::resources(const std::string& name, int architecture) {
  const auto found = m_binary_of.find(name);
  if (found == m_binary_of.end()) {
    throw Error(ErrorKind::kInternal, fmt::format("no kernel '{}' in this program", name));
  }
  const std::map<std::string, KernelResources>& resources = found->second->resources(architecture);
  const auto of_kernel = resources.find(name);
  if (of_kernel == resources.end()) {
    throw Error(ErrorKind::kInternal,
                fmt::format("nvcc left no machine code of kernel '{}' for sm_{} in this program",
                            name, architecture));
  }
  return of_kernel->second;
}

}  // namespace kvsieve::ptx
