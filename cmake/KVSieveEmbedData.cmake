# Embeds the JSON files of a folder into a target: a generated source with one raw string a file, made
# again when a file changes, appears or goes away. The file is both the function and the script that
# writes the source, so that building needs nothing but CMake.

if(CMAKE_SCRIPT_MODE_FILE)
  # Called with FOLDER, FILES (names relative to it, separated by |) and OUTPUT.
  string(REPLACE "|" ";" files "${FILES}")
  set(entries "")
  foreach(file IN LISTS files)
    file(READ "${FOLDER}/${file}" text)
    string(APPEND entries "    {\"${file}\", R\"json(${text})json\"},\n")
  endforeach()
  file(WRITE "${OUTPUT}" "// Made by cmake/KVSieveEmbedData.cmake.
#include \"hardware/built_in_data.h\"

namespace kvsieve::sim {
namespace {

constexpr BuiltInFile kFiles[] = {
${entries}};

}  // namespace

std::span<const BuiltInFile> built_in_files() noexcept {
  return kFiles;
}

}  // namespace kvsieve::sim
")
  return()
endif()

set(KVSIEVE_EMBED_DATA_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

function(kvsieve_embed_data target folder)
  file(GLOB_RECURSE files RELATIVE "${folder}" CONFIGURE_DEPENDS "${folder}/*.json")
  list(TRANSFORM files PREPEND "${folder}/" OUTPUT_VARIABLE paths)
  list(JOIN files "|" names)
  set(output "${CMAKE_CURRENT_BINARY_DIR}/${target}_built_in_files.cpp")
  add_custom_command(OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DFOLDER=${folder}" "-DFILES=${names}" "-DOUTPUT=${output}"
            -P "${KVSIEVE_EMBED_DATA_SCRIPT}"
    DEPENDS ${paths} "${KVSIEVE_EMBED_DATA_SCRIPT}"
    COMMENT "Embedding ${folder}" VERBATIM)
  target_sources(${target} PRIVATE "${output}")
endfunction()
