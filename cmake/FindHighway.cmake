# Finds Google Highway. Defines Highway::hwy and Highway_VERSION.
# Hints: HIGHWAY_ROOT or Highway_ROOT, as CMake or environment variable.
find_path(Highway_INCLUDE_DIR hwy/highway.h
          HINTS "${HIGHWAY_ROOT}" ENV HIGHWAY_ROOT PATH_SUFFIXES include)
find_library(Highway_LIBRARY hwy
             HINTS "${HIGHWAY_ROOT}" ENV HIGHWAY_ROOT PATH_SUFFIXES lib lib64)
mark_as_advanced(Highway_INCLUDE_DIR Highway_LIBRARY)

if(Highway_INCLUDE_DIR)
  # Where the version numbers stand has changed between releases.
  foreach(header base.h highway.h)
    file(STRINGS "${Highway_INCLUDE_DIR}/hwy/${header}" lines
         REGEX "#define HWY_(MAJOR|MINOR|PATCH) +[0-9]+")
    if(lines)
      break()
    endif()
  endforeach()
  string(REGEX REPLACE ".*HWY_MAJOR +([0-9]+).*HWY_MINOR +([0-9]+).*HWY_PATCH +([0-9]+).*"
         "\\1.\\2.\\3" Highway_VERSION "${lines}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Highway
  REQUIRED_VARS Highway_LIBRARY Highway_INCLUDE_DIR
  VERSION_VAR Highway_VERSION
  REASON_FAILURE_MESSAGE "install libhwy-dev, or set HIGHWAY_ROOT to a prefix with include/ and lib/")

if(Highway_FOUND AND NOT TARGET Highway::hwy)
  add_library(Highway::hwy UNKNOWN IMPORTED)
  set_target_properties(Highway::hwy PROPERTIES
    IMPORTED_LOCATION "${Highway_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${Highway_INCLUDE_DIR}")
  # Debian builds the library shared; its headers must then import, not define, some symbols.
  if(Highway_LIBRARY MATCHES "\\.so$")
    set_target_properties(Highway::hwy PROPERTIES
      INTERFACE_COMPILE_DEFINITIONS HWY_SHARED_DEFINE)
  endif()
endif()
