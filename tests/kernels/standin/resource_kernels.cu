// Kernels whose resources are known: cubin_resources_test.cpp reads them from nvcc's output.

extern "C" __global__ void __launch_bounds__(96) shared_kernel(float* values) {
  __shared__ float row[200];
  row[threadIdx.x] = values[threadIdx.x];
  __syncthreads();
  values[threadIdx.x] = row[199 - threadIdx.x];
}

// Elements are found by number, so that the array has to have addresses.
extern "C" __global__ void local_array_kernel(int* values) {
  int array[64] = {};
  for (int i = 0; i < 64; ++i) {
    array[values[i] % 64] += i;
  }
  values[64] = array[values[65] % 64];
}
