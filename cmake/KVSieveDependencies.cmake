# Third-party libraries. Their Debian packages are listed in debian-packages.txt beside this file.

find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(TBB 2021 REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(Boost 1.74 REQUIRED COMPONENTS context program_options)
find_package(SQLite3 3.40 REQUIRED)
find_package(zstd REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)

# Only kvsieve-mpi needs these.
set(KVSIEVE_HAS_MPI OFF)
if(KVSIEVE_ENABLE_MPI)
  find_package(MPI COMPONENTS CXX)
  find_package(Boost 1.74 OPTIONAL_COMPONENTS mpi serialization)
  if(MPI_CXX_FOUND AND TARGET Boost::mpi AND TARGET Boost::serialization)
    set(KVSIEVE_HAS_MPI ON)
  else()
    message(STATUS "kvsieve-mpi is left out: it needs OpenMPI and Boost.MPI")
  endif()
endif()

if(KVSIEVE_ENABLE_TESTS)
  find_package(GTest 1.12 REQUIRED)
  # numpy and jsonschema are Debian packages, which only Debian's own interpreter sees.
  if(NOT DEFINED Python3_EXECUTABLE AND EXISTS /usr/bin/python3)
    set(Python3_EXECUTABLE /usr/bin/python3)
  endif()
  find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
endif()

if(KVSIEVE_ENABLE_BENCHMARKS)
  find_package(benchmark 1.7 REQUIRED)
  find_package(Threads REQUIRED)
endif()
