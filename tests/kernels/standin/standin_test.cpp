#include "exec/ptx/standin.h"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "exec/ptx/kernel_name.h"
#include "kvsieve/traces/error.h"
#include "standin_kernels.h"

namespace kvsieve::ptx {
namespace {

using testing::ExitedWithCode;

constexpr int kCount = 100;

class Standin : public testing::Test {
 protected:
  void SetUp() override {
    set_architecture(80);
    reset_counters();
    ASSERT_EQ(cudaStreamCreateWithFlags(&m_stream, cudaStreamNonBlocking), cudaSuccess);
    void* memory = nullptr;
    ASSERT_EQ(cudaMalloc(&memory, kCount * sizeof(int)), cudaSuccess);
    m_numbers = static_cast<int*>(memory);
  }
  void TearDown() override {
    EXPECT_EQ(cudaFree(m_numbers), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(m_stream), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(m_stream), cudaSuccess);
  }

  std::vector<int> download() {
    std::vector<int> numbers(kCount, -1);
    EXPECT_EQ(cudaMemcpyAsync(numbers.data(), m_numbers, kCount * sizeof(int),
                              cudaMemcpyDeviceToHost, m_stream),
              cudaSuccess);
    return numbers;
  }
  static std::vector<int> counted() {
    std::vector<int> numbers(kCount);
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
  }
  static std::string text(cudaError_t status) { return cudaGetErrorString(status); }

  cudaStream_t m_stream = nullptr;
  int* m_numbers = nullptr;
};

std::string kernel_called(const std::string& name) {
  for (const std::string& kernel : kernel_names()) {
    if (display_name(kernel) == name) {
      return kernel;
    }
  }
  return {};
}

TEST_F(Standin, RunsThePtxOfEveryArchitecture) {
  for (const int architecture : {80, 90, 100}) {
    SCOPED_TRACE(architecture);
    set_architecture(architecture);
    ASSERT_EQ(cudaMemsetAsync(m_numbers, 0xff, kCount * sizeof(int), m_stream), cudaSuccess);
    ASSERT_EQ(launch_fill(m_numbers, kCount, m_stream), cudaSuccess);
    EXPECT_EQ(download(), counted());
  }
}

TEST_F(Standin, SaysWhichArchitecturesAreThere) {
  set_architecture(75);
  const cudaError_t status = launch_fill(m_numbers, kCount, m_stream);
  EXPECT_EQ(text(status), "nvcc left no PTX for sm_75 in this program; there: 80, 90, 100");
}

TEST_F(Standin, CountsByKernelUntilItIsReset) {
  ASSERT_EQ(launch_fill(m_numbers, kCount, m_stream), cudaSuccess);
  ASSERT_EQ(launch_fill(m_numbers, kCount, m_stream), cudaSuccess);
  const auto runs = counters_by_kernel();
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(display_name(runs.begin()->first), "fill_kernel");
  const KernelRun& run = runs.begin()->second;
  EXPECT_EQ(run.block_threads, 32U);
  EXPECT_EQ(run.dynamic_shared_bytes, 0U);
  EXPECT_EQ(run.counters.launches, 2);
  EXPECT_EQ(run.counters.blocks, 2 * 4);
  EXPECT_EQ(run.counters.threads, 2 * 4 * 32);
  // 100 numbers of 4 bytes in 13 sectors, in 4 requests of which the last has 4 lanes.
  EXPECT_EQ(run.counters.total.global_store_requests, 2 * 4);
  EXPECT_EQ(run.counters.total.global_store_bytes, 2 * kCount * 4);
  EXPECT_EQ(run.counters.total.global_store_sectors, 2 * 13);
  reset_counters();
  EXPECT_TRUE(counters_by_kernel().empty());
}

TEST_F(Standin, KnowsTheResourcesOfKernels) {
  const KernelResources resources = resources_of(kernel_called("fill_kernel"));
  EXPECT_GT(resources.registers, 0);
  EXPECT_EQ(resources.max_threads, 32);
  EXPECT_EQ(resources.stack_bytes, 0U);
  EXPECT_THROW((void)resources_of("none"), Error);
}

TEST_F(Standin, AFailedKernelIsTheResultOfItsLaunch) {
  const cudaError_t status = launch_fill(m_numbers, kCount + 1, m_stream);
  EXPECT_EQ(status, cudaErrorLaunchFailure);
  EXPECT_NE(text(status).find("fill_kernel"), std::string::npos) << text(status);
  EXPECT_EQ(cudaStreamSynchronize(m_stream), cudaSuccess);
}

TEST_F(Standin, AFailedKernelInBracketsIsTheResultOfTheNextCall) {
  launch_fill_in_brackets(m_numbers, kCount, m_stream);
  ASSERT_EQ(cudaStreamSynchronize(m_stream), cudaSuccess);
  EXPECT_EQ(download(), counted());
  launch_fill_in_brackets(m_numbers, kCount + 1, m_stream);
  const cudaError_t status = cudaStreamSynchronize(m_stream);
  EXPECT_EQ(status, cudaErrorLaunchFailure);
  EXPECT_NE(text(status).find("fill_kernel"), std::string::npos) << text(status);
  EXPECT_EQ(cudaStreamSynchronize(m_stream), cudaSuccess);
}

TEST_F(Standin, FreeingWhatIsNotAllocatedIsTheResultOfTheNextCall) {
  int no_allocation = 0;
  (void)cudaFree(&no_allocation);
  EXPECT_EQ(cudaStreamSynchronize(m_stream), cudaErrorInvalidValue);
  EXPECT_EQ(cudaStreamSynchronize(m_stream), cudaSuccess);
}

TEST_F(Standin, WhatNobodyAskedForEndsTheProgram) {
  EXPECT_EXIT(
      {
        launch_fill_in_brackets(m_numbers, kCount + 1, m_stream);
        std::exit(0);
      },
      ExitedWithCode(static_cast<int>(ErrorKind::kInternal)), "error: .*fill_kernel");
}

TEST_F(Standin, RefusesCopiesThatLeaveAnAllocation) {
  std::vector<int> numbers(kCount + 1);
  const std::size_t bytes = numbers.size() * sizeof(int);
  EXPECT_EQ(cudaMemcpyAsync(m_numbers, numbers.data(), bytes, cudaMemcpyHostToDevice, m_stream),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpyAsync(numbers.data(), m_numbers, bytes, cudaMemcpyDeviceToHost, m_stream),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(m_numbers, 0, bytes, m_stream), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(numbers.data(), 0, bytes, m_stream), cudaErrorInvalidValue);
  EXPECT_EQ(text(cudaErrorInvalidValue), "404 bytes to fill are not the device's memory");
  EXPECT_EQ(cudaMemcpyAsync(numbers.data(), numbers.data(), 4, cudaMemcpyDeviceToHost, m_stream),
            cudaErrorInvalidValue);
  EXPECT_EQ(text(cudaErrorInvalidValue), "copy of 4 bytes from memory that is not the device's");
  EXPECT_EQ(cudaMemcpyAsync(numbers.data(), numbers.data(), 4, cudaMemcpyHostToDevice, m_stream),
            cudaErrorInvalidValue);
  EXPECT_EQ(text(cudaErrorInvalidValue), "copy of 4 bytes to memory that is not the device's");
}

TEST_F(Standin, RefusesToCopyWhatNobodyWrote) {
  std::vector<int> numbers(kCount);
  EXPECT_EQ(cudaMemcpyAsync(numbers.data(), m_numbers, 4, cudaMemcpyDeviceToHost, m_stream),
            cudaErrorInvalidValue);
}

TEST_F(Standin, SharedMemoryBeyond48KiBHasToBeAskedFor) {
  // Static and dynamic memory together.
  ASSERT_EQ(launch_with_shared(m_numbers, 47 * 1024, m_stream), cudaSuccess);
  constexpr std::size_t kBytes = 48 * 1024;
  const cudaError_t status = launch_with_shared(m_numbers, kBytes, m_stream);
  EXPECT_NE(text(status).find("shared_kernel: launched with 49152 bytes of dynamic shared memory, "
                              "asked for 48128"),
            std::string::npos)
      << text(status);
  ASSERT_EQ(allow_shared(kBytes), cudaSuccess);
  ASSERT_EQ(launch_with_shared(m_numbers, kBytes, m_stream), cudaSuccess);
  EXPECT_EQ(counters_by_kernel().begin()->second.dynamic_shared_bytes, kBytes);
}

TEST_F(Standin, WorkOfTheHostRunsAtOnceAndMayNotCallTheRuntime) {
  cudaError_t inside = cudaSuccess;
  ASSERT_EQ(
      cudaLaunchHostFunc(
          m_stream,
          [](void* result) { *static_cast<cudaError_t*>(result) = cudaStreamSynchronize(nullptr); },
          &inside),
      cudaSuccess);
  EXPECT_EQ(inside, cudaErrorNotPermitted);
  EXPECT_EQ(cudaStreamSynchronize(m_stream), cudaSuccess);
}

TEST_F(Standin, BatchesCopyTheirPiecesInTheOrderOfTheSeed) {
  std::vector<int> sources(8);
  std::iota(sources.begin(), sources.end(), 0);
  // All pieces have one target: the last that was copied stays.
  const std::vector<void*> targets(sources.size(), m_numbers);
  std::vector<const void*> pointers;
  for (const int& source : sources) {
    pointers.push_back(&source);
  }
  const std::vector<std::size_t> sizes(sources.size(), sizeof(int));
  std::vector<int> last;
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    set_seed(seed);
    cudaMemcpyAttributes attributes{};
    std::size_t first = 0;
    ASSERT_EQ(cudaMemcpyBatchAsync(targets.data(), pointers.data(), sizes.data(), sizes.size(),
                                   &attributes, &first, 1, m_stream),
              cudaSuccess);
    int number = -1;
    ASSERT_EQ(cudaMemcpyAsync(&number, m_numbers, sizeof(int), cudaMemcpyDeviceToHost, m_stream),
              cudaSuccess);
    last.push_back(number);
  }
  set_seed(0);
  EXPECT_EQ(last.front(), 7);
  EXPECT_FALSE(std::all_of(last.begin(), last.end(), [](int number) { return number == 7; }));
}

}  // namespace
}  // namespace kvsieve::ptx
