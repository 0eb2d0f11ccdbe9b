# What every target of the project shares: language level, warnings, sanitizers, build type.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

find_program(KVSIEVE_CCACHE ccache)
if(KVSIEVE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${KVSIEVE_CCACHE}")
endif()

function(kvsieve_target_defaults target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  set(warnings
    -Wall -Wextra -Wshadow -Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual -Wformat=2
    -Wcast-qual -Wundef -Wvla
    # GCC 12 warns of overlapping copies inside std::string's own operator+ (its bug 105651).
    -Wno-restrict
    # Members left out of a designated initialiser keep their defaults, which is the point of it.
    -Wno-missing-field-initializers)
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${warnings}>")
  if(KVSIEVE_WARNINGS_AS_ERRORS)
    target_compile_options(${target} PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:-Werror>" "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings>")
  endif()
  if(KVSIEVE_SANITIZER STREQUAL "address")
    target_compile_options(${target} PUBLIC
      -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  elseif(KVSIEVE_SANITIZER STREQUAL "thread")
    target_compile_options(${target} PUBLIC -fsanitize=thread -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=thread)
  elseif(NOT KVSIEVE_SANITIZER STREQUAL "")
    message(FATAL_ERROR
      "KVSIEVE_SANITIZER is '${KVSIEVE_SANITIZER}'; supported: empty, address, thread")
  endif()
endfunction()
