# Registers each test function of a Qt Test program as a test of its own, named PREFIX.FUNCTION, so
# that one that fails or hangs is seen by name. The file is both the function and the script that
# asks the program for its functions after it was built.

if(CMAKE_SCRIPT_MODE_FILE)
  # Called with PROGRAM, PREFIX, LABELS and OUTPUT.
  set(ENV{QT_QPA_PLATFORM} offscreen)
  execute_process(COMMAND "${PROGRAM}" -functions
    OUTPUT_VARIABLE functions RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${PROGRAM} -functions ended with ${result}")
  endif()
  string(REGEX MATCHALL "[A-Za-z0-9_]+\\(\\)" functions "${functions}")
  set(script "")
  foreach(function IN LISTS functions)
    string(REPLACE "()" "" function "${function}")
    string(APPEND script
      "add_test(\"${PREFIX}.${function}\" \"${PROGRAM}\" \"${function}\")\n"
      "set_tests_properties(\"${PREFIX}.${function}\" PROPERTIES LABELS \"${LABELS}\" TIMEOUT 300"
      " ENVIRONMENT \"QT_QPA_PLATFORM=offscreen;LC_ALL=C.UTF-8\")\n")
  endforeach()
  file(WRITE "${OUTPUT}" "${script}")
  return()
endif()

set(KVSIEVE_QT_TEST_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

# kvsieve_add_qt_test(NAME sources...): the program kvsieve_gui_NAME_tests, tests gui.NAME.FUNCTION.
function(kvsieve_add_qt_test name)
  set(target kvsieve_gui_${name}_tests)
  add_executable(${target} ${ARGN})
  set_target_properties(${target} PROPERTIES AUTOMOC ON)
  kvsieve_target_defaults(${target})
  target_compile_definitions(${target} PRIVATE KVSIEVE_SOURCE="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${target} PRIVATE kvsieve_gui_widgets Qt6::Test)
  set(include_file "${CMAKE_CURRENT_BINARY_DIR}/${target}.cmake")
  add_custom_command(TARGET ${target} POST_BUILD
    COMMAND "${CMAKE_COMMAND}" "-DPROGRAM=$<TARGET_FILE:${target}>" "-DPREFIX=gui.${name}"
            "-DLABELS=gui" "-DOUTPUT=${include_file}" -P "${KVSIEVE_QT_TEST_SCRIPT}"
    VERBATIM)
  file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/${target}_include.cmake" CONTENT
"if(EXISTS \"${include_file}\")
  include(\"${include_file}\")
else()
  add_test(gui.${name}_NOT_BUILT gui.${name}_NOT_BUILT)
endif()
" @ONLY)
  set_property(DIRECTORY APPEND PROPERTY
    TEST_INCLUDE_FILES "${CMAKE_CURRENT_BINARY_DIR}/${target}_include.cmake")
endfunction()
