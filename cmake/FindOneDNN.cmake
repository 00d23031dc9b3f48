# Finds oneDNN without its own package file, which on Debian 12 demands OpenCL headers that the
# package does not bring along. Defines OneDNN::OneDNN, OneDNN_VERSION, OneDNN_CPU_RUNTIME.
# Hints: ONEDNN_ROOT or OneDNN_ROOT, as CMake or environment variable.
find_path(OneDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp
          HINTS "${ONEDNN_ROOT}" ENV ONEDNN_ROOT PATH_SUFFIXES include)
find_library(OneDNN_LIBRARY dnnl
             HINTS "${ONEDNN_ROOT}" ENV ONEDNN_ROOT PATH_SUFFIXES lib lib64)
mark_as_advanced(OneDNN_INCLUDE_DIR OneDNN_LIBRARY)

if(OneDNN_INCLUDE_DIR)
  set(header "${OneDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h")
  file(STRINGS "${header}" lines REGEX "#define DNNL_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
  foreach(part MAJOR MINOR PATCH)
    string(REGEX MATCH "DNNL_VERSION_${part} +([0-9]+)" ignored "${lines}")
    set(OneDNN_VERSION_${part} "${CMAKE_MATCH_1}")
  endforeach()
  set(OneDNN_VERSION
      "${OneDNN_VERSION_MAJOR}.${OneDNN_VERSION_MINOR}.${OneDNN_VERSION_PATCH}")

  file(STRINGS "${OneDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_config.h" line
       REGEX "^#define DNNL_CPU_RUNTIME ")
  string(REGEX REPLACE "^#define DNNL_CPU_RUNTIME +DNNL_RUNTIME_([A-Z]+).*" "\\1"
         OneDNN_CPU_RUNTIME "${line}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OneDNN
  REQUIRED_VARS OneDNN_LIBRARY OneDNN_INCLUDE_DIR
  VERSION_VAR OneDNN_VERSION
  REASON_FAILURE_MESSAGE "install libdnnl-dev, or set ONEDNN_ROOT to a prefix with include/ and lib/")

if(OneDNN_FOUND AND NOT OneDNN_CPU_RUNTIME STREQUAL "OMP" AND NOT OneDNN_FIND_QUIETLY)
  message(STATUS "oneDNN in ${OneDNN_LIBRARY} uses the ${OneDNN_CPU_RUNTIME} runtime; Linnet "
                 "can keep only OpenMP's to one thread, so its threads will compete with Linnet's")
endif()

if(OneDNN_FOUND AND NOT TARGET OneDNN::OneDNN)
  add_library(OneDNN::OneDNN UNKNOWN IMPORTED)
  set_target_properties(OneDNN::OneDNN PROPERTIES
    IMPORTED_LOCATION "${OneDNN_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${OneDNN_INCLUDE_DIR}")
endif()
