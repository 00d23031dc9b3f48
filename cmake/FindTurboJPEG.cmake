# Finds the TurboJPEG interface of libjpeg-turbo. Defines TurboJPEG::TurboJPEG.
# Hints: TURBOJPEG_ROOT or TurboJPEG_ROOT, as CMake or environment variable.
find_path(TurboJPEG_INCLUDE_DIR turbojpeg.h
          HINTS "${TURBOJPEG_ROOT}" ENV TURBOJPEG_ROOT PATH_SUFFIXES include)
find_library(TurboJPEG_LIBRARY turbojpeg
             HINTS "${TURBOJPEG_ROOT}" ENV TURBOJPEG_ROOT PATH_SUFFIXES lib lib64)
mark_as_advanced(TurboJPEG_INCLUDE_DIR TurboJPEG_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TurboJPEG
  REQUIRED_VARS TurboJPEG_LIBRARY TurboJPEG_INCLUDE_DIR
  REASON_FAILURE_MESSAGE
    "install libturbojpeg0-dev, or set TURBOJPEG_ROOT to a prefix with include/ and lib/")

if(TurboJPEG_FOUND AND NOT TARGET TurboJPEG::TurboJPEG)
  add_library(TurboJPEG::TurboJPEG UNKNOWN IMPORTED)
  set_target_properties(TurboJPEG::TurboJPEG PROPERTIES
    IMPORTED_LOCATION "${TurboJPEG_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${TurboJPEG_INCLUDE_DIR}")
endif()
