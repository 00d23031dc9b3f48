# linnet_object_component(NAME FOLDERS … SOURCES … PRIVATE …)
# linnet_component(NAME FOLDERS … INCLUDE … OBJECTS … PUBLIC … PRIVATE … BUILD_ONLY …)
#
# A component's sources are all .cpp files below its folders, so a new file needs no change here.
# OBJECTS become part of the library; BUILD_ONLY libraries are needed to build it and by nobody who
# links it. A component without sources is an interface library.

function(linnet_glob result)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "FOLDERS;SOURCES")
  set(files)
  foreach(folder IN LISTS arg_FOLDERS)
    file(GLOB_RECURSE found CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.cpp")
    list(APPEND files ${found})
  endforeach()
  foreach(pattern IN LISTS arg_SOURCES)
    file(GLOB found CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${pattern}")
    list(APPEND files ${found})
  endforeach()
  set(${result} ${files} PARENT_SCOPE)
endfunction()

# What nearly every file of the library sees through its own headers: precompiled, it changes no
# meaning. Only under a sanitizer: the optimised build compiles each file as it stands, as a project
# does that has Linnet as a part.
set(linnet_library_headers
  <algorithm> <array> <cstdint> <cstring> <functional> <map> <memory> <optional> <span> <string>
  <string_view> <tuple> <utility> <variant> <vector> <fmt/format.h>)

function(linnet_precompile_library name)
  if(LINNET_PRECOMPILE AND LINNET_SANITIZE)
    target_precompile_headers(${name} PRIVATE ${linnet_library_headers})
  endif()
endfunction()

# What is no kernel can have another compiler: LINNET_OTHER_COMPILER. Kernels and what instantiates them
# belong to one, since Highway chooses its instruction sets by it. Without a sanitizer it is that of tests
# only: the library's optimised code is GCC's.
function(linnet_other_compiler name kind)
  if(LINNET_OTHER_COMPILER AND (LINNET_SANITIZE OR kind STREQUAL "tests"))
    set_target_properties(${name} PROPERTIES CXX_COMPILER_LAUNCHER
      "${PROJECT_SOURCE_DIR}/cmake/other_compiler.sh;${LINNET_OTHER_COMPILER};${CMAKE_CXX_COMPILER};${CMAKE_CXX_COMPILER_LAUNCHER}")
  endif()
endfunction()

# Neighbours of a folder are one file for the compiler, where LINNET_FAST_BUILD asks for it: headers
# and what they instantiate are read once for all of them. Files with options of their own stay alone,
# and kernels, which are compiled for several instruction sets. Unlike CMake's own joined files these
# lie where another build can have the same, so that a compiler cache knows them.
function(linnet_join_sources name files_at_once)
  if(LINNET_FAST_BUILD)
    cmake_language(EVAL CODE
      "cmake_language(DEFER CALL linnet_join_sources_now [[${name}]] [[${files_at_once}]])")
  endif()
endfunction()

function(linnet_join_sources_now name files_at_once)
  get_target_property(sources ${name} SOURCES)
  set(alone)
  set(joined)
  set(part "")
  set(count 0)
  foreach(source IN LISTS sources)
    set(own "")
    foreach(property COMPILE_DEFINITIONS COMPILE_OPTIONS)
      get_source_file_property(value "${source}" ${property})
      if(value)
        string(APPEND own "${value}")
      endif()
    endforeach()
    if(own OR NOT source MATCHES "^/.*\\.cpp$" OR source MATCHES "^${PROJECT_BINARY_DIR}/")
      list(APPEND alone "${source}")
    else()
      string(APPEND part "#include \"${source}\"\n")
      math(EXPR count "${count} + 1")
      math(EXPR place "${count} % ${files_at_once}")
      if(place EQUAL 0)
        list(APPEND joined "${part}")
        set(part "")
      endif()
    endif()
  endforeach()
  if(part)
    list(APPEND joined "${part}")
  endif()

  # Before the others, so that what is added to a target later is initialised later, as without this.
  set(files)
  set(number 0)
  foreach(part IN LISTS joined)
    set(file "${LINNET_JOIN_FOLDER}/${name}_${number}.cpp")
    file(CONFIGURE OUTPUT "${file}" CONTENT "${part}" @ONLY)
    list(APPEND files "${file}")
    math(EXPR number "${number} + 1")
  endforeach()
  set_target_properties(${name} PROPERTIES SOURCES "${files};${alone}")
endfunction()

# Static libraries can become part of a shared one of the user's: their code is position-independent,
# and of their symbols only those of the public headers are visible from outside.
function(linnet_library_properties name)
  set_target_properties(${name} PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
  target_compile_options(${name} PRIVATE -fno-semantic-interposition)
endfunction()

function(linnet_object_component name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "FOLDERS;SOURCES;PRIVATE")
  linnet_glob(sources FOLDERS ${arg_FOLDERS} SOURCES ${arg_SOURCES})
  if(NOT sources)
    return()
  endif()
  add_library(${name} OBJECT ${sources})
  linnet_library_properties(${name})
  target_include_directories(${name} PRIVATE
    "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/core/include"
    "${PROJECT_SOURCE_DIR}/kernels/include")
  target_link_libraries(${name} PRIVATE linnet_flags linnet_light_flags ${arg_PRIVATE})
  linnet_precompile_library(${name})
endfunction()

function(linnet_component name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" ""
    "FOLDERS;INCLUDE;OBJECTS;PUBLIC;PRIVATE;BUILD_ONLY")
  linnet_glob(sources FOLDERS ${arg_FOLDERS})
  foreach(object IN LISTS arg_OBJECTS)
    if(TARGET ${object})
      list(APPEND sources "$<TARGET_OBJECTS:${object}>")
    endif()
  endforeach()

  if(sources)
    set(public PUBLIC)
    add_library(${name} ${sources})
    target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
    target_link_libraries(${name} PRIVATE ${arg_PRIVATE} "$<BUILD_INTERFACE:linnet_flags>")
    foreach(library IN LISTS arg_BUILD_ONLY)
      target_link_libraries(${name} PRIVATE "$<BUILD_INTERFACE:${library}>")
    endforeach()
    linnet_library_properties(${name})
    linnet_precompile_library(${name})
    linnet_other_compiler(${name} library)
    linnet_join_sources(${name} 8)
    set_target_properties(${name} PROPERTIES
      INSTALL_RPATH "$ORIGIN"
      VERSION "${PROJECT_VERSION}" SOVERSION "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}")
  else()
    set(public INTERFACE)
    add_library(${name} INTERFACE)
  endif()

  target_compile_features(${name} ${public} cxx_std_20)
  target_link_libraries(${name} ${public} ${arg_PUBLIC})
  foreach(folder IN LISTS arg_INCLUDE)
    target_include_directories(${name} ${public}
      "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/${folder}>")
  endforeach()
  target_include_directories(${name} ${public} "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")

  string(REPLACE "linnet_" "" short "${name}")
  set_target_properties(${name} PROPERTIES EXPORT_NAME "${short}")
endfunction()
